//! Linking an account that must prove itself with a passkey: the companion's half of the exchange with the phone.
//!
//! The companion commits to a nonce before it learns the phone's key, so neither side can choose the code that both
//! show. Under the agreed key it hands the phone its public keys and a new ADV secret; the rest is as after a scan
//! ([`super::adv`]). What the browser is asked and what it answers is in [`webauthn`].
//!
//! Facts: docs/PROTOCOL.md, "With a passkey".

pub mod webauthn;

use aes_gcm::{AeadInOut as _, Aes256Gcm};
use hmac::{Hmac, KeyInit as _, Mac as _};
use prost::Message as _;
use rand::CryptoRng;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::code::{GCM_IV_BYTES, PairingCode, expand, random};
use crate::device::{AdvSecret, Device};
use crate::proto::device_props::PlatformType;
use crate::proto::{
    CompanionCommitment, CompanionEphemeralIdentity, EncryptedPairingRequest, PairingRequest,
    PrimaryEphemeralIdentity, ProloguePayload,
};
use crate::signal::curve::{KeyPair, PublicKey};

/// Bytes of a nonce, of either side.
pub const NONCE_BYTES: usize = 32;

/// What the other side sent makes no sense, or can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ExchangeError {
    /// It is not the message that is due.
    #[error("a message of the passkey exchange is not valid")]
    Malformed,
    /// A key or a nonce has another length than 32 bytes.
    #[error("a key or nonce of the passkey exchange is not {NONCE_BYTES} bytes long")]
    Length,
    /// A key that must not be used.
    #[error("the peer's key is not usable")]
    BadKey,
    /// The nonce is not the one that was committed to.
    #[error("the companion's nonce is not the one it committed to")]
    Commitment,
    /// The request does not decrypt.
    #[error("the pairing request does not decrypt")]
    WrongKey,
}

/// Companion: an exchange that begins. Dropped, it is forgotten; nothing of it is stored.
pub struct Companion {
    ephemeral: KeyPair,
    nonce: [u8; NONCE_BYTES],
    platform: PlatformType,
    reference: String,
}

/// Companion and phone have agreed; the user compares the codes.
pub struct Agreement {
    key: Zeroizing<[u8; 32]>,
    code: PairingCode,
}

/// Proves that the companion is the one whose QR code was scanned.
pub struct HandoffKey(Zeroizing<[u8; 32]>);

impl Companion {
    /// Begins for a device that registered as `platform`, under a reference that the server gave for this.
    pub fn start<R: CryptoRng + ?Sized>(platform: PlatformType, reference: String, rng: &mut R) -> Self {
        Self {
            ephemeral: KeyPair::generate(rng),
            nonce: random(rng),
            platform,
            reference,
        }
    }

    /// What goes to the phone first: the ephemeral key, and the commitment to the nonce.
    pub fn payload(&self) -> Vec<u8> {
        let identity = CompanionEphemeralIdentity {
            public_key: Some(self.ephemeral.public().as_bytes().to_vec().into()),
            device_type: Some(self.platform.into()),
            r#ref: Some(self.reference.clone()),
        };
        let identity = identity.encode_to_vec();
        let hash = commitment(&identity, &self.nonce).to_vec();
        ProloguePayload {
            companion_ephemeral_identity: Some(identity.into()),
            commitment: Some(CompanionCommitment {
                hash: Some(hash.into()),
            }),
        }
        .encode_to_vec()
    }

    /// What opens the commitment, once the phone's key is known.
    pub const fn nonce(&self) -> &[u8; NONCE_BYTES] {
        &self.nonce
    }

    /// Agrees with the phone, from its encoded `PrimaryEphemeralIdentity`.
    ///
    /// # Errors
    /// If that is broken, or its key must not be used.
    pub fn agree(&self, primary: &[u8]) -> Result<Agreement, ExchangeError> {
        let primary = PrimaryEphemeralIdentity::decode(primary).map_err(|_| ExchangeError::Malformed)?;
        let theirs = PublicKey::new(array(primary.public_key.as_deref())?);
        let shared = agree(&self.ephemeral, &theirs)?;
        Ok(Agreement {
            key: request_key(&shared, self.platform, &self.reference),
            code: code(&self.nonce, &theirs, &array(primary.nonce.as_deref())?),
        })
    }
}

