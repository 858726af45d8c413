//! Several contacts to be saved, in one message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contact::Contact;
use super::kind::{Kind, Texts, check_count, check_text};
use crate::body::JobError;

/// Most contacts of one message.
const CONTACTS_MAX: usize = 50;
/// Most bytes of what they are called together.
const NAME_MAX_BYTES: usize = 256;

/// Several contacts to be saved.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contacts {
    /// What they are called together, 1 to 256 bytes; their number when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// 2 to 50 contacts.
    #[schemars(length(min = 2, max = 50))]
    pub contacts: Vec<Contact>,
}

impl Contacts {
    /// What they are called together.
    pub fn display_name(&self) -> String {
        let count = || format!("{} contacts", self.contacts.len());
        self.name.clone().unwrap_or_else(count)
    }
}

impl Kind for Contacts {
    fn message_type(&self) -> &'static str {
        "contactsArrayMessage"
    }

    fn message(&self) -> Value {
        let contacts: Vec<Value> = self.contacts.iter().map(Kind::message).collect();
        json!({ "displayName": self.display_name(), "contacts": contacts })
    }

    fn check(&self) -> Result<(), JobError> {
        if let Some(name) = &self.name {
            check_text("name", name, NAME_MAX_BYTES)?;
        }
        check_count("contacts", self.contacts.len(), 2..=CONTACTS_MAX)?;
        for (at, contact) in self.contacts.iter().enumerate() {
            contact
                .check()
                .map_err(|error| error.within(&format!("contacts[{at}]")))?;
        }
        Ok(())
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.some(format_args!("name"), &mut self.name);
        for (at, contact) in self.contacts.iter_mut().enumerate() {
            texts.within(format_args!("contacts[{at}]"), |texts| contact.texts(texts));
        }
    }
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"contacts","contacts":[{"name":"Ana","phone":"5531900000042"},{"name":"Zoë","phone":"5531900000043","organization":"Fanfare"}]}"#,
    fingerprint: "beb29b98d3baacd0ece6c12dd89df88845f50fa4320e6d52e0c40b7480e1c179",
    shown: r#"{"contactsArrayMessage":{"displayName":"2 contacts","contacts":[{"displayName":"Ana","vcard":"BEGIN:VCARD\nVERSION:3.0\nN:;Ana;;;\nFN:Ana\nTEL;type=CELL;type=VOICE;waid=5531900000042:+5531900000042\nEND:VCARD"},{"displayName":"Zoë","vcard":"BEGIN:VCARD\nVERSION:3.0\nN:;Zoë;;;\nFN:Zoë\nORG:Fanfare;\nTEL;type=CELL;type=VOICE;waid=5531900000043:+5531900000043\nEND:VCARD"}]}}"#,
    refused: &[
        (
            r#"{"type":"contacts","contacts":[{"name":"Ana","phone":"5531900000042"}]}"#,
            "message.contacts: must have 2 to 50 entries",
        ),
        (
            r#"{"type":"contacts","contacts":[{"name":"Ana","phone":"5531900000042"},{"name":"","phone":"5531900000042"}]}"#,
            "message.contacts[1].name: must not be empty",
        ),
        (
            r#"{"type":"contacts","contacts":[{"name":"Ana","phone":"5531900000042"},{"name":"Zoë","phone":"12"}]}"#,
            "message.contacts[1].phone: must have 7 to 15 digits, country code included",
        ),
    ],
};
