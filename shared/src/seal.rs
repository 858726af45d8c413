//! Sealing of credentials at rest: AES-256-GCM under a key from the environment.
//!
//! A sealed value is `key id (1) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`. Each session has a key of its own,
//! derived from the configured one, so that random nonces stay far from their limit (2^32 per key) however
//! many messages a deployment sends. The place of a value (session, kind, name) is authenticated: a row moved
//! elsewhere does not open.

use std::fmt;
use std::str::FromStr;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::id::SessionId;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const ID_BYTES: usize = 1;

/// Why a key or a sealed value is not usable.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealError {
    /// The configured key is not 32 bytes of hex or base64.
    #[error("must be 32 bytes as hex or base64 (older keys behind it, separated by commas)")]
    BadKey,
    /// Two configured keys are the same.
    #[error("names the same key twice")]
    SameKey,
    /// No configured key opens the value: it was sealed under another key, or changed.
    #[error("a stored credential does not open: sealed under another KEY_ENCRYPTION_KEY, or damaged")]
    Unopened,
}

/// Where a sealed value belongs. It opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The session.
    pub session: SessionId,
    /// The kind of the value.
    pub kind: u8,
    /// Its name within the kind.
    pub name: &'a [u8],
}

/// Seals and opens credentials. The first key seals; all open.
#[derive(Clone)]
pub struct Sealer {
    keys: Vec<(u8, Zeroizing<[u8; KEY_BYTES]>)>,
}

impl Sealer {
    /// Takes the current key and the older ones.
    ///
    /// # Errors
    /// [`SealError::SameKey`] if one is named twice.
    pub fn new(current: [u8; KEY_BYTES], older: &[[u8; KEY_BYTES]]) -> Result<Self, SealError> {
        let mut keys: Vec<(u8, Zeroizing<[u8; KEY_BYTES]>)> = Vec::with_capacity(1 + older.len());
        for key in std::iter::once(&current).chain(older) {
            if keys.iter().any(|(_, known)| **known == *key) {
                return Err(SealError::SameKey);
            }
            keys.push((key_id(key), Zeroizing::new(*key)));
        }
        Ok(Self { keys })
    }

    /// A key of its own for one purpose; nothing of the current key can be learned from it.
    pub fn derive(&self, purpose: &str) -> [u8; KEY_BYTES] {
        let (_, key) = &self.keys[0];
        Sha256::new()
            .chain_update(b"fanfare purpose key")
            .chain_update(key)
            .chain_update(purpose.as_bytes())
            .finalize()
            .into()
    }

    /// For the values of one session: making its keys costs as much as sealing a short value, so whoever has many values
    /// of a session makes them once.
    pub fn of(&self, session: SessionId) -> SessionSealer {
        let ciphers = self.keys.iter().map(|(id, key)| (*id, cipher(key, session)));
        SessionSealer {
            session,
            ciphers: ciphers.collect(),
        }
    }

    /// Seals a value for its place.
    pub fn seal(&self, place: Place<'_>, plaintext: &[u8]) -> Vec<u8> {
        self.of(place.session).seal(place.kind, place.name, plaintext)
    }

    /// Opens a sealed value of a place.
    ///
    /// # Errors
    /// [`SealError::Unopened`] if no key opens it.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.of(place.session).open(place.kind, place.name, sealed)
    }

    /// The same value under the current key; `None` if it is sealed under that already.
    ///
    /// # Errors
    /// [`SealError::Unopened`] if no key opens it.
    pub fn renewed(&self, place: Place<'_>, sealed: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        let sealer = self.of(place.session);
        if sealer.is_current(place.kind, place.name, sealed) {
            return Ok(None);
        }
        let value = Zeroizing::new(sealer.open(place.kind, place.name, sealed)?);
        Ok(Some(sealer.seal(place.kind, place.name, &value)))
    }
}

/// A [`Sealer`] for the values of one session.
pub struct SessionSealer {
    session: SessionId,
    /// The current one, then the older ones.
    ciphers: Vec<(u8, Aes256Gcm)>,
}

