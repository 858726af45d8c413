//! What an account's phone signs for its companions, and what it and the server check of them.

use bytes::Bytes;
use hmac::Mac as _;
use prost::Message as _;
use rand::CryptoRng;

use crate::device::AdvSecret;
pub use crate::pairing::adv::Hosting;
use crate::pairing::adv::{ACCOUNT_PREFIX, AdvError, HOSTED_ACCOUNT_PREFIX, authenticator, verify};
use crate::proto::{
    AdvDeviceIdentity, AdvEncryptionType, AdvKeyIndexList, AdvSignedDeviceIdentity,
    AdvSignedDeviceIdentityHmac, AdvSignedKeyIndexList,
};
use crate::signal::curve::{KeyPair, PublicKey};

/// What a phone says about a companion.
#[derive(Clone, Copy, Debug)]
pub struct DeviceDetails {
    /// Random number of the account's device list.
    pub raw_id: u32,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// Next unused number in the list, from 1.
    pub key_index: u32,
    /// Usually [`Hosting::Own`].
    pub hosting: Hosting,
}

/// Phone: vouches for a companion; the container of `pair-success`.
pub fn issue<R: CryptoRng + ?Sized>(
    account: &KeyPair,
    companion_identity: &PublicKey,
    secret: &AdvSecret,
    details: DeviceDetails,
    rng: &mut R,
) -> Bytes {
    let hosting = details.hosting;
    let (kind, prefix) = match hosting {
        Hosting::Own => (AdvEncryptionType::E2ee as i32, ACCOUNT_PREFIX),
        Hosting::Hosted => (AdvEncryptionType::Hosted as i32, HOSTED_ACCOUNT_PREFIX),
    };
    let details = AdvDeviceIdentity {
        raw_id: Some(details.raw_id),
        timestamp: Some(details.timestamp),
        key_index: Some(details.key_index),
        account_type: Some(kind),
        device_type: Some(kind),
    }
    .encode_to_vec();
    let signature = account.sign(
        &[&prefix[..], &details, companion_identity.as_bytes()].concat(),
        rng,
    );
    let signed = AdvSignedDeviceIdentity {
        details: Some(details.into()),
        account_signature_key: Some(account.public().to_bytes().to_vec().into()),
        account_signature: Some(signature.to_vec().into()),
        device_signature: None,
    }
    .encode_to_vec();
    let tag = authenticator(secret, hosting, &signed).finalize().into_bytes();
    AdvSignedDeviceIdentityHmac {
        details: Some(signed.into()),
        hmac: Some(tag.to_vec().into()),
        account_type: (hosting == Hosting::Hosted).then_some(kind),
    }
    .encode_to_vec()
    .into()
}

/// Phone and server: checks a companion's reply, which may lack the account's key, and completes it for
/// handing out.
///
/// # Errors
/// If a part is missing or a signature does not verify.
pub fn complete(
    reply: &[u8],
    companion_identity: &PublicKey,
    account_key: &PublicKey,
) -> Result<Bytes, AdvError> {
    verify(reply, companion_identity, Some(account_key))?;
    let mut signed = AdvSignedDeviceIdentity::decode(reply).map_err(|_| AdvError::Malformed)?;
    signed.account_signature_key = Some(account_key.to_bytes().to_vec().into());
    Ok(signed.encode_to_vec().into())
}

/// Phone: the encoded `ADVSignedKeyIndexList` that says which companions of an account are valid.
pub fn issue_key_index_list<R: CryptoRng + ?Sized>(
    account: &KeyPair,
    list: &AdvKeyIndexList,
    rng: &mut R,
) -> Bytes {
    let details = list.encode_to_vec();
    let signature = account.sign(&[&KEY_INDEX_LIST_PREFIX[..], &details].concat(), rng);
    AdvSignedKeyIndexList {
        details: Some(details.into()),
        account_signature: Some(signature.to_vec().into()),
        ..Default::default()
    }
    .encode_to_vec()
    .into()
}

/// No client is known to check this signature.
const KEY_INDEX_LIST_PREFIX: [u8; 2] = [6, 2];
