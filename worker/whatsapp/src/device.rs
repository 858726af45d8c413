//! The credentials of one linked device: what must survive for it to log in again and to be read by others.
//!
//! Owns generation and the stored form. One-time prekeys, ratchets and mappings are not here: the
//! [`KeyStore`](crate::store::KeyStore) holds them one by one.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use prost::Message as _;
use rand::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    jid::Jid,
    message_id::MessageId,
    signal::{PreKeyId, RegistrationId, SignedPreKey, SignedPreKeyId, curve::KeyPair},
    time::Timestamp,
};

/// Everything a linked device knows about itself.
#[derive(Clone)]
pub struct Device {
    /// The key pair of the Noise handshake; the server knows a device by it.
    pub noise: KeyPair,
    /// The Signal identity.
    pub identity: KeyPair,
    /// Tells this installation from an earlier one under the same address.
    pub registration_id: RegistrationId,
    /// The secret shown in the QR code; authenticates the phone's answer to a pairing.
    pub adv_secret: AdvSecret,
    /// The signed prekey in use. Older ones live in the store until they expire.
    pub signed_prekey: SignedPreKey,
    /// When `signed_prekey` was made; the epoch for one that came with the device.
    pub signed_prekey_made: Timestamp,
    /// The id that the next one-time prekey gets.
    pub next_prekey_id: PreKeyId,
    /// No one-time prekey with an id before this one is kept.
    pub oldest_prekey_id: PreKeyId,
    /// One-time prekeys that were offered to the server, which has not confirmed them.
    pub unconfirmed_prekeys: Option<PreKeyRange>,
    /// One-time prekeys that were handed to one device each, oldest first.
    pub handed_prekeys: Vec<PreKeyId>,
    /// Who we are, once paired.
    pub account: Option<Account>,
    /// Where the server wants the next connection routed (docs/PROTOCOL.md, "Frames").
    pub routing_info: Option<Bytes>,
    /// Successful logins so far.
    pub login_counter: u32,
    /// A message of another device of ours whose receipt the server missed so badly that it ended the stream.
    pub unsettled_copy: Option<MessageId>,
    /// Where the account's name was learned.
    pub name_source: NameSource,
    /// The app state has said what `token_salt` is, or that there is none.
    pub is_salt_synced: bool,
}

/// One-time prekeys that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreKeyRange {
    /// The first.
    pub first: PreKeyId,
    /// How many there are.
    pub count: u32,
}

impl PreKeyRange {
    /// Their ids, in order; they wrap around.
    pub fn ids(self) -> impl Iterator<Item = PreKeyId> {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        std::iter::successors(Some(self.first), |id| Some(id.next())).take(count)
    }
}

/// Where an account's name was learned; the later, the more it is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum NameSource {
    /// The answer to the pairing, which names businesses.
    #[default]
    Pairing = 0,
    /// A copy of a message that another device of ours sent.
    OwnMessage = 1,
    /// The history.
    History = 2,
    /// A notification.
    AccountSync = 3,
    /// The app state.
    AppState = 4,
}

impl NameSource {
    const ALL: [Self; 5] = [
        Self::Pairing,
        Self::OwnMessage,
        Self::History,
        Self::AccountSync,
        Self::AppState,
    ];

    fn from_stored(number: u32) -> Self {
        let found = Self::ALL.into_iter().find(|source| *source as u32 == number);
        found.unwrap_or_default()
    }
}

/// What pairing made of a device.
#[derive(Clone)]
pub struct Account {
    /// Our address by phone number, with device.
    pub jid: Jid,
    /// Our address by LID, with device.
    pub lid: Option<Jid>,
    /// The encoded `ADVSignedDeviceIdentity`, signed by the phone and by us, with the account's key. Goes along with
    /// every first message to a device.
    pub identity: Bytes,
    /// The name the account shows.
    pub push_name: Option<String>,
    /// What the phone runs on (`android`, `iphone`, `smba`…).
    pub platform: String,
    /// Whether its chats with one person are addressed by LID (docs/PROTOCOL.md, "LID"). Once so, always so, unless the
    /// server refuses such chats and takes them by number.
    pub is_migrated: bool,
    /// What the server lets this account prove itself with to people who gave it no token, if it gave any.
    pub token_salt: Option<Bytes>,
}

