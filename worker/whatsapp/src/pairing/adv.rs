//! The signed device identity (ADV): the phone signs the companion's identity, the companion signs the
//! phone's.
//!
//! Every check is made here and none may be skipped: without them a server could link itself to an account.

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use prost::Message as _;
use rand::CryptoRng;
use sha2::Sha256;
use thiserror::Error;

use crate::device::AdvSecret;
use crate::proto::{
    AdvDeviceIdentity, AdvEncryptionType, AdvSignedDeviceIdentity, AdvSignedDeviceIdentityHmac,
};
use crate::signal::curve::{KeyPair, PublicKey, SIGNATURE_SIZE_BYTES};

/// Why a device identity is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AdvError {
    /// Not the message it should be, or a part is missing.
    #[error("device identity is not valid")]
    Malformed,
    /// Not made by somebody who knows the secret of the QR code.
    #[error("device identity is not authenticated by the secret of this pairing")]
    HmacMismatch,
    /// Not signed by the account.
    #[error("account signature does not verify")]
    AccountSignature,
    /// Not signed by the device.
    #[error("device signature does not verify")]
    DeviceSignature,
    /// The account's key is neither given nor known.
    #[error("account key is not known")]
    NoAccountKey,
}

impl AdvError {
    /// Code and text of the error stanza that answers a `pair-success`.
    #[must_use]
    pub const fn stanza_error(self) -> (u16, &'static str) {
        match self {
            Self::Malformed | Self::NoAccountKey => (500, "internal-error"),
            Self::HmacMismatch => (401, "hmac-mismatch"),
            Self::AccountSignature | Self::DeviceSignature => (401, "signature-mismatch"),
        }
    }
}

/// What a companion has after a pairing.
#[derive(Clone, Debug)]
pub struct Paired {
    /// The phone's identity, which is the account's.
    pub account_key: PublicKey,
    /// Number of this device in the account's list.
    pub key_index: u32,
    /// The encoded `ADVSignedDeviceIdentity` with both signatures and the account's key, to keep.
    pub identity: Bytes,
    /// The same without the account's key, to answer with.
    pub reply: Bytes,
}

/// Companion: checks the phone's container from `pair-success`, and signs.
///
/// # Errors
/// If the container is not made for this device by the phone that has the secret.
pub fn accept<R: CryptoRng + ?Sized>(
    container: &[u8],
    secret: &AdvSecret,
    identity: &KeyPair,
    rng: &mut R,
) -> Result<Paired, AdvError> {
    let outer = AdvSignedDeviceIdentityHmac::decode(container).map_err(|_| AdvError::Malformed)?;
    let (signed, tag) = (outer.details.as_ref(), outer.hmac.as_ref());
    let (signed, tag) = signed.zip(tag).ok_or(AdvError::Malformed)?;
    authenticator(secret, hosting(outer.account_type), signed)
        .verify_slice(tag)
        .map_err(|_| AdvError::HmacMismatch)?;
    let mut signed = AdvSignedDeviceIdentity::decode(signed.clone()).map_err(|_| AdvError::Malformed)?;
    let account_key = key(signed.account_signature_key.as_deref())?.ok_or(AdvError::Malformed)?;
    let details = verify_account_signature(&signed, &account_key, identity.public())?;
    let message = device_message(&signed, identity.public(), &account_key, DEVICE_PREFIX);
    signed.device_signature = Some(identity.sign(&message, rng).to_vec().into());
    let kept = Bytes::from(signed.encode_to_vec());
    signed.account_signature_key = None;
    Ok(Paired {
        account_key,
        key_index: details.key_index.unwrap_or(0),
        identity: kept,
        reply: signed.encode_to_vec().into(),
    })
}

