//! The symmetric half of Signal: chains, message keys, AES and the key derivations.
//!
//! Owns every derivation constant. Knows nothing of sessions or message formats.
//! Facts: docs/PROTOCOL.md, "Signal": chains, message keys, sender chains.

use std::sync::LazyLock;

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aes::{Aes256Dec, Aes256Enc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of an AES block.
pub(super) const BLOCK_SIZE_BYTES: usize = 16;

const SEED_INPUT: [u8; 1] = [1];
const CHAIN_INPUT: [u8; 1] = [2];
const SESSION_INFO: &[u8] = b"WhisperText";
const RATCHET_INFO: &[u8] = b"WhisperRatchet";
const MESSAGE_INFO: &[u8] = b"WhisperMessageKeys";
const GROUP_INFO: &[u8] = b"WhisperGroup";

type HmacSha256 = Hmac<Sha256>;

/// HMAC keyed with no salt. Its set-up is two of the 25 compressions that encrypting a short message takes.
static NO_SALT: LazyLock<HmacSha256> = LazyLock::new(|| keyed(&[0; 32]));

/// 32 secret bytes: a root key, chain key or message key seed. Wiped when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Secret([u8; 32]);

impl Secret {
    pub(super) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Seeds of messages that were overtaken, by rising number.
pub(super) type Seeds = Vec<(u32, Secret)>;

/// A symmetric chain: each step yields the seed of one message and forgets how it got there.
#[derive(Clone)]
pub(super) struct Chain {
    pub(super) key: Secret,
    /// The counter of the next message.
    pub(super) index: u32,
}

impl Chain {
    pub(super) const fn new(key: Secret) -> Self {
        Self { key, index: 0 }
    }

    /// The seed of the message at `index`. The caller has checked that `index` is not the last number.
    #[inline]
    pub(super) fn step(&mut self) -> Secret {
        let keyed = keyed(self.key.as_bytes());
        let seed = keyed.clone().chain_update(SEED_INPUT).finalize().into_bytes();
        self.key = Secret(keyed.chain_update(CHAIN_INPUT).finalize().into_bytes().into());
        self.index += 1;
        Secret(seed.into())
    }
}

/// The root and the first chain of a new session, from its Diffie-Hellman products in order.
pub(super) fn session_keys<'a>(products: impl IntoIterator<Item = &'a [u8; 32]>) -> (Secret, Secret) {
    let mut extract = NO_SALT.clone().chain_update([0xff; 32]);
    for product in products {
        extract.update(product);
    }
    two_keys(&extract.finalize().into_bytes().into(), SESSION_INFO)
}

/// One step of the Diffie-Hellman ratchet: the next root and a new chain.
pub(super) fn ratchet_keys(root: &Secret, product: &[u8; 32]) -> (Secret, Secret) {
    let prk = keyed(root.as_bytes())
        .chain_update(product)
        .finalize()
        .into_bytes()
        .into();
    two_keys(&prk, RATCHET_INFO)
}

/// What one pairwise message is encrypted and authenticated with: cipher key, MAC key, IV. Kept as they are derived, so
/// that there is one copy to wipe.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct MessageKeys([u8; 80]);

impl MessageKeys {
    #[inline]
    pub(super) fn derive(seed: &Secret) -> Self {
        let mut keys = Self([0; 80]);
        expand(&extract_unsalted(seed), MESSAGE_INFO, &mut keys.0);
        keys
    }

    /// Appends the encryption of `plaintext`: [`encrypted_len`] bytes.
    #[inline]
    pub(super) fn encrypt(&self, plaintext: &[u8], out: &mut Vec<u8>) {
        let (cipher_key, _, iv) = self.split();
        encrypt(cipher_key, iv, plaintext, out);
    }

    /// The plaintext; `None` if the padding is wrong, which an authentic message never has.
    pub(super) fn decrypt(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        let (cipher_key, _, iv) = self.split();
        decrypt(cipher_key, iv, ciphertext)
    }

    /// The first eight bytes of the MAC over these parts.
    #[inline]
    pub(super) fn mac(&self, parts: [&[u8]; 3]) -> [u8; 8] {
        let mut mac = keyed(self.split().1);
        for part in parts {
            mac.update(part);
        }
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        cut(&full, 0)
    }

    /// Whether `mac` is what [`Self::mac`] gives, in constant time.
    pub(super) fn mac_matches(&self, parts: [&[u8]; 3], mac: &[u8]) -> bool {
        self.mac(parts).ct_eq(mac).into()
    }

    #[inline]
    fn split(&self) -> (&[u8; 32], &[u8; 32], &[u8; BLOCK_SIZE_BYTES]) {
        (part(&self.0, 0), part(&self.0, 32), part(&self.0, 64))
    }
}

/// What one group message is encrypted with: IV, cipher key. The sender's signature authenticates it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct GroupMessageKeys([u8; 48]);

impl GroupMessageKeys {
    pub(super) fn derive(seed: &Secret) -> Self {
        let mut keys = Self([0; 48]);
        expand(&extract_unsalted(seed), GROUP_INFO, &mut keys.0);
        keys
    }

    /// Appends the encryption of `plaintext`: [`encrypted_len`] bytes.
    pub(super) fn encrypt(&self, plaintext: &[u8], out: &mut Vec<u8>) {
        encrypt(part(&self.0, 16), part(&self.0, 0), plaintext, out);
    }

    /// The plaintext; `None` if the padding is wrong.
    pub(super) fn decrypt(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        decrypt(part(&self.0, 16), part(&self.0, 0), ciphertext)
    }
}

/// How long the encryption of `len` bytes is.
#[inline]
pub(super) const fn encrypted_len(len: usize) -> usize {
    (len / BLOCK_SIZE_BYTES + 1) * BLOCK_SIZE_BYTES
}

#[inline]
fn encrypt(key: &[u8; 32], iv: &[u8; BLOCK_SIZE_BYTES], plaintext: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(plaintext);
    out.resize(start + encrypted_len(plaintext.len()), 0);
    let cipher = cbc::Encryptor::<Aes256Enc>::new(key.into(), iv.into());
    let fits = cipher.encrypt_padded::<Pkcs7>(&mut out[start..], plaintext.len());
    debug_assert!(fits.is_ok(), "the buffer has room for the padding");
}

fn decrypt(key: &[u8; 32], iv: &[u8; BLOCK_SIZE_BYTES], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = ciphertext.to_vec();
    let cipher = cbc::Decryptor::<Aes256Dec>::new(key.into(), iv.into());
    let len = cipher.decrypt_padded::<Pkcs7>(&mut buffer).ok()?.len();
    buffer.truncate(len);
    Some(buffer)
}

#[inline]
fn keyed(key: &[u8; 32]) -> HmacSha256 {
    // Unwrap safety: HMAC takes a key of any length.
    HmacSha256::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"))
}

#[inline]
fn extract_unsalted(seed: &Secret) -> [u8; 32] {
    NO_SALT
        .clone()
        .chain_update(seed.as_bytes())
        .finalize()
        .into_bytes()
        .into()
}

/// HKDF-Expand: fills `okm`.
#[inline]
fn expand(prk: &[u8; 32], info: &[u8], okm: &mut [u8]) {
    let prk = keyed(prk);
    let mut previous: &[u8] = &[];
    let mut rest = okm;
    let mut counter = 0u8;
    while !rest.is_empty() {
        counter += 1;
        let block = prk
            .clone()
            .chain_update(previous)
            .chain_update(info)
            .chain_update([counter]);
        let block = block.finalize().into_bytes();
        let (head, tail) = rest.split_at_mut(rest.len().min(32));
        head.copy_from_slice(&block[..head.len()]);
        previous = head;
        rest = tail;
    }
}

fn two_keys(prk: &[u8; 32], info: &[u8]) -> (Secret, Secret) {
    let mut okm = Zeroizing::new([0; 64]);
    expand(prk, info, &mut okm[..]);
    (Secret(cut(&okm[..], 0)), Secret(cut(&okm[..], 32)))
}

#[inline]
fn cut<const N: usize>(bytes: &[u8], from: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[from..from + N]);
    out
}

