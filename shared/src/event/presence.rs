//! The `data` of `presence.update`, in the sampled shape of the contract; every field explained.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::named::named;

/// Somebody whom the session follows is there, or writes.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PresenceUpdate {
    /// The chat's jid.
    pub jid: String,
    /// Who, by their jid, and what they do.
    pub presences: BTreeMap<String, Presence>,
}

impl fmt::Debug for PresenceUpdate {
    /// Who it is is never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresenceUpdate({:?})", self.presences.values())
    }
}

/// What somebody does.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// What they do.
    pub last_known_presence: KnownPresence,
    /// When they were there last, in seconds since 1970, where they are not and let the account know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u64>,
    /// Their hidden id, where it is known beside the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
}

named! {
    /// What somebody does, in WhatsApp's words.
    KnownPresence {
        /// They are there.
        Available = "available",
        /// They are not.
        Unavailable = "unavailable",
        /// They write a text.
        Composing = "composing",
        /// They record a voice note.
        Recording = "recording",
    }
}