/// 32 random bytes that only the companion and the phone know.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct AdvSecret([u8; 32]);

impl Device {
    /// A device that is not paired yet.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let identity = KeyPair::generate(rng);
        let signed_prekey = SignedPreKey::generate(SignedPreKeyId::FIRST, &identity, rng);
        Self {
            noise: KeyPair::generate(rng),
            registration_id: RegistrationId::generate(rng),
            adv_secret: AdvSecret::generate(rng),
            identity,
            signed_prekey,
            signed_prekey_made: Timestamp::EPOCH,
            next_prekey_id: PreKeyId::FIRST,
            oldest_prekey_id: PreKeyId::FIRST,
            unconfirmed_prekeys: None,
            handed_prekeys: Vec::new(),
            account: None,
            routing_info: None,
            login_counter: 0,
            unsettled_copy: None,
            name_source: NameSource::Pairing,
            is_salt_synced: false,
        }
    }

    /// Whether it can log in.
    pub fn is_paired(&self) -> bool {
        self.account.is_some()
    }

    /// Our address by phone number, with device, once paired.
    pub fn jid(&self) -> Option<&Jid> {
        self.account.as_ref().map(|account| &account.jid)
    }

    /// Our address by LID, with device, once known.
    pub fn lid(&self) -> Option<&Jid> {
        self.account.as_ref().and_then(|account| account.lid.as_ref())
    }

    /// The account's name, once known.
    pub fn push_name(&self) -> Option<&str> {
        self.account
            .as_ref()
            .and_then(|account| account.push_name.as_deref())
    }

    /// The stored form. Holds secrets in clear: seal it before it touches a disk.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut stored = StoredDevice {
            version: STORED_VERSION,
            noise: self.noise.encode().to_vec(),
            identity: self.identity.encode().to_vec(),
            registration_id: self.registration_id.get(),
            adv_secret: self.adv_secret.as_bytes().to_vec(),
            signed_prekey_id: self.signed_prekey.id.get(),
            signed_prekey: self.signed_prekey.encode().to_vec(),
            signed_prekey_made: self.signed_prekey_made.as_millis(),
            next_prekey_id: self.next_prekey_id.get(),
            account: self.account.as_ref().map(|account| StoredAccount {
                jid: account.jid.to_string(),
                lid: account.lid.as_ref().map(Jid::to_string),
                identity: account.identity.to_vec(),
                push_name: account.push_name.clone(),
                platform: account.platform.clone(),
                is_migrated: account.is_migrated,
                token_salt: account.token_salt.as_ref().map(|salt| salt.to_vec()),
            }),
            routing_info: self.routing_info.as_ref().map(|info| info.to_vec()),
            login_counter: self.login_counter,
            unsettled_copy: self.unsettled_copy.as_ref().map(MessageId::to_string),
            name_source: self.name_source as u32,
            is_salt_synced: self.is_salt_synced,
            oldest_prekey_id: self.oldest_prekey_id.get(),
            unconfirmed_first: self.unconfirmed_prekeys.map_or(0, |range| range.first.get()),
            unconfirmed_count: self.unconfirmed_prekeys.map_or(0, |range| range.count),
            handed_prekeys: self.handed_prekeys.iter().map(|id| id.get()).collect(),
        };
        let bytes = Zeroizing::new(stored.encode_to_vec());
        stored.wipe();
        bytes
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`BadDevice`]: the bytes are damaged or of a later version; nothing can log in with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadDevice> {
        let mut stored = StoredDevice::decode(bytes).map_err(|_| BadDevice("not a device"))?;
        let device = Self::from_stored(&stored);
        stored.wipe();
        device
    }

    fn from_stored(stored: &StoredDevice) -> Result<Self, BadDevice> {
        if stored.version != STORED_VERSION {
            return Err(BadDevice("version"));
        }
        let signed_prekey_id =
            SignedPreKeyId::new(stored.signed_prekey_id).ok_or(BadDevice("signed prekey id"))?;
        Ok(Self {
            noise: KeyPair::decode(&stored.noise).ok_or(BadDevice("noise key"))?,
            identity: KeyPair::decode(&stored.identity).ok_or(BadDevice("identity key"))?,
            registration_id: RegistrationId::new(stored.registration_id),
            adv_secret: AdvSecret(
                stored.adv_secret[..]
                    .try_into()
                    .map_err(|_| BadDevice("adv secret"))?,
            ),
            signed_prekey: SignedPreKey::decode(signed_prekey_id, &stored.signed_prekey)
                .ok_or(BadDevice("signed prekey"))?,
            signed_prekey_made: Timestamp::from_millis(stored.signed_prekey_made),
            next_prekey_id: PreKeyId::new(stored.next_prekey_id).ok_or(BadDevice("prekey id"))?,
            // Earlier versions wrote none, and deleted none.
            oldest_prekey_id: PreKeyId::new(stored.oldest_prekey_id).unwrap_or(PreKeyId::FIRST),
            unconfirmed_prekeys: stored.unconfirmed_prekeys(),
            handed_prekeys: stored
                .handed_prekeys
                .iter()
                .filter_map(|id| PreKeyId::new(*id))
                .collect(),
            account: stored.account.as_ref().map(Account::from_stored).transpose()?,
            routing_info: stored.routing_info.clone().map(Bytes::from),
            login_counter: stored.login_counter,
            unsettled_copy: stored.unsettled_copy.as_ref().and_then(|id| id.parse().ok()),
            name_source: NameSource::from_stored(stored.name_source),
            is_salt_synced: stored.is_salt_synced,
        })
    }
}

