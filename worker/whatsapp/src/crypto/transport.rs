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
            sealer: Sealer {
                cipher: cipher(sealing),
                counter: 0,
            },
            opener: Opener {
                cipher: cipher(opening),
                counter: 0,
            },
        }
    }
}

/// The sending half. What it seals must be sent in the same order.
pub struct Sealer {
    cipher: Aes256Gcm,
    counter: u32,
}

impl Sealer {
    /// Encrypts `out[start..]` in place and appends the tag.
    ///
    /// # Errors
    /// If the counter is used up; nothing is changed then.
    pub fn seal(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), NoiseError> {
        let next = self.counter.checked_add(1).ok_or(NoiseError::Exhausted)?;
        let tag = encrypt(&self.cipher, self.counter.into(), &[], &mut out[start..]);
        out.extend_from_slice(&tag);
        self.counter = next;
        Ok(())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("counter", &self.counter)
            .finish_non_exhaustive()
    }
}

/// The receiving half.
pub struct Opener {
    cipher: Aes256Gcm,
    counter: u32,
}

impl Opener {
    /// Decrypts a frame's payload in place.
    ///
    /// # Errors
    /// If it is not the next frame of the peer, as it sent it.
    pub fn open(&mut self, mut sealed: BytesMut) -> Result<Bytes, NoiseError> {
        let next = self.counter.checked_add(1).ok_or(NoiseError::Exhausted)?;
        let (text, tag) = sealed
            .split_last_chunk_mut::<TAG_BYTES>()
            .ok_or(NoiseError::Undecryptable)?;
        let (len, tag) = (text.len(), *tag);
        decrypt(&self.cipher, self.counter.into(), &[], text, &tag)?;
        self.counter = next;
        sealed.truncate(len);
        Ok(sealed.freeze())
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("counter", &self.counter)
            .finish_non_exhaustive()
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
