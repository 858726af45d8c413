//! What clients of socket.io are told beside events, and what they ask. Pure; must not know socket.io.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::id::Token;

/// The sessions whose events a client gets from now on: the first that it is told.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "SocketJoined")]
pub struct Joined {
    /// Their tokens; `*` for all.
    pub tokens: Vec<String>,
}

/// The answer to a client that joins or leaves sessions.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "SocketAnswer")]
pub struct JoinAnswer {
    /// Whether it was done.
    pub status: bool,
    /// The tokens of the sessions that it has then, where it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<String>>,
    /// What was wrong, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The sessions that a client joins or leaves.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "SocketTokens")]
#[serde(untagged)]
pub enum JoinWish {
    /// One, by its token; `*` for all.
    One(String),
    /// Several, at most 1,000.
    Many(Vec<String>),
}

/// Why a client is let go.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "SocketDropped")]
pub struct Dropped {
    /// For programs: `slow`.
    pub reason: &'static str,
    /// For people.
    pub message: &'static str,
}

/// A session is open, as clients of the older API hear it.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "ConnectionOpen")]
pub struct ConnectionOpen {
    /// The session's token.
    pub token: Token,
    /// The account; null where it is not known.
    pub user: Option<ConnectionUser>,
    /// Null: the address of the account's picture is not asked for.
    #[serde(rename = "ppUrl")]
    pub pp_url: Option<String>,
}

impl fmt::Debug for ConnectionOpen {
    /// Whose it is is never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionOpen({})", self.token)
    }
}

/// The account of a session.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
pub struct ConnectionUser {
    /// Its jid.
    pub id: String,
}

/// The state of a session in words, as clients of the older API hear it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "ConnectionWords")]
pub struct ConnectionWords {
    /// The session's token.
    pub token: Token,
    /// How it stands, and why.
    pub message: String,
}

/// A QR code to scan, as clients of the older API hear it.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "QrCodeShown")]
pub struct QrCodeShown {
    /// The session's token.
    pub token: Token,
    /// A picture of it, as a data URL.
    pub data: String,
    /// What to do with it.
    pub message: &'static str,
}

impl fmt::Debug for QrCodeShown {
    /// The code links a device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QrCodeShown({})", self.token)
    }
}
