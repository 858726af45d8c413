//! A file.

use whatsapp::proto;

use super::described::Described;

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let document = message.document_message.as_deref()?;
    let fields = [
        ("mimetype", document.mimetype.clone().into()),
        ("title", document.title.clone().into()),
        ("fileName", document.file_name.clone().into()),
        ("fileLength", document.file_length.into()),
    ];
    Some(Described::new("documentMessage", fields))
}
