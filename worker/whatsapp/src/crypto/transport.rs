//! After the handshake: one AES-256-GCM per direction with a counter as nonce.

use std::fmt;

use aes_gcm::{AeadInOut as _, Aes256Gcm, KeyInit as _, Tag};
use bytes::{Bytes, BytesMut};

use thiserror::Error;

/// Bytes that sealing adds.
pub(crate) const TAG_BYTES: usize = 16;

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

/// Both directions of a channel.
#[derive(Debug)]
pub struct Transport {
    /// Encrypts what we send.
    pub sealer: Sealer,
    /// Decrypts what we receive.
    pub opener: Opener,
}

impl Transport {
    pub(crate) fn new(sealing: &[u8; 32], opening: &[u8; 32]) -> Self {
        Self {
            sealer: Sealer(Half::new(sealing)),
            opener: Opener(Half::new(opening)),
        }
    }
}

/// One direction.
struct Half {
    cipher: Aes256Gcm,
    counter: u32,
}

impl Half {
    fn new(key: &[u8; 32]) -> Self {
        let (cipher, counter) = (cipher(key), 0);
        Self { cipher, counter }
    }
}

/// Prints no key.
impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed = f.debug_struct("Half");
        printed.field("counter", &self.counter).finish_non_exhaustive()
    }
}

/// The sending half. What it seals must be sent in the same order.
#[derive(Debug)]
pub struct Sealer(Half);

impl Sealer {
    /// Encrypts `out[start..]` in place and appends the tag.
    ///
    /// # Errors
    /// If the counter is used up; nothing is changed then.
    pub fn seal(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), NoiseError> {
        let Half { cipher, counter } = &mut self.0;
        let next = counter.checked_add(1).ok_or(NoiseError::Exhausted)?;
        let tag = encrypt(cipher, u64::from(*counter), &[], &mut out[start..]);
        out.extend_from_slice(&tag);
        *counter = next;
        Ok(())
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct Opener(Half);

impl Opener {
    /// Decrypts a frame's payload in place.
    ///
    /// # Errors
    /// If it is not the next frame of the peer, as it sent it.
    pub fn open(&mut self, mut sealed: BytesMut) -> Result<Bytes, NoiseError> {
        let Half { cipher, counter } = &mut self.0;
        let next = counter.checked_add(1).ok_or(NoiseError::Exhausted)?;
        let (text, tag) = sealed
            .split_last_chunk_mut::<TAG_BYTES>()
            .ok_or(NoiseError::Undecryptable)?;
        let (len, tag) = (text.len(), *tag);
        decrypt(cipher, u64::from(*counter), &[], text, &tag)?;
        *counter = next;
        sealed.truncate(len);
        Ok(sealed.freeze())
    }
}

pub(crate) fn cipher(key: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(key.into())
}

/// Encrypts `text` in place; gives its tag.
pub(crate) fn encrypt(cipher: &Aes256Gcm, counter: u64, aad: &[u8], text: &mut [u8]) -> [u8; TAG_BYTES] {
    // Unwrap safety: AES-GCM refuses only messages over 64 GiB.
    #[allow(clippy::unwrap_used)]
    let tag = cipher
        .encrypt_inout_detached(&nonce(counter).into(), aad, text.into())
        .unwrap();
    tag.into()
}

/// Decrypts `text` in place. What it holds after an error must not be looked at.
pub(crate) fn decrypt(
    cipher: &Aes256Gcm,
    counter: u64,
    aad: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Result<(), NoiseError> {
    cipher
        .decrypt_inout_detached(&nonce(counter).into(), aad, text.into(), &Tag::from(*tag))
        .map_err(|_| NoiseError::Undecryptable)
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    nonce
}
