//! The name of another message, where one speaks of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::person::Person;
use crate::body::JobError;
use crate::id::StanzaId;
use crate::recipient::Number;

/// The name of a message, as the owner of the session sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageKey {
    /// Its id.
    pub id: StanzaId,
    /// Whether this session sent it.
    pub from_me: bool,
    /// The chat that it is in, by its jid or number; the recipient when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_jid: Option<Number>,
    /// Who wrote it; for messages of others in a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<Person>,
}

impl MessageKey {
    /// The key as events show it.
    pub(super) fn shown(&self) -> Value {
        let mut shown = json!({ "fromMe": self.from_me, "id": self.id.as_str() });
        if let Some(chat) = &self.remote_jid {
            shown["remoteJid"] = chat.jid().into();
        }
        if let Some(author) = &self.participant {
            shown["participant"] = author.jid().into();
        }
        shown
    }

    /// Checks its parts; `field` is where it lies.
    pub(super) fn check(&self, field: &str) -> Result<(), JobError> {
        match &self.participant {
            Some(author) => author.check(&format!("{field}.participant")),
            None => Ok(()),
        }
    }
}
