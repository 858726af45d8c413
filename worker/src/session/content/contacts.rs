//! Several contacts, as vCards.

use serde_json::Value;
use shared::content::Contacts;
use whatsapp::proto::{self, message::ContactsArrayMessage};

use super::contact;
use super::described::{Described, context};

pub(super) fn render(contacts: &Contacts) -> proto::Message {
    proto::Message {
        contacts_array_message: Some(Box::new(ContactsArrayMessage {
            display_name: Some(contacts.display_name()),
            contacts: contacts.contacts.iter().map(contact::card).collect(),
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let contacts = message.contacts_array_message.as_ref()?;
    let cards: Vec<Value> = contacts
        .contacts
        .iter()
        .map(|card| contact::described(card).body)
        .collect();
    let fields = [
        ("displayName", contacts.display_name.clone().into()),
        ("contacts", cards.into()),
        ("contextInfo", context(contacts.context_info.as_deref())),
    ];
    Some(Described::new("contactsArrayMessage", fields))
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"contacts","name":"The team","contacts":[{"name":"Ana","phone":"5531900000042"},{"name":"Zoë","phone":"5531900000043"}]}"#,
    "6afb010a08546865207465616d12750a03416e6182016d424547494e3a56434152440a56455253494f4e3a332e300a4e3a3b416e613b3b3b0a464e3a416e610a54454c3b747970653d43454c4c3b747970653d564f4943453b776169643d353533313930303030303034323a2b353533313930303030303034320a454e443a564341524412780a045a6fc3ab82016f424547494e3a56434152440a56455253494f4e3a332e300a4e3a3b5a6fc3ab3b3b3b0a464e3a5a6fc3ab0a54454c3b747970653d43454c4c3b747970653d564f4943453b776169643d353533313930303030303034333a2b353533313930303030303034330a454e443a5643415244",
);
