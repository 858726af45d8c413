//! The keys of a simulated device, each made when it is asked for.
//!
//! Pure functions of the seed, so that a connection can answer for a hundred thousand contacts without any state but
//! a counter of the one-time prekeys that were handed out.
//!
//! Facts: docs/PROTOCOL.md, "Pairing" and "Prekeys".

use bytes::Bytes;
use prost::Message as _;
use whatsapp::proto::{AdvDeviceIdentity, AdvKeyIndexList, AdvSignedDeviceIdentity, AdvSignedKeyIndexList};
use whatsapp::signal::curve::{KeyPair, PublicKey};
use whatsapp::signal::{PreKeyBundle, PreKeyId, RegistrationId, SignedPreKey, SignedPreKeyId};

use crate::number::DeviceAddr;
use crate::seed::Seed;

/// When simulated accounts were made, in unix seconds: 2024-01-01.
pub const ACCOUNTS_SINCE: u64 = 1_704_067_200;
/// What an account signature covers first.
pub const PREFIX_ACCOUNT: [u8; 2] = [6, 0];
/// What a device signature covers first.
pub const PREFIX_DEVICE: [u8; 2] = [6, 1];
/// What the signature of a list of key indexes covers first.
const PREFIX_KEY_INDEX_LIST: [u8; 2] = [6, 2];

/// One simulated device and the seed that it is made from.
#[derive(Clone, Copy)]
pub struct Persona<'a> {
    seed: &'a Seed,
    who: DeviceAddr,
}

impl<'a> Persona<'a> {
    /// The device of this address.
    #[must_use]
    pub const fn new(seed: &'a Seed, who: DeviceAddr) -> Self {
        Self { seed, who }
    }

    /// Its identity.
    #[must_use]
    pub fn identity(self) -> KeyPair {
        self.seed.key_pair("identity", self.who, self.registration())
    }

    /// The number of its installation: 14 bits, never 0.
    #[must_use]
    pub fn registration_id(self) -> RegistrationId {
        let bytes = self.seed.bytes("registration", self.who, self.registration());
        RegistrationId::new(u32::from(u16::from_be_bytes([bytes[0], bytes[1]]) & 0x3fff).max(1))
    }

    /// How often its user registered anew.
    fn registration(self) -> u32 {
        self.seed.registration(self.who.number)
    }

    /// Its signed prekey.
    #[must_use]
    pub fn signed_prekey(self, identity: &KeyPair) -> SignedPreKey {
        let index = 1 + self.registration();
        let pair = self.seed.key_pair("signed prekey", self.who, index);
        let nonce = self.seed.nonce("signed prekey signature", self.who, index);
        let signature = identity.private().sign(&pair.public().serialize33(), &nonce);
        SignedPreKey {
            id: SignedPreKeyId::FIRST,
            pair,
            signature,
        }
    }

    /// A one-time prekey.
    #[must_use]
    pub fn one_time_prekey(self, id: PreKeyId) -> KeyPair {
        // Ids have 24 bits.
        let index = id.get() | self.registration() << 24;
        self.seed.key_pair("one-time prekey", self.who, index)
    }

    /// What the device publishes, with this one-time prekey.
    #[must_use]
    pub fn bundle(self, one_time: PreKeyId) -> PreKeyBundle {
        let identity = self.identity();
        let signed = self.signed_prekey(&identity);
        PreKeyBundle {
            registration_id: self.registration_id(),
            identity: *identity.public(),
            signed_prekey_id: signed.id,
            signed_prekey: *signed.pair.public(),
            signature: signed.signature,
            prekey: Some((one_time, *self.one_time_prekey(one_time).public())),
        }
    }

