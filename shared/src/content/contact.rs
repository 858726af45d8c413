//! A contact to be saved: a person's name and number, as a vCard.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kind::{Kind, Texts, check_text};
use crate::body::JobError;
use crate::recipient::{Number, deserialize_kept_phone};

/// Most bytes of a contact's name and of its organization, each.
const NAME_MAX_BYTES: usize = 256;

/// A contact to be saved.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// What the contact is called, 1 to 256 bytes.
    pub name: String,
    /// Its phone number.
    #[serde(deserialize_with = "deserialize_kept_phone")]
    pub phone: Number,
    /// Where it works, 1 to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

impl Contact {
    /// The contact as a vCard 3.0 (RFC 2426). `waid` lets its recipient write to the number without saving it.
    pub fn vcard(&self) -> String {
        let name = escaped(&self.name);
        let organization = self.organization.as_deref().map(escaped);
        let organization = organization.map_or_else(String::new, |text| format!("ORG:{text};\n"));
        let phone = self.phone.user();
        format!(
            "BEGIN:VCARD\nVERSION:3.0\nN:;{name};;;\nFN:{name}\n{organization}TEL;type=CELL;type=VOICE;waid={phone}:+{phone}\n\
             END:VCARD"
        )
    }
}

impl Kind for Contact {
    fn message_type(&self) -> &'static str {
        "contactMessage"
    }

    fn message(&self) -> Value {
        json!({ "displayName": self.name, "vcard": self.vcard() })
    }

    fn check(&self) -> Result<(), JobError> {
        Number::new(&self.phone.as_text()).map_err(|error| JobError::new("phone", error.to_string()))?;
        check_text("name", &self.name, NAME_MAX_BYTES)?;
        let organization = self.organization.as_deref();
        organization.map_or(Ok(()), |text| check_text("organization", text, NAME_MAX_BYTES))
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.text(format_args!("name"), &mut self.name);
        texts.some(format_args!("organization"), &mut self.organization);
    }
}

/// A text as a value of a vCard: what would end it, or its line, is escaped.
fn escaped(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\\' | ',' | ';' => value.extend(['\\', c]),
            '\n' | '\r' => value.push_str("\\n"),
            c => value.push(c),
        }
    }
    value
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"contact","name":"Ana, \\ Zoë;\r\n2","phone":"5531900000042","organization":"Fanfare"}"#,
    fingerprint: "0612cecc8c5948732835332cc5631126ff448c85b83459dc4182843600aff5a7",
    shown: r#"{"contactMessage":{"displayName":"Ana, \\ Zoë;\r\n2","vcard":"BEGIN:VCARD\nVERSION:3.0\nN:;Ana\\, \\\\ Zoë\\;\\n2;;;\nFN:Ana\\, \\\\ Zoë\\;\\n2\nORG:Fanfare;\nTEL;type=CELL;type=VOICE;waid=5531900000042:+5531900000042\nEND:VCARD"}}"#,
    refused: &[
        (r#"{"type":"contact","name":"Ana"}"#, "message.phone: is required"),
        (
            r#"{"type":"contact","name":"Ana","phone":"1203630001@g.us"}"#,
            "message.phone: must be a phone number",
        ),
        (
            r#"{"type":"contact","name":"","phone":"5531900000042"}"#,
            "message.name: must not be empty",
        ),
        (
            r#"{"type":"contact","name":"Ana","phone":"5531900000042","organization":""}"#,
            "message.organization: must not be empty",
        ),
    ],
};
