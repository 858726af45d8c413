//! The `data` of events of a session's connection, in the sampled shapes of the contract; every field explained.

use schemars::JsonSchema;
use serde::Serialize;

use crate::id::Token;

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
