//! The encrypted channel: handshake (Noise XX, IK and XXfallback over X25519, AES-256-GCM and SHA-256) and
//! transport.
//!
//! Owns both sides: [`Initiator`] and [`Resumer`] for clients, [`Responder`] for servers. Knows nothing of
//! nodes or sockets. WhatsApp's XX differs from the standard in one place: the empty payload of the first
//! message is not mixed into the hash.
//!
//! Facts: docs/PROTOCOL.md, "Noise".

mod initiator;
mod responder;
mod symmetric;
mod transport;

pub use initiator::{Initiator, Resumed, Resumer, Verified};
pub use responder::{Accepted, AwaitFinish, Hello, Responder, Resumption};
pub use transport::{NoiseError, Opener, Sealer, TAG_BYTES, Transport};

use thiserror::Error;

use crate::cert::CertError;

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

#[cfg(test)]
mod tests;
