//! AES-CBC and HKDF as blobs at rest have them: app state and media.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use aes::{Aes256Dec, Aes256Enc, Block};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of an AES block, and of an initialisation vector.
pub const BLOCK_BYTES: usize = 16;

/// HKDF-SHA256 without salt.
#[must_use]
pub fn expand<const N: usize>(seed: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32, "more than HKDF gives") };
    let mut out = Zeroizing::new([0; N]);
    // Unwrap safety: the length is checked above.
    Hkdf::<Sha256>::new(None, seed)
        .expand(info, &mut out[..])
        .unwrap_or_else(|_| unreachable!("a length that HKDF gives"));
    out
}

/// AES-256-CBC with PKCS#7 padding, appended to `out`.
pub fn encrypt(key: &[u8; 32], iv: &[u8; BLOCK_BYTES], plaintext: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(plaintext);
    out.resize(start + (plaintext.len() / BLOCK_BYTES + 1) * BLOCK_BYTES, 0);
    let cipher = cbc::Encryptor::<Aes256Enc>::new(key.into(), iv.into());
    let fits = cipher.encrypt_padded::<Pkcs7>(&mut out[start..], plaintext.len());
    debug_assert!(fits.is_ok(), "the buffer has room for the padding");
}

/// AES-256-CBC of what comes piece by piece, in whole blocks and in place. Padding is its user's.
pub struct Encrypting(cbc::Encryptor<Aes256Enc>);

impl Encrypting {
    /// Of which nothing has come yet.
    #[must_use]
    pub fn new(key: &[u8; 32], iv: &[u8; BLOCK_BYTES]) -> Self {
        Self(cbc::Encryptor::new(key.into(), iv.into()))
    }

    /// Encrypts the next blocks; what is behind the last whole one stays as it is.
    pub fn blocks(&mut self, data: &mut [u8]) {
        self.0.encrypt_blocks(Block::slice_as_chunks_mut(data).0);
    }
}

/// Undoes [`Encrypting`].
pub struct Decrypting(cbc::Decryptor<Aes256Dec>);

impl Decrypting {
    /// Of which nothing has come yet.
    #[must_use]
    pub fn new(key: &[u8; 32], iv: &[u8; BLOCK_BYTES]) -> Self {
        Self(cbc::Decryptor::new(key.into(), iv.into()))
    }

    /// Decrypts the next blocks; what is behind the last whole one stays as it is.
    pub fn blocks(&mut self, data: &mut [u8]) {
        self.0.decrypt_blocks(Block::slice_as_chunks_mut(data).0);
    }
}

/// Undoes [`encrypt`] in place; `None` if the padding is wrong.
#[must_use]
pub fn decrypt(key: &[u8; 32], iv: &[u8; BLOCK_BYTES], mut ciphertext: Vec<u8>) -> Option<Vec<u8>> {
    let cipher = cbc::Decryptor::<Aes256Dec>::new(key.into(), iv.into());
    let len = cipher.decrypt_padded::<Pkcs7>(&mut ciphertext).ok()?.len();
    ciphertext.truncate(len);
    Some(ciphertext)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encrypted_is_read_back_and_wrong_padding_is_not() {
        let (key, iv) = ([7; 32], [9; BLOCK_BYTES]);
        for length in [0, 1, 15, 16, 17, 100] {
            let plaintext = vec![3; length];
            let mut sealed = Vec::new();
            encrypt(&key, &iv, &plaintext, &mut sealed);
            assert_eq!(decrypt(&key, &iv, sealed.clone()), Some(plaintext));
            assert_eq!(decrypt(&key, &iv, sealed[1..].to_vec()), None);
        }
        assert_eq!(decrypt(&key, &iv, Vec::new()), None);
    }
}
