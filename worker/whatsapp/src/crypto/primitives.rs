//! The primitives that `snow` runs on: those of the rest of the crate, lent to one handshake.
//!
//! Owns the one difference of WhatsApp's XX from the standard: mixing nothing into the transcript leaves it as it is,
//! while the standard hashes it once more. It shows in the first message alone, whose payload is empty.

use aes_gcm::Aes256Gcm;
use sha2::{Digest as _, Sha256};
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};

use super::transport::{self, TAG_BYTES};
use crate::signal::curve::{KeyPair, PrivateKey, PublicKey};

/// X25519, AES-256-GCM and SHA-256, whatever is asked for. The only randomness of a handshake is its ephemeral key,
/// which was drawn before.
pub(crate) struct Primitives {
    pub(crate) static_keys: KeyPair,
    pub(crate) ephemeral: PrivateKey,
}

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Drawn(Some(self.ephemeral.clone()))))
    }

    fn resolve_dh(&self, _: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::new(Agreement(self.static_keys.clone())))
    }

    fn resolve_hash(&self, _: &HashChoice) -> Option<Box<dyn Hash>> {
        Some(Box::new(Transcript::default()))
    }

    fn resolve_cipher(&self, _: &CipherChoice) -> Option<Box<dyn Cipher>> {
        Some(Box::new(Aead(transport::cipher(&[0; KEY_BYTES]))))
    }
}

/// Gives the ephemeral key out, once.
struct Drawn(Option<PrivateKey>);

impl Random for Drawn {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        let key = self
            .0
            .take()
            .filter(|_| out.len() == KEY_BYTES)
            .ok_or(Error::Rng)?;
        out.copy_from_slice(key.as_bytes());
        Ok(())
    }
}

/// Begins as the static pair, whose public half is known already: computing it would cost a multiplication per login.
struct Agreement(KeyPair);

impl Dh for Agreement {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY_BYTES
    }

    fn priv_len(&self) -> usize {
        KEY_BYTES
    }

    fn set(&mut self, private: &[u8]) {
        debug_assert_eq!(private, self.0.private().as_bytes(), "the static key");
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        let mut private = [0; KEY_BYTES];
        rng.try_fill_bytes(&mut private)?;
        self.0 = KeyPair::from_private(PrivateKey::new(private));
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.0.public().as_bytes()
    }

    fn privkey(&self) -> &[u8] {
        self.0.private().as_bytes()
    }

    fn dh(&self, theirs: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let theirs = theirs.first_chunk().ok_or(Error::Dh)?;
        let secret = self.0.private().agree_contributory(&PublicKey::new(*theirs));
        out[..KEY_BYTES].copy_from_slice(&secret.map_err(|_| Error::Dh)?[..]);
        Ok(())
    }
}

struct Aead(Aes256Gcm);

impl Cipher for Aead {
    fn name(&self) -> &'static str {
        "AESGCM"
    }

    fn set(&mut self, key: &[u8; KEY_BYTES]) {
        self.0 = transport::cipher(key);
    }

    fn encrypt(&self, nonce: u64, aad: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let (text, rest) = out.split_at_mut(plaintext.len());
        text.copy_from_slice(plaintext);
        rest[..TAG_BYTES].copy_from_slice(&transport::encrypt(&self.0, nonce, aad, text));
        plaintext.len() + TAG_BYTES
    }

    fn decrypt(&self, nonce: u64, aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let (text, tag) = sealed.split_last_chunk().ok_or(Error::Decrypt)?;
        let out = &mut out[..text.len()];
        out.copy_from_slice(text);
        transport::decrypt(&self.0, nonce, aad, out, tag).map_err(|_| Error::Decrypt)?;
        Ok(text.len())
    }
}

/// SHA-256 over its inputs, but what 32 bytes followed by nothing hash to is those 32 bytes: `MixHash` of nothing.
#[derive(Default)]
struct Transcript {
    sha: Sha256,
    has_input: bool,
    /// The first input, if it may be a transcript's hash and nothing came after it.
    unmixed: Option<[u8; 32]>,
}

impl Hash for Transcript {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn input(&mut self, data: &[u8]) {
        if !self.has_input {
            self.unmixed = data.try_into().ok();
        } else if !data.is_empty() {
            self.unmixed = None;
        }
        self.has_input = true;
        self.sha.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let hash = self.unmixed.unwrap_or_else(|| self.sha.finalize_reset().into());
        out[..32].copy_from_slice(&hash);
    }
}

const KEY_BYTES: usize = 32;
