//! A contact, as a vCard.

use shared::content::Contact;
use whatsapp::proto::{self, message::ContactMessage};

use super::described::{Described, context};

pub(super) fn render(contact: &Contact) -> proto::Message {
    proto::Message {
        contact_message: Some(Box::new(card(contact))),
        ..Default::default()
    }
}

/// A contact, alone or among others.
pub(super) fn card(contact: &Contact) -> ContactMessage {
    ContactMessage {
        display_name: Some(contact.name.clone()),
        vcard: Some(contact.vcard()),
        ..Default::default()
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    message.contact_message.as_deref().map(described)
}

/// A contact that came in, alone or among others.
pub(super) fn described(contact: &ContactMessage) -> Described {
    let fields = [
        ("displayName", contact.display_name.clone().into()),
        ("vcard", contact.vcard.clone().into()),
        ("contextInfo", context(contact.context_info.as_deref())),
    ];
    Described::new("contactMessage", fields)
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"contact","name":"Ana, Zoë","phone":"5531900000042","organization":"Fanfare"}"#,
    "2297010a09416e612c205a6fc3ab82018801424547494e3a56434152440a56455253494f4e3a332e300a4e3a3b416e615c2c205a6fc3ab3b3b3b0a464e3a416e615c2c205a6fc3ab0a4f52473a46616e666172653b0a54454c3b747970653d43454c4c3b747970653d564f4943453b776169643d353533313930303030303034323a2b353533313930303030303034320a454e443a5643415244",
);
