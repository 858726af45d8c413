//! What led its sender to the chat, as a message tells it: an advertisement, or a link.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared::event::LinkTold;
use whatsapp::event::unwrapped;
use whatsapp::proto::{self, ContextInfo};

/// What was clicked, if that is told. A card that only looks like an advertisement, as anybody can make one, is none.
pub(in crate::session) fn link(message: &proto::Message) -> Option<LinkTold> {
    let info = context(unwrapped(message))?;
    let ad = info.external_ad_reply.as_ref();
    let ad = ad.filter(|ad| ad.source_id.is_some() || ad.ctwa_clid.is_some() || ad.source_type.is_some());
    let entry_point = info.entry_point_conversion_source.as_deref();
    // A chat is entered by a search or a list of contacts too.
    let by_link = entry_point.is_some_and(|word| word.contains("ctwa") || word.contains("link"));
    if ad.is_none() && info.conversion_source.is_none() && !by_link {
        return None;
    }
    let text = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let of_ad =
        |field: fn(&proto::context_info::ExternalAdReplyInfo) -> Option<&String>| text(ad.and_then(field));
    Some(LinkTold {
        title: of_ad(|ad| ad.title.as_ref()),
        body: of_ad(|ad| ad.body.as_ref()),
        source_url: of_ad(|ad| ad.source_url.as_ref()),
        source_type: of_ad(|ad| ad.source_type.as_ref()),
        source_id: of_ad(|ad| ad.source_id.as_ref()),
        ctwa_clid: of_ad(|ad| ad.ctwa_clid.as_ref()),
        reference: of_ad(|ad| ad.r#ref.as_ref()),
        conversion_source: text(info.conversion_source.as_ref()),
        conversion_data: info.conversion_data.as_ref().map(|data| STANDARD.encode(data)),
        conversion_delay_seconds: info.conversion_delay_seconds,
        entry_point: text(info.entry_point_conversion_source.as_ref()),
        entry_point_app: text(info.entry_point_conversion_app.as_ref()),
    })
}

/// What goes with a message that came in.
fn context(message: &proto::Message) -> Option<&ContextInfo> {
    /// That of the first of these kinds that a message is.
    macro_rules! of {
        ($($kind:ident,)+) => {
            $(if let Some(kind) = &message.$kind {
                kind.context_info.as_deref()
            } else)+ {
                None
            }
        };
    }
    of!(
        extended_text_message,
        image_message,
        video_message,
        audio_message,
        document_message,
        sticker_message,
        location_message,
        contact_message,
        buttons_response_message,
        template_button_reply_message,
        list_response_message,
        interactive_response_message,
    )
}

#[cfg(test)]
mod tests {
    use whatsapp::proto::context_info::ExternalAdReplyInfo;
    use whatsapp::proto::message::ExtendedTextMessage;

    use super::*;

    fn with(info: ContextInfo) -> Option<LinkTold> {
        let text = ExtendedTextMessage {
            text: Some("Is this still there?".into()),
            context_info: Some(Box::new(info)),
            ..Default::default()
        };
        link(&proto::Message {
            extended_text_message: Some(Box::new(text)),
            ..Default::default()
        })
    }

    #[test]
    fn an_advertisement_and_a_link_are_told_and_a_card_is_not() {
        let ad = ExternalAdReplyInfo {
            title: Some("Flowers".into()),
            source_url: Some("https://fb.me/abc".into()),
            ..Default::default()
        };
        let info = |ad: &ExternalAdReplyInfo| ContextInfo {
            external_ad_reply: Some(ad.clone()),
            ..Default::default()
        };
        assert_eq!(with(info(&ad)), None, "anybody makes such a card");
        let clicked = ExternalAdReplyInfo {
            source_type: Some("ad".into()),
            ctwa_clid: Some("ARAk".into()),
            ..ad
        };
        let told = with(ContextInfo {
            conversion_data: Some(bytes::Bytes::from_static(&[1, 2, 3])),
            ..info(&clicked)
        });
        let told = told.unwrap();
        assert_eq!(told.title.as_deref(), Some("Flowers"));
        assert_eq!(told.ctwa_clid.as_deref(), Some("ARAk"));
        assert_eq!(told.conversion_data.as_deref(), Some("AQID"));
        let entered = |word: &str| {
            with(ContextInfo {
                entry_point_conversion_source: Some(word.into()),
                ..Default::default()
            })
        };
        assert_eq!(entered("global_search_new_chat"), None);
        let told = entered("click_to_chat_link").unwrap();
        assert_eq!(told.entry_point.as_deref(), Some("click_to_chat_link"));
        assert_eq!(with(ContextInfo::default()), None);
    }
}