impl Account {
    fn from_stored(stored: &StoredAccount) -> Result<Self, BadDevice> {
        Ok(Self {
            jid: stored.jid.parse().map_err(|_| BadDevice("jid"))?,
            lid: stored
                .lid
                .as_ref()
                .map(|lid| lid.parse())
                .transpose()
                .map_err(|_| BadDevice("lid"))?,
            identity: Bytes::from(stored.identity.clone()),
            push_name: stored.push_name.clone(),
            platform: stored.platform.clone(),
            is_migrated: stored.is_migrated,
            token_salt: stored.token_salt.clone().map(Bytes::from),
        })
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("jid", &self.jid())
            .field("login_counter", &self.login_counter)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("jid", &self.jid)
            .finish_non_exhaustive()
    }
}

impl AdvSecret {
    /// Fresh random bytes.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The secret that pairing by code derives.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the HMAC and the QR code.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for AdvSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdvSecret(…)")
    }
}

/// Stored bytes that make no device; says which part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored device is unreadable: {0}")]
pub struct BadDevice(&'static str);

/// More prekeys are never offered at a time.
const MAX_UNCONFIRMED: u32 = 4_096;
/// The version of the stored form. Fields may be added without a new one.
const STORED_VERSION: u32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct StoredDevice {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(bytes = "vec", tag = "2")]
    noise: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    identity: Vec<u8>,
    #[prost(uint32, tag = "4")]
    registration_id: u32,
    #[prost(bytes = "vec", tag = "5")]
    adv_secret: Vec<u8>,
    #[prost(uint32, tag = "6")]
    signed_prekey_id: u32,
    #[prost(bytes = "vec", tag = "7")]
    signed_prekey: Vec<u8>,
    #[prost(uint64, tag = "8")]
    signed_prekey_made: u64,
    #[prost(uint32, tag = "9")]
    next_prekey_id: u32,
    #[prost(message, optional, tag = "10")]
    account: Option<StoredAccount>,
    #[prost(bytes = "vec", optional, tag = "11")]
    routing_info: Option<Vec<u8>>,
    #[prost(uint32, tag = "12")]
    login_counter: u32,
    #[prost(uint32, tag = "13")]
    oldest_prekey_id: u32,
    #[prost(uint32, repeated, tag = "14")]
    handed_prekeys: Vec<u32>,
    #[prost(string, optional, tag = "20")]
    unsettled_copy: Option<String>,
    #[prost(uint32, tag = "21")]
    unconfirmed_first: u32,
    #[prost(uint32, tag = "22")]
    unconfirmed_count: u32,
    #[prost(uint32, tag = "15")]
    name_source: u32,
    #[prost(bool, tag = "16")]
    is_salt_synced: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredAccount {
    #[prost(string, tag = "1")]
    jid: String,
    #[prost(string, optional, tag = "2")]
    lid: Option<String>,
    #[prost(bytes = "vec", tag = "3")]
    identity: Vec<u8>,
    #[prost(string, optional, tag = "4")]
    push_name: Option<String>,
    #[prost(string, tag = "5")]
    platform: String,
    #[prost(bool, tag = "6")]
    is_migrated: bool,
    #[prost(bytes = "vec", optional, tag = "7")]
    token_salt: Option<Vec<u8>>,
}

impl StoredDevice {
    /// None where nothing, or nonsense, was stored.
    fn unconfirmed_prekeys(&self) -> Option<PreKeyRange> {
        let first = PreKeyId::new(self.unconfirmed_first)?;
        let count = self.unconfirmed_count;
        (1..=MAX_UNCONFIRMED)
            .contains(&count)
            .then_some(PreKeyRange { first, count })
    }

    fn wipe(&mut self) {
        self.noise.zeroize();
        self.identity.zeroize();
        self.adv_secret.zeroize();
        self.signed_prekey.zeroize();
    }
}

/// A device that remembers whether it was altered since it was last written.
#[derive(Debug)]
pub struct Credentials {
    device: Device,
    changed: bool,
}

impl Credentials {
    /// Credentials as the store has them.
    pub fn new(device: Device) -> Self {
        Self {
            device,
            changed: false,
        }
    }

    /// Lends them for a change that the current step makes durable.
    pub fn edit(&mut self) -> &mut Device {
        self.changed = true;
        &mut self.device
    }

    /// The device as it is now.
    pub(crate) fn into_device(self) -> Device {
        self.device
    }

    /// A copy to write, if there is something to write.
    pub(crate) fn take_changed(&mut self) -> Option<Box<Device>> {
        std::mem::take(&mut self.changed).then(|| Box::new(self.device.clone()))
    }
}

impl Deref for Credentials {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn paired() -> Device {
        let mut device = Device::generate(&mut StdRng::seed_from_u64(1));
        device.account = Some(Account {
            jid: "15551230001:11@s.whatsapp.net".parse().unwrap(),
            lid: Some("100000000000001:11@lid".parse().unwrap()),
            identity: Bytes::from_static(b"identity"),
            push_name: Some("Ann".into()),
            platform: "android".into(),
            is_migrated: true,
            token_salt: Some(Bytes::from_static(&[7; 32])),
        });
        device.routing_info = Some(Bytes::from_static(&[8, 2]));
        device.login_counter = 7;
        device.unsettled_copy = "3EB0".parse().ok();
        let first = PreKeyId::new(13).unwrap();
        device.unconfirmed_prekeys = Some(PreKeyRange { first, count: 812 });
        device.name_source = NameSource::AppState;
        device.is_salt_synced = true;
        device.oldest_prekey_id = PreKeyId::new(9).unwrap();
        device.handed_prekeys = [11, 12].map(|id| PreKeyId::new(id).unwrap()).to_vec();
        device
    }

    #[test]
    fn a_stored_device_reads_back_the_same() {
        for device in [Device::generate(&mut StdRng::seed_from_u64(2)), paired()] {
            let bytes = device.encode();
            let back = Device::decode(&bytes).unwrap();
            assert_eq!(*back.encode(), *bytes);
            assert_eq!(back.noise.public(), device.noise.public());
            assert_eq!(back.jid(), device.jid());
            assert_eq!(back.name_source, device.name_source);
            assert_eq!(back.is_salt_synced, device.is_salt_synced);
            assert_eq!(back.oldest_prekey_id, device.oldest_prekey_id);
            assert_eq!(back.unsettled_copy, device.unsettled_copy);
            assert_eq!(back.unconfirmed_prekeys, device.unconfirmed_prekeys);
            assert_eq!(back.handed_prekeys, device.handed_prekeys);
        }
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let bytes = paired().encode();
        assert!(Device::decode(&bytes[..bytes.len() / 2]).is_err());
        assert!(Device::decode(b"").is_err());
    }

    #[test]
    fn debug_output_tells_no_secret_and_no_number() {
        let device = paired();
        let text = format!("{device:?} {:?} {:?}", device.adv_secret, device.account);
        assert!(!text.contains("15551230001"), "{text}");
        assert!(!text.contains("identity"), "{text}");
    }
}
