//! Linking by phone number: the phone's user types a code that the companion shows.
//!
//! The code is a short password; each side sends an ephemeral key encrypted under it. From the agreed secret
//! both derive the ADV secret that a QR code would have carried, and go on as after a scan ([`super::adv`]).

use std::fmt;
use std::str::FromStr;

use aes::Aes256;
use aes_gcm::{AeadInOut as _, Aes256Gcm};
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hkdf::Hkdf;
use hmac::KeyInit as _;
use rand::CryptoRng;
use sha2::Sha256;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::device::AdvSecret;
use crate::signal::curve::{KeyPair, PublicKey};

/// Characters of a code.
pub const CODE_CHARS: usize = 8;
/// Bytes of an ephemeral key encrypted under a code: salt, iv, key.
pub const WRAPPED_KEY_BYTES: usize = SALT_BYTES + CTR_IV_BYTES + 32;
/// Bytes of the bundle that ends the exchange: salt, iv, three times 32 bytes, tag.
pub const BUNDLE_BYTES: usize = SALT_BYTES + GCM_IV_BYTES + BUNDLE_TEXT_BYTES + TAG_BYTES;

/// The code that the user types: eight characters of an alphabet without `0`, `I`, `O` and `U`.
/// [`fmt::Display`] is `ABCDEFGH`; a hyphen in the middle is for people and is dropped when parsing. Never
/// printed by [`fmt::Debug`].
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PairingCode([u8; CODE_CHARS]);

/// A text is no pairing code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("pairing code must be {CODE_CHARS} characters of 1-9 and A-Z without I, O and U")]
pub struct BadPairingCode;

impl PairingCode {
    /// A random code (40 bits).
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::from_bytes(random(rng))
    }

    pub(super) fn from_bytes(bytes: [u8; 5]) -> Self {
        let bits = bytes
            .iter()
            .fold(0u64, |bits, byte| (bits << 8) | u64::from(*byte));
        Self(std::array::from_fn(|at| {
            ALPHABET[(bits >> (35 - 5 * at)) as usize & 31]
        }))
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for PairingCode {
    type Err = BadPairingCode;

    fn from_str(text: &str) -> Result<Self, BadPairingCode> {
        let chars: Vec<u8> = text
            .bytes()
            .filter(|byte| *byte != b'-')
            .map(|byte| byte.to_ascii_uppercase())
            .collect();
        if !chars.iter().all(|char| ALPHABET.contains(char)) {
            return Err(BadPairingCode);
        }
        chars.try_into().map(Self).map_err(|_| BadPairingCode)
    }
}

impl fmt::Display for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingCode(…)")
    }
}

/// The other side does not know the code, or what it sent is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CodeError {
    /// A part has a wrong length.
    #[error("pairing message is not valid")]
    Malformed,
    /// A key that must not be used; what a wrong code unwraps to is not told apart from a good key.
    #[error("peer's key is not usable")]
    BadKey,
    /// The bundle does not decrypt: other code, or changed underway.
    #[error("pairing bundle does not decrypt")]
    WrongCode,
    /// The bundle names other identities than the two that pair.
    #[error("pairing bundle is for other identities")]
    WrongIdentity,
}

/// Companion: a code that has been shown and waits for the phone.
pub struct Companion {
    code: PairingCode,
    ephemeral: KeyPair,
    salt: [u8; SALT_BYTES],
    iv: [u8; CTR_IV_BYTES],
}

/// What ends the exchange for the companion.
pub struct Finish {
    /// The encrypted bundle for the phone.
    pub bundle: [u8; BUNDLE_BYTES],
    /// Takes the place of the device's secret.
    pub adv_secret: AdvSecret,
}

impl Companion {
    /// Begins with a code.
    pub fn start<R: CryptoRng + ?Sized>(code: PairingCode, rng: &mut R) -> Self {
        Self {
            code,
            ephemeral: KeyPair::generate(rng),
            salt: random(rng),
            iv: random(rng),
        }
    }

    /// The code to show.
    pub const fn code(&self) -> &PairingCode {
        &self.code
    }

    /// The encrypted ephemeral key for `companion_hello`. Takes tens of milliseconds: the code is stretched.
    pub fn hello(&self) -> [u8; WRAPPED_KEY_BYTES] {
        wrap(&self.code, self.ephemeral.public(), self.salt, self.iv)
    }

    /// Answers the phone's hello. Takes tens of milliseconds.
    ///
    /// # Errors
    /// If the phone's message is broken. A wrong code shows only at the phone.
    pub fn finish<R: CryptoRng + ?Sized>(
        &self,
        wrapped_primary: &[u8],
        identity: &KeyPair,
        phone_identity: &PublicKey,
        rng: &mut R,
    ) -> Result<Finish, CodeError> {
        let seed = BundleSeed {
            salt: random(rng),
            iv: random(rng),
            secret: random(rng),
        };
        self.finish_with(wrapped_primary, identity, phone_identity, &seed)
    }

