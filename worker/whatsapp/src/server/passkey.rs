//! Linking with a passkey, for the phone that holds the account.

use aes_gcm::{AeadInOut as _, Aes256Gcm, Tag};
use bytes::Bytes;
use hmac::KeyInit as _;
use prost::Message as _;
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::device::AdvSecret;
use crate::pairing::code::{GCM_IV_BYTES, PairingCode, TAG_BYTES, random};
use crate::pairing::passkey::{ExchangeError, NONCE_BYTES, agree, array, code, commitment, request_key};
use crate::proto::device_props::PlatformType;
use crate::proto::{
    CompanionEphemeralIdentity, EncryptedPairingRequest, PairingRequest, PrimaryEphemeralIdentity,
    ProloguePayload,
};
use crate::signal::curve::{KeyPair, PublicKey};

/// What a companion said first.
pub struct Prologue {
    /// Its ephemeral key.
    pub key: PublicKey,
    /// What it says it is.
    pub platform: PlatformType,
    /// The reference that it was given.
    pub reference: String,
    identity: Bytes,
    commitment: [u8; 32],
}

impl Prologue {
    /// Reads the `ProloguePayload`.
    ///
    /// # Errors
    /// If a part is missing or has another length.
    pub fn parse(payload: &[u8]) -> Result<Self, ExchangeError> {
        let malformed = |_| ExchangeError::Malformed;
        let payload = ProloguePayload::decode(payload).map_err(malformed)?;
        let identity = payload
            .companion_ephemeral_identity
            .ok_or(ExchangeError::Malformed)?;
        let hash = payload.commitment.and_then(|commitment| commitment.hash);
        let fields = CompanionEphemeralIdentity::decode(&identity[..]).map_err(malformed)?;
        Ok(Self {
            key: PublicKey::new(array(fields.public_key.as_deref())?),
            platform: fields.device_type(),
            reference: fields.r#ref.ok_or(ExchangeError::Malformed)?,
            commitment: array(hash.as_deref())?,
            identity,
        })
    }
}

/// Phone: has been asked to link a companion.
pub struct Primary {
    ephemeral: KeyPair,
    nonce: [u8; NONCE_BYTES],
}

/// Phone and companion have agreed.
pub struct Met {
    key: Zeroizing<[u8; 32]>,
    code: PairingCode,
}

/// What the companion asks to be linked with.
pub struct Requested {
    /// Static key of its Noise handshake.
    pub noise: PublicKey,
    /// Its Signal identity.
    pub identity: PublicKey,
    /// The secret that the phone is to vouch with.
    pub secret: AdvSecret,
}

impl Primary {
    /// With a fresh key and nonce.
    pub fn start<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::with(KeyPair::generate(rng), random(rng))
    }

    pub(crate) const fn with(ephemeral: KeyPair, nonce: [u8; NONCE_BYTES]) -> Self {
        Self { ephemeral, nonce }
    }

    /// The encoded `PrimaryEphemeralIdentity`.
    pub fn identity(&self) -> Vec<u8> {
        PrimaryEphemeralIdentity {
            public_key: Some(self.ephemeral.public().as_bytes().to_vec().into()),
            nonce: Some(self.nonce.to_vec().into()),
        }
        .encode_to_vec()
    }

    /// Agrees with the companion, once it has opened its commitment.
    ///
    /// # Errors
    /// If the payload is broken, or the nonce is not the committed one.
    pub fn meet(&self, payload: &[u8], companion_nonce: &[u8]) -> Result<Met, ExchangeError> {
        let prologue = Prologue::parse(payload)?;
        let nonce = array(Some(companion_nonce))?;
        if commitment(&prologue.identity, &nonce) != prologue.commitment {
            return Err(ExchangeError::Commitment);
        }
        let shared = agree(&self.ephemeral, &prologue.key)?;
        Ok(Met {
            key: request_key(&shared, prologue.platform, &prologue.reference),
            code: code(&nonce, self.ephemeral.public(), &self.nonce),
        })
    }
}

impl Met {
    /// The code that the phone shows.
    pub const fn code(&self) -> &PairingCode {
        &self.code
    }

    /// Opens the companion's `EncryptedPairingRequest`.
    ///
    /// # Errors
    /// If it is broken, or was made under another key.
    pub fn open_request(&self, sealed: &[u8]) -> Result<Requested, ExchangeError> {
        let malformed = |_| ExchangeError::Malformed;
        let sealed = EncryptedPairingRequest::decode(sealed).map_err(malformed)?;
        let iv: [u8; GCM_IV_BYTES] = sealed
            .iv
            .as_deref()
            .unwrap_or_default()
            .try_into()
            .map_err(|_| ExchangeError::Length)?;
        let payload = sealed.encrypted_payload.unwrap_or_default();
        let (text, tag) = payload
            .split_last_chunk::<TAG_BYTES>()
            .ok_or(ExchangeError::Malformed)?;
        let mut text = Zeroizing::new(text.to_vec());
        Aes256Gcm::new((&*self.key).into())
            .decrypt_inout_detached(&iv.into(), &[], text.as_mut_slice().into(), &Tag::from(*tag))
            .map_err(|_| ExchangeError::WrongKey)?;
        let request = PairingRequest::decode(&text[..]).map_err(malformed)?;
        Ok(Requested {
            noise: PublicKey::new(array(request.companion_public_key.as_deref())?),
            identity: PublicKey::new(array(request.companion_identity_key.as_deref())?),
            secret: AdvSecret::new(array(request.adv_secret.as_deref())?),
        })
    }
}