    /// The number that tells one account of a phone number from the next.
    #[must_use]
    pub fn raw_id(self) -> u32 {
        let bytes = self.seed.bytes("raw id", DeviceAddr::phone(self.who.number), 0);
        u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) | 1
    }

    /// What the account says of a companion of itself, signed by the account; its own signature is still missing.
    #[must_use]
    pub fn sign_companion(
        self,
        companion: &PublicKey,
        key_index: u32,
        timestamp: u64,
    ) -> AdvSignedDeviceIdentity {
        let phone = Persona::new(self.seed, DeviceAddr::phone(self.who.number));
        let details = AdvDeviceIdentity {
            raw_id: Some(phone.raw_id()),
            timestamp: Some(timestamp),
            key_index: Some(key_index),
            account_type: Some(0),
            device_type: Some(0),
        }
        .encode_to_vec();
        let account = phone.identity();
        let nonce = self.seed.nonce("account signature", phone.who, key_index);
        let signature = account
            .private()
            .sign_parts(&[&PREFIX_ACCOUNT, &details, companion.as_bytes()], &nonce);
        AdvSignedDeviceIdentity {
            details: Some(details.into()),
            account_signature_key: Some(Bytes::copy_from_slice(account.public().as_bytes())),
            account_signature: Some(Bytes::copy_from_slice(&signature)),
            device_signature: None,
        }
    }

    /// The whole device identity of a simulated companion.
    #[must_use]
    pub fn device_identity(self, key_index: u32) -> Bytes {
        let own = self.identity();
        let mut signed = self.sign_companion(own.public(), key_index, ACCOUNTS_SINCE);
        let nonce = self.seed.nonce("device signature", self.who, key_index);
        let empty = Bytes::new();
        let details = signed.details.as_ref().unwrap_or(&empty);
        let account = signed.account_signature_key.as_ref().unwrap_or(&empty);
        let signature = own.private().sign_parts(
            &[&PREFIX_DEVICE, details, own.public().as_bytes(), account],
            &nonce,
        );
        signed.device_signature = Some(Bytes::copy_from_slice(&signature));
        signed.encode_to_vec().into()
    }

    /// The account's signed list of the companions' key indexes.
    #[must_use]
    pub fn key_index_list(self, indexes: &[u32], timestamp: u64) -> Bytes {
        let phone = Persona::new(self.seed, DeviceAddr::phone(self.who.number));
        let details = AdvKeyIndexList {
            raw_id: Some(phone.raw_id()),
            timestamp: Some(timestamp),
            current_index: Some(indexes.iter().copied().max().unwrap_or(0)),
            valid_indexes: std::iter::once(0).chain(indexes.iter().copied()).collect(),
            account_type: Some(0),
        }
        .encode_to_vec();
        let account = phone.identity();
        let nonce = self.seed.nonce("key index list", phone.who, timestamp as u32);
        let signature = account
            .private()
            .sign_parts(&[&PREFIX_KEY_INDEX_LIST, &details], &nonce);
        AdvSignedKeyIndexList {
            details: Some(details.into()),
            account_signature: Some(Bytes::copy_from_slice(&signature)),
            account_signature_key: Some(Bytes::copy_from_slice(account.public().as_bytes())),
        }
        .encode_to_vec()
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Number;

    fn who(device: u16) -> DeviceAddr {
        DeviceAddr::new(Number::new(15_551_230_001).unwrap(), device)
    }

    #[test]
    fn who_registers_anew_has_other_keys() {
        let seed = Seed::new(1);
        let bundle = || Persona::new(&seed, who(0)).bundle(PreKeyId::FIRST);
        let before = bundle();
        seed.clone().register_anew(who(0).number);
        let after = bundle();
        after.verify().unwrap();
        assert_ne!(before.identity, after.identity);
        assert_ne!(before.registration_id, after.registration_id);
        assert_ne!(before.signed_prekey, after.signed_prekey);
        assert_ne!(before.prekey, after.prekey);
    }

    #[test]
    fn bundles_are_signed_and_stay_the_same() {
        let seed = Seed::new(1);
        let bundle = Persona::new(&seed, who(0)).bundle(PreKeyId::FIRST);
        assert_eq!(bundle.verify(), Ok(()));
        assert_eq!(bundle, Persona::new(&seed, who(0)).bundle(PreKeyId::FIRST));
    }

    #[test]
    fn companions_carry_both_signatures() {
        let seed = Seed::new(1);
        let blob = Persona::new(&seed, who(5)).device_identity(2);
        let signed = AdvSignedDeviceIdentity::decode(blob).unwrap();
        let (details, account) = (signed.details.unwrap(), signed.account_signature_key.unwrap());
        let companion = *Persona::new(&seed, who(5)).identity().public();
        let account_key = PublicKey::parse(&account).unwrap();
        assert_eq!(&account_key, Persona::new(&seed, who(0)).identity().public());
        let by_account: [u8; 64] = signed.account_signature.unwrap().as_ref().try_into().unwrap();
        account_key
            .verify_parts(&[&PREFIX_ACCOUNT, &details, companion.as_bytes()], &by_account)
            .unwrap();
        let by_device: [u8; 64] = signed.device_signature.unwrap().as_ref().try_into().unwrap();
        companion
            .verify_parts(
                &[&PREFIX_DEVICE, &details, companion.as_bytes(), &account],
                &by_device,
            )
            .unwrap();
    }
}