impl SessionSealer {
    /// Seals a value for its kind and name.
    pub fn seal(&self, kind: u8, name: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let (id, cipher) = &self.ciphers[0];
        let mut nonce = [0_u8; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload {
            msg: plaintext,
            aad: &self.aad(kind, name),
        };
        // Unwrap safety: AES-GCM refuses only plaintexts over 64 GiB.
        #[allow(clippy::unwrap_used)]
        let sealed = cipher.encrypt(&Nonce::from(nonce), payload).unwrap();
        let mut out = Vec::with_capacity(ID_BYTES + NONCE_BYTES + sealed.len());
        out.push(*id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    /// Opens a sealed value of a kind and name.
    ///
    /// # Errors
    /// [`SealError::Unopened`] if no key opens it.
    pub fn open(&self, kind: u8, name: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        if sealed.len() < ID_BYTES + NONCE_BYTES + TAG_BYTES {
            return Err(SealError::Unopened);
        }
        let (head, ciphertext) = sealed.split_at(ID_BYTES + NONCE_BYTES);
        let nonce: [u8; NONCE_BYTES] = head[ID_BYTES..].try_into().map_err(|_| SealError::Unopened)?;
        let aad = self.aad(kind, name);
        // The id byte is a hint that may fit two keys; the tag decides.
        self.ciphers
            .iter()
            .filter(|(id, _)| *id == head[0])
            .find_map(|(_, cipher)| {
                let payload = Payload {
                    msg: ciphertext,
                    aad: &aad,
                };
                cipher.decrypt(&Nonce::from(nonce), payload).ok()
            })
            .ok_or(SealError::Unopened)
    }

    /// Whether the current key opens a value. Its id byte alone says so, but where an older key has the same.
    fn is_current(&self, kind: u8, name: &[u8], sealed: &[u8]) -> bool {
        let ((current, cipher), older) = (&self.ciphers[0], &self.ciphers[1..]);
        if sealed.first() != Some(current) || !older.iter().any(|(id, _)| id == current) {
            return sealed.first() == Some(current);
        }
        let alone = Self {
            session: self.session,
            ciphers: vec![(*current, cipher.clone())],
        };
        alone.open(kind, name, sealed).is_ok()
    }

    fn aad(&self, kind: u8, name: &[u8]) -> Vec<u8> {
        let mut aad = Vec::with_capacity(9 + name.len());
        aad.extend_from_slice(&self.session.get().to_be_bytes());
        aad.push(kind);
        aad.extend_from_slice(name);
        aad
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} keys)", self.keys.len())
    }
}

impl FromStr for Sealer {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let mut keys = text.split(',').map(|key| parse_key(key.trim()));
        let current = keys.next().ok_or(SealError::BadKey)??;
        let older = keys.collect::<Result<Vec<_>, _>>()?;
        Self::new(current, &older)
    }
}

fn parse_key(text: &str) -> Result<[u8; KEY_BYTES], SealError> {
    let bytes = match hex::decode(text) {
        Ok(bytes) => bytes,
        Err(_) => STANDARD.decode(text).map_err(|_| SealError::BadKey)?,
    };
    let key: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| SealError::BadKey)?;
    // A key of one repeated byte is a placeholder that somebody forgot to replace.
    if key.iter().all(|byte| *byte == key[0]) {
        Err(SealError::BadKey)
    } else {
        Ok(key)
    }
}

fn key_id(key: &[u8; KEY_BYTES]) -> u8 {
    Sha256::new()
        .chain_update(b"fanfare key id")
        .chain_update(key)
        .finalize()[0]
}

