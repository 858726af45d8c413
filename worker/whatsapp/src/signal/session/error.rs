//! Why a session was not begun, a message not encrypted or not decrypted, a record not read.

use crate::signal::curve::{BadPublicKey, BadSignature};
use crate::signal::wire::{Malformed, VersionError};
use crate::signal::{PreKeyId, SignedPreKeyId};

/// A bundle can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitiateError {
    /// The signed prekey is not signed by the identity: somebody in between may have put in their own.
    #[error("signed prekey's signature does not verify")]
    BadSignature(#[from] BadSignature),
    /// One of its keys would give away the session.
    #[error("bundle holds an unusable key")]
    BadKey(#[from] BadPublicKey),
}

/// Nothing was encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// Start one from a bundle first.
    #[error("no session with this device")]
    NoSession,
    /// The sending chain is at its last number: start a new session.
    #[error("sending chain is used up")]
    Exhausted,
}

/// A message was not decrypted. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// The message was decrypted before (or so long ago overtaken that its key is gone): acknowledge it as delivered,
    /// do not ask for it again.
    #[error("message was decrypted before")]
    Duplicate,
    /// There is no session: ask for the message again with our keys.
    #[error("no session with this device")]
    NoSession,
    /// No session of this device made the message, or it was altered: ask for it again.
    #[error("message authentication failed")]
    BadMac,
    /// A group message is not signed by the key that was handed out for it: drop it, ask for it again.
    #[error("signature of a group message does not verify")]
    BadSignature,
    /// The message names a one-time prekey that is not stored: ask again with fresh keys.
    #[error("one-time prekey {0} is not known")]
    UnknownPreKey(PreKeyId),
    /// The message names a signed prekey that is not stored: ask again with fresh keys.
    #[error("signed prekey {0} is not known")]
    UnknownSignedPreKey(SignedPreKeyId),
    /// The message is further ahead of its chain than [`MAX_GAP`](super::MAX_GAP): ask again, with fresh keys if that
    /// fails too.
    #[error("message is too far ahead of its chain")]
    TooFarAhead,
    /// Not a message of the version that is spoken here.
    #[error("message version {0:#04x} is not supported")]
    UnsupportedVersion(u8),
    /// The bytes are no message.
    #[error("malformed message")]
    Malformed,
}

/// Stored bytes are no session record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored session can't be read")]
pub struct BadRecord;

impl From<Malformed> for BadRecord {
    fn from(_: Malformed) -> Self {
        Self
    }
}

impl From<Malformed> for DecryptError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<VersionError> for DecryptError {
    fn from(error: VersionError) -> Self {
        match error {
            VersionError::Empty => Self::Malformed,
            VersionError::Unsupported(version) => Self::UnsupportedVersion(version),
        }
    }
}