/// Checks both signatures of the encoded `ADVSignedDeviceIdentity` of a device with this Signal identity.
/// `account_key` is the identity of the account's phone if it is known; else the key in the message counts,
/// which proves only that the device belongs to the holder of that key. Gives the account's key.
///
/// # Errors
/// If a part is missing or a signature does not verify.
pub fn verify(
    signed: &[u8],
    device_identity: &PublicKey,
    account_key: Option<&PublicKey>,
) -> Result<PublicKey, AdvError> {
    let signed = AdvSignedDeviceIdentity::decode(signed).map_err(|_| AdvError::Malformed)?;
    let account_key = match account_key {
        Some(known) => *known,
        None => key(signed.account_signature_key.as_deref())?.ok_or(AdvError::NoAccountKey)?,
    };
    verify_account_signature(&signed, &account_key, device_identity)?;
    let signature = signature(signed.device_signature.as_deref())?;
    let verifies = |prefix| {
        let message = device_message(&signed, device_identity, &account_key, prefix);
        device_identity.verify(&message, &signature).is_ok()
    };
    if verifies(DEVICE_PREFIX) || verifies(HOSTED_DEVICE_PREFIX) {
        Ok(account_key)
    } else {
        Err(AdvError::DeviceSignature)
    }
}

/// The account's key that an encoded `ADVSignedDeviceIdentity` names, if it is one that names a key. Nothing is checked:
/// ask this only of one that [`accept`] gave.
#[must_use]
pub fn account_key(signed: &[u8]) -> Option<PublicKey> {
    let signed = AdvSignedDeviceIdentity::decode(signed).ok()?;
    key(signed.account_signature_key.as_deref()).ok().flatten()
}

/// Who hosts a device or account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosting {
    /// Itself: end-to-end encrypted.
    Own,
    /// Meta, for a business.
    Hosted,
}

pub(crate) const ACCOUNT_PREFIX: [u8; 2] = [6, 0];
const DEVICE_PREFIX: [u8; 2] = [6, 1];
pub(crate) const HOSTED_ACCOUNT_PREFIX: [u8; 2] = [6, 5];
/// Some companions sign with this one when hosted, others with [`DEVICE_PREFIX`].
const HOSTED_DEVICE_PREFIX: [u8; 2] = [6, 6];

pub(crate) fn authenticator(secret: &AdvSecret, hosting: Hosting, signed: &[u8]) -> Hmac<Sha256> {
    let prefix: &[u8] = match hosting {
        Hosting::Own => &[],
        Hosting::Hosted => &HOSTED_ACCOUNT_PREFIX,
    };
    // Unwrap safety: HMAC takes keys of any length.
    #[allow(clippy::unwrap_used)]
    Hmac::new_from_slice(secret.as_bytes())
        .unwrap()
        .chain_update(prefix)
        .chain_update(signed)
}

/// Gives the parsed details, which are believed from here on.
fn verify_account_signature(
    signed: &AdvSignedDeviceIdentity,
    account_key: &PublicKey,
    device_identity: &PublicKey,
) -> Result<AdvDeviceIdentity, AdvError> {
    let details = signed.details.clone().ok_or(AdvError::Malformed)?;
    let signature = signature(signed.account_signature.as_deref())?;
    let parsed = AdvDeviceIdentity::decode(details.clone()).map_err(|_| AdvError::Malformed)?;
    let prefix = match hosting(parsed.device_type) {
        Hosting::Own => ACCOUNT_PREFIX,
        Hosting::Hosted => HOSTED_ACCOUNT_PREFIX,
    };
    account_key
        .verify_parts(&[&prefix, &details, device_identity.as_bytes()], &signature)
        .map_err(|_| AdvError::AccountSignature)?;
    Ok(parsed)
}

fn device_message(
    signed: &AdvSignedDeviceIdentity,
    device_identity: &PublicKey,
    account_key: &PublicKey,
    prefix: [u8; 2],
) -> Vec<u8> {
    let details = signed.details.as_deref().unwrap_or_default();
    [
        &prefix[..],
        details,
        device_identity.as_bytes(),
        account_key.as_bytes(),
    ]
    .concat()
}

fn hosting(kind: Option<i32>) -> Hosting {
    if kind == Some(AdvEncryptionType::Hosted as i32) {
        Hosting::Hosted
    } else {
        Hosting::Own
    }
}

/// Empty counts as absent: some writers leave the field in.
fn key(bytes: Option<&[u8]>) -> Result<Option<PublicKey>, AdvError> {
    let key = |bytes: &[u8]| bytes.try_into().map(PublicKey::new);
    let key = bytes.filter(|bytes| !bytes.is_empty()).map(key).transpose();
    key.map_err(|_| AdvError::Malformed)
}

fn signature(bytes: Option<&[u8]>) -> Result<[u8; SIGNATURE_SIZE_BYTES], AdvError> {
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(AdvError::Malformed)
}