impl Agreement {
    /// The code that the phone shows too, if nobody stands between the two.
    pub const fn code(&self) -> &PairingCode {
        &self.code
    }

    /// The encoded `EncryptedPairingRequest`: the device's public keys, and the secret that the phone is to vouch with.
    pub fn seal_request<R: CryptoRng + ?Sized>(
        &self,
        device: &Device,
        secret: &AdvSecret,
        rng: &mut R,
    ) -> Vec<u8> {
        let keys = [device.noise.public(), device.identity.public()];
        self.seal_with(keys, secret, random(rng))
    }

    fn seal_with(
        &self,
        [noise, identity]: [&PublicKey; 2],
        secret: &AdvSecret,
        iv: [u8; GCM_IV_BYTES],
    ) -> Vec<u8> {
        let request = PairingRequest {
            companion_public_key: Some(noise.as_bytes().to_vec().into()),
            companion_identity_key: Some(identity.as_bytes().to_vec().into()),
            adv_secret: Some(secret.as_bytes().to_vec().into()),
        };
        let mut sealed = request.encode_to_vec();
        // Unwrap safety: AES-GCM refuses only messages over 64 GiB.
        #[allow(clippy::unwrap_used)]
        let tag = Aes256Gcm::new((&*self.key).into())
            .encrypt_inout_detached(&iv.into(), &[], sealed.as_mut_slice().into())
            .unwrap();
        sealed.extend_from_slice(&tag);
        EncryptedPairingRequest {
            encrypted_payload: Some(sealed.into()),
            iv: Some(iv.to_vec().into()),
        }
        .encode_to_vec()
    }
}

impl HandoffKey {
    /// The key that follows from the secret of the QR code.
    pub fn new(scanned: &AdvSecret) -> Self {
        Self(expand(None, scanned.as_bytes(), HANDOFF_INFO))
    }

    /// The proof for the payload that goes along with it.
    pub fn prove(&self, payload: &[u8]) -> [u8; 32] {
        // Unwrap safety: HMAC takes keys of any length.
        #[allow(clippy::unwrap_used)]
        let mut mac = <Hmac<Sha256>>::new_from_slice(&self.0[..]).unwrap();
        mac.update(payload);
        mac.finalize().into_bytes().into()
    }
}

const HANDOFF_INFO: &[u8] = b"shortcake-passkey-handoff-v1";
const REQUEST_INFO: &[u8] = b"Pairing Information Encryption Key";

pub(crate) fn commitment(identity: &[u8], nonce: &[u8; NONCE_BYTES]) -> [u8; 32] {
    let hash = Sha256::new().chain_update(identity).chain_update(nonce);
    hash.finalize().into()
}

pub(crate) fn code(
    companion_nonce: &[u8; NONCE_BYTES],
    primary: &PublicKey,
    primary_nonce: &[u8; NONCE_BYTES],
) -> PairingCode {
    let hash = Sha256::new()
        .chain_update(companion_nonce)
        .chain_update(primary.as_bytes());
    let hash = hash.finalize();
    PairingCode::from_bytes(std::array::from_fn(|at| primary_nonce[at] ^ hash[at]))
}

pub(crate) fn request_key(shared: &[u8; 32], platform: PlatformType, reference: &str) -> Zeroizing<[u8; 32]> {
    let salt = format!("Companion Pairing {} with ref {reference}", platform as i32);
    expand(Some(salt.as_bytes()), shared, REQUEST_INFO)
}

pub(crate) fn agree(own: &KeyPair, theirs: &PublicKey) -> Result<Zeroizing<[u8; 32]>, ExchangeError> {
    own.private()
        .agree_contributory(theirs)
        .map_err(|_| ExchangeError::BadKey)
}

pub(crate) fn array(field: Option<&[u8]>) -> Result<[u8; 32], ExchangeError> {
    let field = field.unwrap_or_default();
    field.try_into().map_err(|_| ExchangeError::Length)
}

#[cfg(test)]
mod tests;
