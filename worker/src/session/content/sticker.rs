//! A sticker.

use shared::content::Sticker;
use whatsapp::proto::{self, message::StickerMessage};

use super::described::{Described, context};

pub(super) fn render(_: &Sticker) -> proto::Message {
    proto::Message {
        sticker_message: Some(Box::new(StickerMessage::default())),
        ..Default::default()
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let sticker = message.sticker_message.as_deref()?;
    let fields = [
        ("mimetype", sticker.mimetype.clone().into()),
        ("fileLength", sticker.file_length.into()),
        ("width", sticker.width.into()),
        ("height", sticker.height.into()),
        ("isAnimated", sticker.is_animated.into()),
        ("contextInfo", context(sticker.context_info.as_deref())),
    ];
    Some(Described::new("stickerMessage", fields))
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (r#"{"type":"sticker","media":{"base64":"AA=="}}"#, "d20100");
