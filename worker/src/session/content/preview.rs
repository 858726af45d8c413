//! What is shown of the page that a text links to.

use bytes::Bytes;
use shared::content::Text;
use shared::store::previews::Preview;
use whatsapp::proto::Message;
use whatsapp::proto::message::ExtendedTextMessage;

/// What its caller has given.
pub(super) fn given(text: &Text) -> ExtendedTextMessage {
    let Some((link, preview)) = text.preview() else {
        return ExtendedTextMessage::default();
    };
    ExtendedTextMessage {
        matched_text: Some(link.to_owned()),
        title: Some(preview.title.clone()),
        description: preview.description.clone(),
        jpeg_thumbnail: preview.jpeg().map(Bytes::from),
        ..Default::default()
    }
}

/// Shows what was found out, in a text that has the link.
pub(super) fn attach(message: &mut Message, preview: &Preview) {
    let Some(text) = &mut message.extended_text_message else {
        return;
    };
    if text
        .text
        .as_ref()
        .is_some_and(|text| text.contains(&preview.link))
    {
        text.matched_text = Some(preview.link.clone());
        text.title = Some(preview.title.clone());
        text.description.clone_from(&preview.description);
        text.jpeg_thumbnail.clone_from(&preview.thumbnail);
    }
}
