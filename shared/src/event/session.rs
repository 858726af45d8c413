//! The `data` of events of a session's connection, in the sampled shapes of the contract; every field explained.

use schemars::JsonSchema;
use serde::Serialize;

use crate::id::Token;
use crate::named::stored;

/// The connection with WhatsApp changed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionUpdate {
    /// The session.
    pub instance: ConnectionInstance,
    /// Its state now.
    pub state: ConnectionState,
    /// Why, in the manner of HTTP: 200 open, 401 logged out, 408 timed out, 428 closed, 440 replaced, 515 restart…
    pub status_reason: u16,
}

/// The session of a [`ConnectionUpdate`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct ConnectionInstance {
    /// Its token.
    pub name: Token,
    /// Its unique id.
    pub id: String,
}

/// The states of a connection that `connection.update` knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// Not connected.
    Close,
    /// Logged in.
    Open,
    /// Connecting or pairing.
    Connecting,
    /// Pairing ran out of time, or WhatsApp refused the account.
    Refused,
}

/// A QR code to scan.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct QrCodeUpdated {
    /// The session's token.
    pub name: Token,
    /// The code.
    pub qrcode: QrCode,
}

/// A QR code as text and as picture.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct QrCode {
    /// The text in the QR code.
    pub code: String,
    /// The picture, as `data:image/png;base64,…`.
    pub base64: String,
}

/// WhatsApp keeps the account from writing to new contacts: people who have never written to it. All others are written to
/// as before; recipients who are new wait in their queues. Comes again when the end moves.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionRestricted {
    /// Why.
    pub kind: RestrictionKind,
    /// Since when, in milliseconds since 1970.
    pub since: i64,
    /// When WhatsApp is asked again, in milliseconds since 1970; new contacts go on then unless it prolongs the restriction.
    pub until: i64,
    /// WhatsApp's own word for the reason, such as `RESTRICT_ALL_COMPANIONS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// New contacts can be written to again: those who waited go on.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionUnrestricted {
    /// What the restriction was.
    pub kind: RestrictionKind,
    /// Since when it had lasted, in milliseconds since 1970.
    pub since: i64,
}

stored! {
    /// Why new contacts can't be written to.
    RestrictionKind {
        /// WhatsApp's reach-out time lock.
        TimeLock = 1 "time-lock",
        /// WhatsApp refused a message to a new contact, and does not say that there is a lock.
        Refused = 2 "refused",
        /// The account has begun as many new chats as it may in this cycle.
        Cap = 3 "cap",
    }
}
