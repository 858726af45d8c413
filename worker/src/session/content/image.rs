//! A picture.

use whatsapp::proto;

use super::described::Described;

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let image = message.image_message.as_deref()?;
    let fields = [
        ("mimetype", image.mimetype.clone().into()),
        ("caption", image.caption.clone().into()),
        ("fileLength", image.file_length.into()),
        ("width", image.width.into()),
        ("height", image.height.into()),
    ];
    Some(Described::new("imageMessage", fields))
}
