//! Curve25519 keys: agreement (X25519) and the signatures that WhatsApp makes with the same keys (XEdDSA).
//!
//! Owns the key types of the whole crate. Knows nothing of sessions, stanzas or storage.
//! Facts: docs/PROTOCOL.md, "Signal"; XEdDSA in its historic variant, where the sign bit of the Edwards public key
//! travels in the top bit of the signature.

use std::fmt;

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use rand::CryptoRng;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a public key as stanza nodes carry it.
pub const PUBLIC_KEY_SIZE_BYTES: usize = 32;
/// Bytes of a public key with its type byte, as protobufs, MACs and signatures carry it.
pub const TYPED_PUBLIC_KEY_SIZE_BYTES: usize = 33;
/// Bytes of a signature.
pub const SIGNATURE_SIZE_BYTES: usize = 64;
/// Bytes of a stored pair.
pub(super) const PAIR_SIZE_BYTES: usize = 64;
/// The type byte of a Curve25519 public key (DJB).
pub const KEY_TYPE: u8 = 0x05;

/// A Curve25519 public key (the Montgomery u coordinate).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; PUBLIC_KEY_SIZE_BYTES]);

impl PublicKey {
    /// The key with these 32 bytes. Any 32 bytes are a key; see [`PrivateKey::agree`] for the ones to refuse.
    pub const fn new(bytes: [u8; PUBLIC_KEY_SIZE_BYTES]) -> Self {
        Self(bytes)
    }

    /// Parses 32 raw bytes, or 33 bytes that begin with the type byte.
    ///
    /// # Errors
    /// [`BadPublicKey`] for another length or type: the sender is at fault, drop what carried the key.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadPublicKey> {
        let raw = match bytes {
            [KEY_TYPE, raw @ ..] if raw.len() == PUBLIC_KEY_SIZE_BYTES => raw,
            raw => raw,
        };
        raw.try_into().map(Self).map_err(|_| BadPublicKey)
    }

    /// The raw 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_KEY_SIZE_BYTES] {
        &self.0
    }

    /// The raw 32 bytes.
    pub const fn to_bytes(self) -> [u8; PUBLIC_KEY_SIZE_BYTES] {
        self.0
    }

    /// The key behind its type byte, as protobufs, MACs and signatures carry it.
    pub fn serialize33(&self) -> [u8; TYPED_PUBLIC_KEY_SIZE_BYTES] {
        let mut out = [KEY_TYPE; TYPED_PUBLIC_KEY_SIZE_BYTES];
        out[1..].copy_from_slice(&self.0);
        out
    }

    /// Checks that the holder of this key's private half signed `message`.
    ///
    /// # Errors
    /// [`BadSignature`]: nothing that the message says may be believed.
    pub fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_SIZE_BYTES]) -> Result<(), BadSignature> {
        self.verify_parts(&[message], signature)
    }

    /// Like [`Self::verify`] for a message in several pieces.
    ///
    /// # Errors
    /// [`BadSignature`], as there.
    pub fn verify_parts(
        &self,
        message: &[&[u8]],
        signature: &[u8; SIGNATURE_SIZE_BYTES],
    ) -> Result<(), BadSignature> {
        self.prepare().verify_parts(message, signature)
    }

    /// The key with its point at hand, for whoever uses it more than once.
    pub(super) fn prepare(&self) -> PreparedKey {
        PreparedKey {
            u: MontgomeryPoint(self.0),
            point: MontgomeryPoint(self.0).to_edwards(0),
        }
    }
}

/// A public key whose point on the curve's Edwards form was computed: a fifth of what an agreement costs.
pub(super) struct PreparedKey {
    u: MontgomeryPoint,
    /// The one of the two points with this coordinate whose sign is 0. Keys on the curve's twist have none.
    point: Option<EdwardsPoint>,
}

impl PreparedKey {
    /// As [`PublicKey::verify_parts`].
    pub(super) fn verify_parts(
        &self,
        message: &[&[u8]],
        signature: &[u8; SIGNATURE_SIZE_BYTES],
    ) -> Result<(), BadSignature> {
        let (nonce_point, tail) = signature.split_at(32);
        let mut s = [0u8; 32];
        s.copy_from_slice(tail);
        let is_negative = s[31] >> 7 == 1;
        s[31] &= 0x7f;
        // A scalar that is not reduced would make a second valid signature out of each one.
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)).ok_or(BadSignature)?;
        let point = self.point.ok_or(BadSignature)?;
        let point = if is_negative { -point } else { point };
        let mut hash = Sha512::new();
        hash.update(nonce_point);
        hash.update(point.compress().as_bytes());
        for part in message {
            hash.update(part);
        }
        let h = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&h, &-point, &s).compress();
        if bool::from(expected.as_bytes().ct_eq(nonce_point)) {
            Ok(())
        } else {
            Err(BadSignature)
        }
    }
}

/// Prints the first two bytes: enough to tell keys apart, not enough to follow a person.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// A Curve25519 private key. Wiped when dropped; never printed. The bytes are kept as given and clamped at each use.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PrivateKey([u8; 32]);

impl PrivateKey {
    /// The key with these 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for storage only.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public half. Costs a multiplication: keep a [`KeyPair`].
    pub fn public(&self) -> PublicKey {
        PublicKey(EdwardsPoint::mul_base_clamped(self.0).to_montgomery().to_bytes())
    }

    /// X25519 with `theirs`. All zeros if `theirs` is of low order; see [`Self::agree_contributory`].
    pub fn agree(&self, theirs: &PublicKey) -> [u8; 32] {
        self.agree_prepared(&theirs.prepare())
    }