    fn finish_with(
        &self,
        wrapped_primary: &[u8],
        identity: &KeyPair,
        phone_identity: &PublicKey,
        seed: &BundleSeed,
    ) -> Result<Finish, CodeError> {
        let primary = unwrap(&self.code, wrapped_primary)?;
        let shared = agree(&self.ephemeral, &primary)?;
        let identity_shared = agree(identity, phone_identity)?;
        let mut bundle = [0; BUNDLE_BYTES];
        let (header, rest) = bundle.split_at_mut(SALT_BYTES + GCM_IV_BYTES);
        header[..SALT_BYTES].copy_from_slice(&seed.salt);
        header[SALT_BYTES..].copy_from_slice(&seed.iv);
        let (text, tag) = rest.split_at_mut(BUNDLE_TEXT_BYTES);
        text[..32].copy_from_slice(identity.public().as_bytes());
        text[32..64].copy_from_slice(phone_identity.as_bytes());
        text[64..].copy_from_slice(&seed.secret);
        // Unwrap safety: AES-GCM refuses only messages over 64 GiB.
        #[allow(clippy::unwrap_used)]
        let sealed = bundle_cipher(&shared, &seed.salt)
            .encrypt_inout_detached(&seed.iv.into(), &[], text.into())
            .unwrap();
        tag.copy_from_slice(&sealed);
        Ok(Finish {
            bundle,
            adv_secret: derive_secret(&shared, &identity_shared, &seed.secret),
        })
    }
}

const ALPHABET: &[u8; 32] = b"123456789ABCDEFGHJKLMNPQRSTVWXYZ";
pub(crate) const SALT_BYTES: usize = 32;
pub(crate) const CTR_IV_BYTES: usize = 16;
pub(crate) const GCM_IV_BYTES: usize = 12;
pub(crate) const TAG_BYTES: usize = 16;
pub(crate) const BUNDLE_TEXT_BYTES: usize = 96;
const STRETCH_ROUNDS: u32 = 131_072;
const BUNDLE_INFO: &[u8] = b"link_code_pairing_key_bundle_encryption_key";
const SECRET_INFO: &[u8] = b"adv_secret";

/// The random parts of a bundle.
struct BundleSeed {
    salt: [u8; SALT_BYTES],
    iv: [u8; GCM_IV_BYTES],
    secret: [u8; 32],
}

pub(crate) fn random<const N: usize, R: CryptoRng + ?Sized>(rng: &mut R) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn stretch(code: &PairingCode, salt: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(&code.0, salt, STRETCH_ROUNDS, &mut key[..]);
    key
}

/// Encrypts a key under a code. Not authenticated on purpose: a wrong code gives another key, and no way to
/// test guesses.
pub(crate) fn wrap(
    code: &PairingCode,
    key: &PublicKey,
    salt: [u8; SALT_BYTES],
    iv: [u8; CTR_IV_BYTES],
) -> [u8; WRAPPED_KEY_BYTES] {
    let mut wrapped = [0; WRAPPED_KEY_BYTES];
    wrapped[..SALT_BYTES].copy_from_slice(&salt);
    wrapped[SALT_BYTES..SALT_BYTES + CTR_IV_BYTES].copy_from_slice(&iv);
    let text = &mut wrapped[SALT_BYTES + CTR_IV_BYTES..];
    text.copy_from_slice(key.as_bytes());
    Ctr128BE::<Aes256>::new((&*stretch(code, &salt)).into(), &iv.into()).apply_keystream(text);
    wrapped
}

pub(crate) fn unwrap(code: &PairingCode, wrapped: &[u8]) -> Result<PublicKey, CodeError> {
    let wrapped: &[u8; WRAPPED_KEY_BYTES] = wrapped.try_into().map_err(|_| CodeError::Malformed)?;
    let (salt, rest) = wrapped.split_at(SALT_BYTES);
    let (iv, key) = rest.split_at(CTR_IV_BYTES);
    let iv = <[u8; CTR_IV_BYTES]>::try_from(iv).map_err(|_| CodeError::Malformed)?;
    let mut key = <[u8; 32]>::try_from(key).map_err(|_| CodeError::Malformed)?;
    Ctr128BE::<Aes256>::new((&*stretch(code, salt)).into(), &iv.into()).apply_keystream(&mut key);
    Ok(PublicKey::new(key))
}

pub(crate) fn agree(own: &KeyPair, theirs: &PublicKey) -> Result<Zeroizing<[u8; 32]>, CodeError> {
    own.private()
        .agree_contributory(theirs)
        .map_err(|_| CodeError::BadKey)
}

pub(crate) fn bundle_cipher(shared: &[u8; 32], salt: &[u8]) -> Aes256Gcm {
    let key = expand(Some(salt), shared, BUNDLE_INFO);
    Aes256Gcm::new((&*key).into())
}

pub(crate) fn derive_secret(shared: &[u8; 32], identity_shared: &[u8; 32], random: &[u8]) -> AdvSecret {
    let input = Zeroizing::new([&shared[..], identity_shared, random].concat());
    AdvSecret::new(*expand(None, &input, SECRET_INFO))
}

pub(super) fn expand(salt: Option<&[u8]>, input: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    // Unwrap safety: 32 bytes are far below HKDF's limit of 255 blocks.
    #[allow(clippy::unwrap_used)]
    Hkdf::<Sha256>::new(salt, input)
        .expand(info, &mut key[..])
        .unwrap();
    key
}

#[cfg(test)]
mod tests;
