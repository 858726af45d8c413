//! A picture.

use serde_json::Value;
use shared::content::Image;
use whatsapp::proto::{self, message::ImageMessage};

use super::described::{Described, context, object};
use super::upload::view_once;

pub(super) fn render(image: &Image) -> proto::Message {
    let message = proto::Message {
        image_message: Some(Box::new(ImageMessage {
            caption: image.caption.clone(),
            view_once: image.view_once.then_some(true),
            ..Default::default()
        })),
        ..Default::default()
    };
    match image.view_once {
        true => view_once(message),
        false => message,
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let image = message.image_message.as_deref()?;
    Some(Described {
        kind: "imageMessage",
        body: described(image),
    })
}

/// Its fields, also where it stands above another message.
pub(super) fn described(image: &ImageMessage) -> Value {
    let fields = [
        ("mimetype", image.mimetype.clone().into()),
        ("caption", image.caption.clone().into()),
        ("fileLength", image.file_length.into()),
        ("width", image.width.into()),
        ("height", image.height.into()),
        ("viewOnce", image.view_once.into()),
        ("contextInfo", context(image.context_info.as_deref())),
    ];
    object(fields)
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"image","media":{"url":"https://example.com/a"},"caption":"Olá","viewOnce":true}"#,
    "ba030d0a0b1a091a044f6cc3a1c80101",
);
