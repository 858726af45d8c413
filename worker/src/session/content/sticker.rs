//! A sticker.

use whatsapp::proto;

use super::described::Described;

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let sticker = message.sticker_message.as_deref()?;
    let fields = [
        ("mimetype", sticker.mimetype.clone().into()),
        ("fileLength", sticker.file_length.into()),
        ("isAnimated", sticker.is_animated.into()),
    ];
    Some(Described::new("stickerMessage", fields))
}
