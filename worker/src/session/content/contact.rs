//! A contact, as a vCard.

use whatsapp::proto;

use super::described::Described;

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let contact = message.contact_message.as_ref()?;
    let fields = [
        ("displayName", contact.display_name.clone().into()),
        ("vcard", contact.vcard.clone().into()),
    ];
    Some(Described::new("contactMessage", fields))
}
