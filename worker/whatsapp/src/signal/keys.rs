//! The keys a device publishes.
//!
//! Owns our identity, prekeys, signed prekeys, bundles and their ids. Must not know how any of them travels
//! or is kept.
//! Facts: docs/PROTOCOL.md, "Signal": ids are 24 bits and start at 1, registration ids have 14 bits.

use std::fmt;

use bytes::Bytes;
use rand::CryptoRng;

use super::curve::{BadSignature, KeyPair, PAIR_SIZE_BYTES, PreparedKey, PublicKey, SIGNATURE_SIZE_BYTES};

/// The highest prekey id: they travel in three bytes.
pub const MAX_PREKEY_ID: u32 = 0x00ff_ffff;
/// The highest registration id that a device gives itself.
pub const MAX_REGISTRATION_ID: u32 = 16_380;

/// Who we are in our sessions.
#[derive(Clone, Copy, Debug)]
pub struct LocalIdentity<'a> {
    /// Our identity.
    pub pair: &'a KeyPair,
    /// Our installation.
    pub registration_id: RegistrationId,
}

macro_rules! key_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// The first id of a device.
            pub const FIRST: Self = Self(1);

            /// The id, if it is one of 1..=[`MAX_PREKEY_ID`].
            pub const fn new(id: u32) -> Option<Self> {
                if id >= 1 && id <= MAX_PREKEY_ID { Some(Self(id)) } else { None }
            }

            /// The id as a number.
            pub const fn get(self) -> u32 {
                self.0
            }

            /// The id after this one; the last is followed by the first.
            pub const fn next(self) -> Self {
                if self.0 >= MAX_PREKEY_ID { Self::FIRST } else { Self(self.0 + 1) }
            }

            /// How many ids come after `earlier` up to this one, going round.
            pub const fn since(self, earlier: Self) -> u32 {
                if self.0 >= earlier.0 { self.0 - earlier.0 } else { MAX_PREKEY_ID - earlier.0 + self.0 }
            }

            /// The three bytes, big endian, that stanza nodes carry.
            pub const fn to_be_bytes3(self) -> [u8; 3] {
                let [_, a, b, c] = self.0.to_be_bytes();
                [a, b, c]
            }

            /// Reads what [`Self::to_be_bytes3`] writes; `None` for another length or for 0.
            pub fn from_be_bytes3(bytes: &[u8]) -> Option<Self> {
                let [a, b, c] = *<&[u8; 3]>::try_from(bytes).ok()?;
                Self::new(u32::from_be_bytes([0, a, b, c]))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

key_id!(
    /// The id of a one-time prekey.
    PreKeyId
);
key_id!(
    /// The id of a signed prekey.
    SignedPreKeyId
);

/// The number that tells one installation of a device from the next under the same address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId(u32);

impl RegistrationId {
    /// The id as received; foreign ones may exceed 14 bits.
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// A random id for a new device. Never 0, which means "unknown" to retry logic.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(rng.next_u32() % MAX_REGISTRATION_ID + 1)
    }

    /// The id as a number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The four bytes, big endian, that stanza nodes carry.
    pub const fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    /// Reads what [`Self::to_be_bytes`] writes; `None` for another length.
    pub fn from_be_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self(u32::from_be_bytes(bytes.try_into().ok()?)))
    }
}

/// A one-time prekey: published, used by one session start, then deleted with the commit of that session.
#[derive(Clone, Debug)]
pub struct PreKey {
    /// Its id.
    pub id: PreKeyId,
    /// Its keys.
    pub pair: KeyPair,
}

impl PreKey {
    /// A fresh prekey. Make it durable before its public half is published.
    pub fn generate<R: CryptoRng + ?Sized>(id: PreKeyId, rng: &mut R) -> Self {
        Self {
            id,
            pair: KeyPair::generate(rng),
        }
    }

    /// The bytes for storage: private || public. Secret.
    pub fn encode(&self) -> Bytes {
        Bytes::from(self.pair.encode().to_vec())
    }

    /// Reads what [`Self::encode`] wrote; `None` if it did not.
    pub fn decode(id: PreKeyId, bytes: &[u8]) -> Option<Self> {
        let pair = KeyPair::decode(bytes)?;
        Some(Self { id, pair })
    }
}

/// The prekey that any number of session starts share, signed by the device's identity. Rotated now and then; the
/// previous one must be kept, since bundles with it may still be in use.
#[derive(Clone, Debug)]
pub struct SignedPreKey {
    /// Its id.
    pub id: SignedPreKeyId,
    /// Its keys.
    pub pair: KeyPair,
    /// The identity's signature over the public half with its type byte.
    pub signature: [u8; SIGNATURE_SIZE_BYTES],
}

