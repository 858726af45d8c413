//! Jobs that concern the session itself: its start, stop and end, and what pairs it.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::body::{self, JobError};
use crate::named::stored;
use crate::proxy::{self, ProxyUrl};
use crate::recipient::{Number, deserialize_phone};

/// A request for a pairing code.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PairingCodeJob {
    /// The phone number of the account to pair with.
    #[serde(deserialize_with = "deserialize_phone")]
    pub phone: Number,
    /// The proxy that the session leaves by from now on, as in `session.update`; the code is asked for by that way.
    #[serde(
        default,
        deserialize_with = "proxy::deserialize_given",
        serialize_with = "proxy::serialize_given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<ProxyUrl>")]
    pub proxy: Option<Option<ProxyUrl>>,
}

/// A request to log the session out at WhatsApp and keep it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogoutJob {
    /// What becomes of its queues that are not finished.
    #[serde(default)]
    pub queues: LogoutQueues,
}

/// What becomes of the queues of a session that logs out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogoutQueues {
    /// They wait until the session is paired again.
    #[default]
    Keep,
    /// They are deleted: what is not sent yet never is.
    Drop,
}

impl LogoutJob {
    /// Parses a body; none is that of the defaults.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, JobError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        body::parse(body)
    }
}

/// Settings of a session that are to change; those that are absent stay.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionUpdateJob {
    /// What it says of itself from now on; null for what the deployment says (`PRESENCE`).
    #[serde(
        default,
        deserialize_with = "deserialize_given_presence",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<Presence>")]
    pub presence: Option<Option<Presence>>,
    /// The proxy that its connection and its files leave by from now on; null for the deployment's (`WHATSAPP_PROXY`).
    #[serde(
        default,
        deserialize_with = "proxy::deserialize_given",
        serialize_with = "proxy::serialize_given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<ProxyUrl>")]
    pub proxy: Option<Option<ProxyUrl>>,
    /// What it does with calls that come in from now on.
    #[serde(
        default,
        deserialize_with = "deserialize_calls",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Calls")]
    pub calls: Option<Calls>,
}

stored! {
    /// What a session does with calls that come in.
    Calls {
        /// They ring on the account's other devices, and are told.
        Ring = 1 "ring",
        /// It rejects each as soon as it rings, and tells so.
        Reject = 2 "reject",
    }
}

/// Reads [`Calls`].
///
/// # Errors
/// Another value; the error says what it must be.
pub fn deserialize_calls<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Calls>, D::Error> {
    let text = String::deserialize(json)?;
    let found = Calls::find(&text).ok_or_else(|| D::Error::custom(Calls::must_be()));
    found.map(Some)
}

stored! {
    /// What a session says of itself to its contacts while it is connected.
    Presence {
        /// Away: its phone goes on ringing.
        Unavailable = 1 "unavailable",
        /// Online: its phone is silent meanwhile, and senders see at once that a message was delivered.
        Available = 2 "available",
    }
}

/// Reads a [`Presence`] or null.
///
/// # Errors
/// Another value; the error says what it must be.
pub fn deserialize_presence<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Presence>, D::Error> {
    let text: Option<String> = Option::deserialize(json)?;
    let found = text.map(|text| Presence::find(&text).ok_or_else(|| D::Error::custom(Presence::must_be())));
    found.transpose()
}

/// Tells null, which means something, from a field that is absent.
fn deserialize_given_presence<'de, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<Option<Presence>>, D::Error> {
    deserialize_presence(json).map(Some)
}
