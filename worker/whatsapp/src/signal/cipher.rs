//! The symmetric half of Signal: chains, message keys, AES and the key derivations.
//!
//! Owns every derivation constant. Knows nothing of sessions or message formats.
//! Facts: docs/PROTOCOL.md, "Signal": chains, message keys, sender chains.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aes::{Aes256Dec, Aes256Enc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::LazyLock;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

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
pub(super) fn session_keys(products: &[&[u8; 32]]) -> (Secret, Secret) {
    let mut extract = NO_SALT.clone().chain_update([0xff; 32]);
    for product in products {
        extract.update(*product);
    }
    halves(&mut expand(&extract.finalize().into_bytes().into(), SESSION_INFO))
}

/// One step of the Diffie-Hellman ratchet: the next root and a new chain.
pub(super) fn ratchet_keys(root: &Secret, product: &[u8; 32]) -> (Secret, Secret) {
    let prk = keyed(root.as_bytes()).chain_update(product).finalize().into_bytes().into();
    halves(&mut expand(&prk, RATCHET_INFO))
}

/// What one pairwise message is encrypted and authenticated with.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct MessageKeys {
    cipher_key: [u8; 32],
    mac_key: [u8; 32],
    iv: [u8; BLOCK_SIZE_BYTES],
}

impl MessageKeys {
    #[inline]
    pub(super) fn derive(seed: &Secret) -> Self {
        let mut okm: [u8; 80] = expand(&extract_unsalted(seed), MESSAGE_INFO);
        let keys = Self { cipher_key: cut(&okm, 0), mac_key: cut(&okm, 32), iv: cut(&okm, 64) };
        okm.zeroize();
        keys
    }

    /// Appends the encryption of `plaintext`: [`encrypted_len`] bytes.
    #[inline]
    pub(super) fn encrypt(&self, plaintext: &[u8], out: &mut Vec<u8>) {
        encrypt(&self.cipher_key, &self.iv, plaintext, out);
    }

    /// The plaintext; `None` if the padding is wrong, which an authentic message never has.
    pub(super) fn decrypt(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        decrypt(&self.cipher_key, &self.iv, ciphertext)
    }

    /// The first eight bytes of the MAC over these parts.
    #[inline]
    pub(super) fn mac(&self, parts: [&[u8]; 3]) -> [u8; 8] {
        let mut mac = keyed(&self.mac_key);
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
}

/// What one group message is encrypted with. The sender's signature authenticates it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct GroupMessageKeys {
    iv: [u8; BLOCK_SIZE_BYTES],
    cipher_key: [u8; 32],
}

impl GroupMessageKeys {
    pub(super) fn derive(seed: &Secret) -> Self {
        let mut okm: [u8; 48] = expand(&extract_unsalted(seed), GROUP_INFO);
        let keys = Self { iv: cut(&okm, 0), cipher_key: cut(&okm, 16) };
        okm.zeroize();
        keys
    }

    /// Appends the encryption of `plaintext`: [`encrypted_len`] bytes.
    pub(super) fn encrypt(&self, plaintext: &[u8], out: &mut Vec<u8>) {
        encrypt(&self.cipher_key, &self.iv, plaintext, out);
    }

    /// The plaintext; `None` if the padding is wrong.
    pub(super) fn decrypt(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        decrypt(&self.cipher_key, &self.iv, ciphertext)
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
    // Shorter than a block, so that it is used as it is: padding it here spares the length checks.
    let mut block = [0u8; 64];
    block[..32].copy_from_slice(key);
    let keyed = HmacSha256::new(&block.into());
    block.zeroize();
    keyed
}

#[inline]
fn extract_unsalted(seed: &Secret) -> [u8; 32] {
    NO_SALT.clone().chain_update(seed.as_bytes()).finalize().into_bytes().into()
}

/// HKDF-Expand.
#[inline]
fn expand<const N: usize>(prk: &[u8; 32], info: &[u8]) -> [u8; N] {
    let prk = keyed(prk);
    let mut okm = [0u8; N];
    let mut previous: &[u8] = &[];
    let mut rest = &mut okm[..];
    let mut block: [u8; 32];
    let mut counter = 0u8;
    while !rest.is_empty() {
        counter += 1;
        block = prk
            .clone()
            .chain_update(previous)
            .chain_update(info)
            .chain_update([counter])
            .finalize()
            .into_bytes()
            .into();
        let len = rest.len().min(32);
        let (head, tail) = rest.split_at_mut(len);
        head.copy_from_slice(&block[..len]);
        previous = head;
        rest = tail;
    }
    okm
}

fn halves(okm: &mut [u8; 64]) -> (Secret, Secret) {
    let both = (Secret(cut(okm, 0)), Secret(cut(okm, 32)));
    okm.zeroize();
    both
}

#[inline]
fn cut<const N: usize>(bytes: &[u8], from: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[from..from + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::test_vectors::{bytes, vector};

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
            assert_eq!(&keys.cipher_key[..], bytes(&row["cipher_key"]));
            assert_eq!(&keys.mac_key[..], bytes(&row["mac_key"]));
            assert_eq!(&keys.iv[..], bytes(&row["iv"]));
        }
    }

    #[test]
    fn session_keys_are_those_of_the_vectors() {
        let names = ["dh1_IKa_SPKb", "dh2_EKa_IKb", "dh3_EKa_SPKb", "dh4_EKa_OPKb"];
        for id in ["signal_session_with_one_time_prekey"] {
            let x3dh = &vector(id)["x3dh"];
            let products: Vec<[u8; 32]> = names
                .iter()
                .filter(|name| x3dh[**name].is_string())
                .map(|name| bytes(&x3dh[*name]).try_into().unwrap())
                .collect();
            let (root, chain) = session_keys(&products.iter().collect::<Vec<_>>());
            assert_eq!(root.0, secret(&x3dh["root_key"]).0, "{id}");
            assert_eq!(chain.0, secret(&x3dh["chain_key_unused_by_initiator"]).0, "{id}");
        }
    }

    #[test]
    fn expansion_is_that_of_the_hkdf_crate() {
        let seed = Secret([7; 32]);
        let mut expected = [0u8; 80];
        hkdf::Hkdf::<Sha256>::new(None, seed.as_bytes()).expand(b"info", &mut expected).unwrap();
        assert_eq!(expand::<80>(&extract_unsalted(&seed), b"info"), expected);
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