/// A key within derived bytes.
#[inline]
fn part<const N: usize>(bytes: &[u8], from: usize) -> &[u8; N] {
    // Unwrap safety: the callers name parts of arrays whose size they know.
    bytes[from..]
        .first_chunk()
        .unwrap_or_else(|| unreachable!("the part lies within the bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::testing::{bytes, vector};

    fn secret(value: &serde_json::Value) -> Secret {
        Secret(bytes(value).try_into().unwrap())
    }

    #[test]
    fn chain_and_message_keys_are_those_of_the_vector() {
        let vector = vector("chain_kdf");
        let rows = vector["rows"].as_array().unwrap();
        let mut chain = Chain::new(secret(&rows[0]["chain_key"]));
        for row in rows {
            assert_eq!(u64::from(chain.index), row["i"].as_u64().unwrap());
            assert_eq!(chain.key.0, secret(&row["chain_key"]).0);
            let seed = chain.step();
            assert_eq!(seed.0, secret(&row["message_key_seed"]).0);
            let keys = MessageKeys::derive(&seed);
            let (cipher_key, mac_key, iv) = keys.split();
            assert_eq!(&cipher_key[..], bytes(&row["cipher_key"]));
            assert_eq!(&mac_key[..], bytes(&row["mac_key"]));
            assert_eq!(&iv[..], bytes(&row["iv"]));
        }
    }

    #[test]
    fn session_keys_are_those_of_the_vector() {
        let vector = vector("signal_session_with_one_time_prekey");
        let x3dh = &vector["x3dh"];
        let products = ["dh1_IKa_SPKb", "dh2_EKa_IKb", "dh3_EKa_SPKb", "dh4_EKa_OPKb"]
            .map(|name| <[u8; 32]>::try_from(bytes(&x3dh[name])).unwrap());
        let (root, chain) = session_keys(&products);
        assert_eq!(root.0, secret(&x3dh["root_key"]).0);
        assert_eq!(chain.0, secret(&x3dh["chain_key_unused_by_initiator"]).0);
    }

    #[test]
    fn expansion_is_that_of_the_hkdf_crate() {
        let seed = Secret([7; 32]);
        let mut expected = [0u8; 80];
        hkdf::Hkdf::<Sha256>::new(None, seed.as_bytes())
            .expand(b"info", &mut expected)
            .unwrap();
        let mut okm = [0u8; 80];
        expand(&extract_unsalted(&seed), b"info", &mut okm);
        assert_eq!(okm, expected);
    }

    #[test]
    fn encryption_comes_back_and_has_the_length_foretold() {
        let keys = MessageKeys::derive(&Secret([1; 32]));
        for len in [0, 1, 15, 16, 17, 112] {
            let plaintext = vec![3; len];
            let mut out = vec![9];
            keys.encrypt(&plaintext, &mut out);
            assert_eq!(out.len(), 1 + encrypted_len(len));
            assert_eq!(keys.decrypt(&out[1..]), Some(plaintext));
            assert_eq!(keys.decrypt(&out), None);
        }
    }
}
