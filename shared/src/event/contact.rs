//! The `data` of events of contacts, in the sampled shapes of the contract; every field explained.
//!
//! One type for all of them: a contact goes by the same `wuid` everywhere, and of what may be known of it the event has what it
//! tells of.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::group::PictureChange;
use crate::id::Token;
use crate::named::named;

/// Somebody, and what is told of them.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// Their jid, by number where that is known: the key that a contact has in all events. One that was known by hidden id alone
    /// gets the number's as soon as that is learnt, which `former` says.
    pub wuid: String,
    /// Their hidden id, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// Their phone number, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// What to call them: the name in the account's address book, else the one that they go by, else their business's. Null where
    /// there is none any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_name: Option<Option<String>>,
    /// The name that they go by, as they chose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
    /// The name of their business; null where they are none any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_name: Option<Option<String>>,
    /// What they say about themselves; null where they took it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Option<String>>,
    /// What became of their picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureChange>,
    /// The id of the new picture, where WhatsApp tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture_id: Option<String>,
    /// Where their picture is; null where there is none any more. WhatsApp tells it only to who asks: the job `profile` with the
    /// action `picture` does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_picture_url: Option<Option<String>>,
    /// The name that they had before, where they have another number or hidden id now, or where both became known to be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub former: Option<FormerContact>,
    /// The session's token.
    pub instance_name: Token,
}

/// What a contact went by before.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FormerContact {
    /// The key that they had.
    pub wuid: String,
    /// The hidden id that they had, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The phone number that they had, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
}

/// The security code of a contact changed: they registered anew, or one of their devices has another key.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactIdentity {
    /// Their jid, by number where that is known.
    pub wuid: String,
    /// Their hidden id, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// Their phone number, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// Which of their devices: 0 is the phone.
    pub device: u16,
    /// How that showed.
    pub learnt_from: IdentitySource,
}

named! {
    /// How a changed security code showed.
    IdentitySource {
        /// WhatsApp said so.
        Notification = "notification",
        /// A message came that begins a session under another key.
        Message = "message",
        /// The keys that were asked for to write to them are others.
        Keys = "keys",
    }
}

impl Contact {
    /// Of whom nothing is told yet but who they are.
    pub const fn new(wuid: String, instance_name: Token) -> Self {
        Self {
            wuid,
            lid: None,
            phone_number: None,
            contact_name: None,
            push_name: None,
            verified_name: None,
            about: None,
            picture: None,
            picture_id: None,
            profile_picture_url: None,
            former: None,
            instance_name,
        }
    }
}

/// Who it is, and what they are called, is never logged.
impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contact(…)")
    }
}

impl fmt::Debug for FormerContact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FormerContact(…)")
    }
}

impl fmt::Debug for ContactIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ContactIdentity({}, {})",
            self.device,
            self.learnt_from.as_str()
        )
    }
}