/// The session's own key: SHA-256 of a label, the configured key and the session's number. All parts have a
/// fixed length and the result is never shown, so a plain hash serves.
fn cipher(key: &[u8; KEY_BYTES], session: SessionId) -> Aes256Gcm {
    let derived = Sha256::new()
        .chain_update(b"fanfare session key")
        .chain_update(key)
        .chain_update(session.get().to_be_bytes())
        .finalize();
    Aes256Gcm::new(&derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(session: i64, kind: u8, name: &[u8]) -> Place<'_> {
        Place {
            session: SessionId::new(session),
            kind,
            name,
        }
    }

    #[test]
    fn opens_at_its_place_only() {
        let sealer = Sealer::new([7; 32], &[]).unwrap();
        let sealed = sealer.seal(place(1, 2, b"name"), b"ratchet");
        assert_eq!(sealer.open(place(1, 2, b"name"), &sealed).unwrap(), b"ratchet");
        for elsewhere in [place(2, 2, b"name"), place(1, 3, b"name"), place(1, 2, b"nam")] {
            assert_eq!(sealer.open(elsewhere, &sealed), Err(SealError::Unopened));
        }
        assert!(!sealed.windows(7).any(|w| w == b"ratchet"));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealer = Sealer::new([7; 32], &[]).unwrap();
        let sealed = sealer.seal(place(1, 2, b"n"), b"x");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(sealer.open(place(1, 2, b"n"), &changed).is_err(), "byte {index}");
        }
        assert!(sealer.open(place(1, 2, b"n"), &sealed[..20]).is_err());
    }

    #[test]
    fn an_older_key_opens_and_no_longer_seals() {
        let old = Sealer::new([1; 32], &[]).unwrap().seal(place(1, 1, b""), b"v");
        let rotated = Sealer::new([2; 32], &[[1; 32]]).unwrap();
        assert_eq!(rotated.open(place(1, 1, b""), &old).unwrap(), b"v");
        let new = rotated.seal(place(1, 1, b""), b"v");
        assert!(
            Sealer::new([1; 32], &[])
                .unwrap()
                .open(place(1, 1, b""), &new)
                .is_err()
        );
    }

    #[test]
    fn what_an_older_key_sealed_is_sealed_anew_once() {
        let (current, place) = ([2; 32], place(1, 1, b"n"));
        // One of 256 older keys has the same id byte as the current one.
        let twin = (3..=u8::MAX)
            .map(|byte| [byte; 32])
            .find(|key| key_id(key) == key_id(&current));
        let twin = twin.or_else(|| {
            (0..=u16::MAX)
                .map(|n| {
                    let mut key = [7; 32];
                    key[..2].copy_from_slice(&n.to_be_bytes());
                    key
                })
                .find(|key| key_id(key) == key_id(&current))
        });
        for older in [[1; 32], twin.unwrap()] {
            let old = Sealer::new(older, &[]).unwrap().seal(place, b"v");
            let rotated = Sealer::new(current, &[older]).unwrap();
            let new = rotated.renewed(place, &old).unwrap().unwrap();
            assert_eq!(
                Sealer::new(current, &[]).unwrap().open(place, &new).unwrap(),
                b"v"
            );
            assert_eq!(rotated.renewed(place, &new).unwrap(), None);
        }
        let stranger = Sealer::new([9; 32], &[]).unwrap().seal(place, b"v");
        let rotated = Sealer::new(current, &[[1; 32]]).unwrap();
        assert_eq!(rotated.renewed(place, &stranger), Err(SealError::Unopened));
    }

    #[test]
    fn keys_are_hex_or_base64_and_not_placeholders() {
        let hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        let base64 = STANDARD.encode([9_u8, 8, 7, 6].repeat(8));
        assert!(hex.parse::<Sealer>().is_ok());
        assert!(format!("{base64}, {hex}").parse::<Sealer>().is_ok());
        assert_eq!(
            format!("{hex},{hex}").parse::<Sealer>().unwrap_err(),
            SealError::SameKey
        );
        for bad in ["", "abc", &"00".repeat(32), &"ab".repeat(31)] {
            assert_eq!(bad.parse::<Sealer>().unwrap_err(), SealError::BadKey, "{bad}");
        }
    }
}
