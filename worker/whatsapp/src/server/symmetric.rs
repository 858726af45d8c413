//! The symmetric state of a handshake: transcript hash, chaining key, and the cipher of the moment.
//!
//! Written after the specification, for this end alone; the client's handshake runs on `snow`.

use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::crypto::HandshakeError;
use crate::crypto::transport::{self, Transport};
use crate::frame;
use crate::signal::curve::{PrivateKey, PublicKey};

/// Which handshake is run; the name goes into the first hash.
#[derive(Clone, Copy, Debug)]
pub enum Pattern {
    /// Neither side knows the other.
    Xx,
    /// The client knows the server's key.
    Ik,
    /// The server refused an IK; goes on as XX with the ephemeral key that was already sent.
    XxFallback,
}

/// `h`, `ck`, `k` and `n` of the Noise specification.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Symmetric {
    hash: [u8; 32],
    chaining_key: [u8; 32],
    key: [u8; 32],
    counter: u32,
}

impl Symmetric {
    /// The state after the prologue.
    #[must_use]
    pub fn new(pattern: Pattern) -> Self {
        let hash = match pattern {
            Pattern::Xx => *b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0",
            Pattern::Ik => *b"Noise_IK_25519_AESGCM_SHA256\0\0\0\0",
            Pattern::XxFallback => Sha256::digest(b"Noise_XXfallback_25519_AESGCM_SHA256").into(),
        };
        let mut state = Self {
            hash,
            chaining_key: hash,
            key: [0; 32],
            counter: 0,
        };
        state.mix_hash(&frame::HEADER);
        state
    }

    /// `MixHash`.
    pub fn mix_hash(&mut self, data: &[u8]) {
        self.hash = Sha256::new()
            .chain_update(self.hash)
            .chain_update(data)
            .finalize()
            .into();
    }

    /// `MixKey` with the secret of a key agreement: the cipher has a new key.
    ///
    /// # Errors
    /// If their key is one with which anybody would know the secret.
    pub fn mix_agreement(&mut self, own: &PrivateKey, theirs: &PublicKey) -> Result<(), HandshakeError> {
        let secret = own
            .agree_contributory(theirs)
            .map_err(|_| HandshakeError::BadKey)?;
        (self.chaining_key, self.key) = self.derive(&secret[..]);
        self.counter = 0;
        Ok(())
    }

    /// `EncryptAndHash`.
    pub fn encrypt_and_hash(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = plaintext.to_vec();
        let cipher = transport::cipher(&self.key);
        let tag = transport::encrypt(&cipher, self.counter.into(), &self.hash, &mut sealed);
        sealed.extend_from_slice(&tag);
        self.counter += 1;
        self.mix_hash(&sealed);
        sealed
    }

    /// `DecryptAndHash`; `what` names the part for the error.
    ///
    /// # Errors
    /// If it does not decrypt.
    pub fn decrypt_and_hash(&mut self, sealed: &[u8], what: &'static str) -> Result<Vec<u8>, HandshakeError> {
        let (text, tag) = sealed
            .split_last_chunk()
            .ok_or(HandshakeError::Undecryptable(what))?;
        let mut plaintext = text.to_vec();
        let cipher = transport::cipher(&self.key);
        transport::decrypt(&cipher, self.counter.into(), &self.hash, &mut plaintext, tag)
            .map_err(|_| HandshakeError::Undecryptable(what))?;
        self.counter += 1;
        self.mix_hash(sealed);
        Ok(plaintext)
    }

    /// A static key of 32 bytes, encrypted.
    ///
    /// # Errors
    /// If it does not decrypt, or is no key.
    pub fn decrypt_key(&mut self, sealed: &[u8], what: &'static str) -> Result<PublicKey, HandshakeError> {
        let key = self.decrypt_and_hash(sealed, what)?;
        public_key(Some(&key), what)
    }

    /// The channel as the client sees it.
    #[must_use]
    pub fn split_initiator(self) -> Transport {
        let (up, down) = self.derive(&[]);
        Transport::new(&up, &down)
    }

    /// The channel as the server sees it.
    #[must_use]
    pub fn split_responder(self) -> Transport {
        let (up, down) = self.derive(&[]);
        Transport::new(&down, &up)
    }

    fn derive(&self, input: &[u8]) -> ([u8; 32], [u8; 32]) {
        let mut okm = [0; 64];
        // Unwrap safety: 64 bytes are far below HKDF's limit of 255 blocks.
        #[allow(clippy::unwrap_used)]
        Hkdf::<Sha256>::new(Some(&self.chaining_key), input)
            .expand(&[], &mut okm)
            .unwrap();
        let mut halves = ([0; 32], [0; 32]);
        halves.0.copy_from_slice(&okm[..32]);
        halves.1.copy_from_slice(&okm[32..]);
        okm.zeroize();
        halves
    }

    /// For the vectors: `h`, `ck`, `k` and `n`.
    #[cfg(test)]
    pub(super) fn parts(&self) -> (&[u8; 32], &[u8; 32], &[u8; 32], u32) {
        (&self.hash, &self.chaining_key, &self.key, self.counter)
    }
}

/// A 32-byte public key in clear.
pub(super) fn public_key(bytes: Option<&[u8]>, what: &'static str) -> Result<PublicKey, HandshakeError> {
    let bytes = bytes.ok_or(HandshakeError::Malformed(what))?;
    Ok(PublicKey::new(
        bytes.try_into().map_err(|_| HandshakeError::Malformed(what))?,
    ))
}
