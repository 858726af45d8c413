//! Why a channel can't be opened or used any more.

use thiserror::Error;

use super::cert::CertError;

/// A handshake failed; the connection is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// The message is no handshake message, or lacks a part.
    #[error("handshake message is not valid: {0}")]
    Malformed(&'static str),
    /// A key of the peer is one that must not be used.
    #[error("peer's key is not usable")]
    BadKey,
    /// A part does not decrypt: the peer has other keys, or somebody changed the message.
    #[error("handshake message does not decrypt: {0}")]
    Undecryptable(&'static str),
    /// The server did not prove that it is WhatsApp.
    #[error("server's certificate is refused")]
    Certificate(#[from] CertError),
}

/// A frame can't be sealed or opened; the channel is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoiseError {
    /// Changed, replayed, or out of order.
    #[error("frame does not decrypt")]
    Undecryptable,
    /// Longer than a frame can be.
    #[error("frame of {0} bytes is too large")]
    TooLarge(usize),
    /// The counter is used up: reconnect.
    #[error("channel has sealed as many frames as its nonce allows")]
    Exhausted,
}