    fn agree_prepared(&self, theirs: &PreparedKey) -> [u8; 32] {
        // The curve's Edwards form takes two thirds of the time.
        match theirs.point {
            Some(point) => point.mul_clamped(self.0).to_montgomery().to_bytes(),
            None => theirs.u.mul_clamped(self.0).to_bytes(),
        }
    }

    /// Like [`Self::agree`], but refuses a key of low order, with which anybody would know the secret.
    ///
    /// # Errors
    /// [`BadPublicKey`]: the other side is broken or hostile.
    pub fn agree_contributory(&self, theirs: &PublicKey) -> Result<Zeroizing<[u8; 32]>, BadPublicKey> {
        self.agree_contributory_prepared(&theirs.prepare())
    }

    /// As [`Self::agree_contributory`].
    pub(super) fn agree_contributory_prepared(
        &self,
        theirs: &PreparedKey,
    ) -> Result<Zeroizing<[u8; 32]>, BadPublicKey> {
        let secret = Zeroizing::new(self.agree_prepared(theirs));
        if bool::from(secret.ct_eq(&[0; 32])) {
            Err(BadPublicKey)
        } else {
            Ok(secret)
        }
    }

    /// Signs `message`. `random` is 64 fresh random bytes: they keep the nonce secret even if the hash leaks.
    pub fn sign(&self, message: &[u8], random: &[u8; 64]) -> [u8; SIGNATURE_SIZE_BYTES] {
        self.sign_parts(&[message], random)
    }

    /// Like [`Self::sign`] for a message in several pieces.
    pub fn sign_parts(&self, message: &[&[u8]], random: &[u8; 64]) -> [u8; SIGNATURE_SIZE_BYTES] {
        let clamped = Zeroizing::new(clamp_integer(self.0));
        let a = Zeroizing::new(Scalar::from_bytes_mod_order(*clamped));
        let public = EdwardsPoint::mul_base(&a).compress();
        let mut hash = Sha512::new();
        hash.update(NONCE_PREFIX);
        hash.update(clamped.as_slice());
        for part in message {
            hash.update(part);
        }
        hash.update(random);
        let r = Zeroizing::new(Scalar::from_bytes_mod_order_wide(&hash.finalize().into()));
        let nonce_point = EdwardsPoint::mul_base(&r).compress();
        let mut hash = Sha512::new();
        hash.update(nonce_point.as_bytes());
        hash.update(public.as_bytes());
        for part in message {
            hash.update(part);
        }
        let h = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let s = *r + h * *a;
        let mut out = [0u8; SIGNATURE_SIZE_BYTES];
        out[..32].copy_from_slice(nonce_point.as_bytes());
        out[32..].copy_from_slice(s.as_bytes());
        out[63] |= public.as_bytes()[31] & 0x80;
        out
    }
}

/// Prints no byte of the key.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// A private key with its public half.
#[derive(Clone, Debug)]
pub struct KeyPair {
    private: PrivateKey,
    public: PublicKey,
}

impl KeyPair {
    /// A fresh pair.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = [0u8; 32];
        rng.fill_bytes(&mut bytes);
        // Stored clamped, so that the bytes are the same to implementations that clamp at generation.
        Self::from_private(PrivateKey(clamp_integer(bytes)))
    }

    /// The pair of this private key.
    pub fn from_private(private: PrivateKey) -> Self {
        Self {
            public: private.public(),
            private,
        }
    }

    /// The pair of halves that are known to belong together (read back from storage): saves the multiplication.
    pub const fn from_halves(private: PrivateKey, public: PublicKey) -> Self {
        Self { private, public }
    }

    /// The bytes for storage: private || public. Secret.
    pub(crate) fn encode(&self) -> [u8; PAIR_SIZE_BYTES] {
        let mut out = [0; PAIR_SIZE_BYTES];
        out[..32].copy_from_slice(self.private.as_bytes());
        out[32..].copy_from_slice(self.public.as_bytes());
        out
    }

    /// Reads what [`Self::encode`] wrote; `None` if it did not.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (private, public) = bytes.split_at_checked(32)?;
        let private = PrivateKey::new(private.try_into().ok()?);
        Some(Self::from_halves(
            private,
            PublicKey::new(public.try_into().ok()?),
        ))
    }

    /// The private half.
    pub const fn private(&self) -> &PrivateKey {
        &self.private
    }

    /// The public half.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// X25519 with `theirs`, as [`PrivateKey::agree`].
    pub fn agree(&self, theirs: &PublicKey) -> [u8; 32] {
        self.private.agree(theirs)
    }

    /// Signs with 64 bytes from `rng`, as [`PrivateKey::sign`].
    pub fn sign<R: CryptoRng + ?Sized>(&self, message: &[u8], rng: &mut R) -> [u8; SIGNATURE_SIZE_BYTES] {
        let mut random = [0u8; 64];
        rng.fill_bytes(&mut random);
        self.private.sign(message, &random)
    }
}

/// The bytes are no Curve25519 public key that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a usable Curve25519 public key")]
pub struct BadPublicKey;

/// The signature is not one of this key over this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature does not verify")]
pub struct BadSignature;

/// Keeps nonce hashes apart from every other use of the private key (XEdDSA's `hash_1`: 0xFE and 31 times 0xFF).
const NONCE_PREFIX: [u8; 32] = {
    let mut prefix = [0xff; 32];
    prefix[0] = 0xfe;
    prefix
};

#[cfg(test)]
mod tests;