impl SignedPreKey {
    /// A fresh one. Make it durable before its public half is published.
    pub fn generate<R: CryptoRng + ?Sized>(id: SignedPreKeyId, identity: &KeyPair, rng: &mut R) -> Self {
        let pair = KeyPair::generate(rng);
        let signature = identity.sign(&pair.public().serialize33(), rng);
        Self { id, pair, signature }
    }

    /// The bytes for storage: private || public || signature. Secret.
    pub fn encode(&self) -> Bytes {
        Bytes::from([&self.pair.encode()[..], &self.signature].concat())
    }

    /// Reads what [`Self::encode`] wrote; `None` if it did not.
    pub fn decode(id: SignedPreKeyId, bytes: &[u8]) -> Option<Self> {
        let (pair, signature) = bytes.split_at_checked(PAIR_SIZE_BYTES)?;
        Some(Self {
            id,
            pair: KeyPair::decode(pair)?,
            signature: signature.try_into().ok()?,
        })
    }
}

/// What a device publishes so that others can start a session with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreKeyBundle {
    /// Its installation.
    pub registration_id: RegistrationId,
    /// Its identity.
    pub identity: PublicKey,
    /// The id of its signed prekey.
    pub signed_prekey_id: SignedPreKeyId,
    /// Its signed prekey.
    pub signed_prekey: PublicKey,
    /// The signature of `identity` over `signed_prekey` with its type byte.
    pub signature: [u8; SIGNATURE_SIZE_BYTES],
    /// A one-time prekey, if the server had one left.
    pub prekey: Option<(PreKeyId, PublicKey)>,
}

impl PreKeyBundle {
    /// Checks the signed prekey's signature. Starting a session does so itself.
    ///
    /// # Errors
    /// [`BadSignature`]: do not send to this device under this bundle.
    pub fn verify(&self) -> Result<(), BadSignature> {
        self.verify_with(&self.identity.prepare())
    }

    /// As [`Self::verify`]; `identity` is the bundle's.
    pub(super) fn verify_with(&self, identity: &PreparedKey) -> Result<(), BadSignature> {
        identity.verify_parts(&[&self.signed_prekey.serialize33()], &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn ids_travel_in_three_bytes_and_wrap_to_one() {
        let id = PreKeyId::new(0x01_02_03).unwrap();
        assert_eq!(id.to_be_bytes3(), [1, 2, 3]);
        assert_eq!(PreKeyId::from_be_bytes3(&[1, 2, 3]), Some(id));
        assert_eq!(PreKeyId::from_be_bytes3(&[0, 0, 0]), None);
        assert_eq!(PreKeyId::from_be_bytes3(&[0, 1, 2, 3]), None);
        let last = PreKeyId::new(MAX_PREKEY_ID).unwrap();
        assert_eq!(last.next(), PreKeyId::FIRST);
        assert_eq!(last.next().since(last), 1);
        assert_eq!(last.since(PreKeyId::FIRST), MAX_PREKEY_ID - 1);
        assert_eq!(last.since(last), 0);
        assert_eq!(PreKeyId::new(MAX_PREKEY_ID + 1), None);
    }

    #[test]
    fn registration_ids_are_never_zero() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..1000 {
            let id = RegistrationId::generate(&mut rng);
            assert!((1..=MAX_REGISTRATION_ID).contains(&id.get()));
            assert_eq!(RegistrationId::from_be_slice(&id.to_be_bytes()), Some(id));
        }
    }

    #[test]
    fn prekeys_come_back_from_their_bytes() {
        let mut rng = StdRng::seed_from_u64(2);
        let prekey = PreKey::generate(PreKeyId::FIRST, &mut rng);
        let back = PreKey::decode(prekey.id, &prekey.encode()).unwrap();
        assert_eq!(back.pair.public(), prekey.pair.public());
        assert_eq!(back.pair.private().as_bytes(), prekey.pair.private().as_bytes());
        assert!(PreKey::decode(prekey.id, &prekey.encode()[1..]).is_none());
        let identity = KeyPair::generate(&mut rng);
        let signed = SignedPreKey::generate(SignedPreKeyId::FIRST, &identity, &mut rng);
        let back = SignedPreKey::decode(signed.id, &signed.encode()).unwrap();
        assert_eq!(
            identity
                .public()
                .verify(&back.pair.public().serialize33(), &back.signature),
            Ok(())
        );
        assert!(SignedPreKey::decode(signed.id, &signed.encode()[..100]).is_none());
    }
}
