//! The cryptographic half of a simulated device: its keys and its sessions. Everything it says it can do, it does.
//!
//! Sessions are kept in their stored form, so that a contact that was written to once costs a few hundred bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use compact_str::CompactString;
use rand::CryptoRng;
use whatsapp::signal::curve::KeyPair;
use whatsapp::signal::sender_key::SenderKeyRecord;
use whatsapp::signal::session::{
    Ciphertext, CiphertextKind, DecryptError, LocalIdentity, PreKeyMessage, PreKeys, SessionRecord,
};
use whatsapp::signal::{PreKey, PreKeyBundle, PreKeyId, RegistrationId, SignedPreKey};

use super::inbox::{Inbox, Outbox};
use crate::number::DeviceAddr;
use crate::persona::Persona;
use crate::seed::Seed;

/// One-time prekeys in requests to send again have ids from here on; those that the server hands out are below.
pub(crate) const FIRST_RETRY_PREKEY: u32 = 0x0080_0000;

/// The name under which a device keeps the sender key of another in a group.
type GroupKeyName = (CompactString, DeviceAddr);

/// Why a copy could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It was read before.
    Duplicate,
    /// For the reason of this number on the wire.
    Because(u8),
}

/// One simulated device.
pub(super) struct Device {
    who: DeviceAddr,
    identity: KeyPair,
    registration_id: RegistrationId,
    signed_prekey: SignedPreKey,
    /// By the other side's device, sorted.
    sessions: Vec<(DeviceAddr, Bytes)>,
    /// One-time prekeys that are used up.
    used_prekeys: Vec<PreKeyId>,
    retry_prekeys: u32,
    /// By group and sending device; its own among them.
    group_keys: BTreeMap<GroupKeyName, Bytes>,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
}

impl Device {
    pub(super) fn new(seed: &Seed, who: DeviceAddr) -> Self {
        let persona = Persona::new(seed, who);
        let identity = persona.identity();
        Self {
            who,
            registration_id: persona.registration_id(),
            signed_prekey: persona.signed_prekey(&identity),
            identity,
            sessions: Vec::new(),
            used_prekeys: Vec::new(),
            retry_prekeys: 0,
            group_keys: BTreeMap::new(),
            inbox: Inbox::default(),
            outbox: Outbox::default(),
        }
    }

    /// Its user registered anew: other keys, and no session any more. What it got and sent is remembered.
    pub(super) fn register_anew(&mut self, seed: &Seed) {
        let before = std::mem::replace(self, Self::new(seed, self.who));
        (self.inbox, self.outbox) = (before.inbox, before.outbox);
    }

    pub(super) const fn registration_id(&self) -> RegistrationId {
        self.registration_id
    }

    /// Decrypts a copy. A failed try changes nothing.
    pub(super) fn decrypt(
        &mut self,
        seed: &Seed,
        from: DeviceAddr,
        ciphertext: &Ciphertext,
    ) -> Result<Vec<u8>, Unreadable> {
        let mut record = self.record(from);
        let own = LocalIdentity {
            pair: &self.identity,
            registration_id: self.registration_id,
        };
        let padded = match ciphertext.kind {
            CiphertextKind::PreKey => {
                let message = PreKeyMessage::parse(&ciphertext.bytes).map_err(unreadable)?;
                let one_time = self.one_time_prekey(seed, &record, &message);
                let prekeys = PreKeys {
                    signed: Some(&self.signed_prekey),
                    one_time: one_time.as_ref(),
                };
                let read = record
                    .decrypt_prekey(own, &message, prekeys)
                    .map_err(unreadable)?;
                self.used_prekeys.extend(read.used_prekey);
                read.plaintext
            }
            CiphertextKind::Message => record
                .decrypt_message(own, &ciphertext.bytes)
                .map_err(unreadable)?,
        };
        self.keep(from, &record);
        Ok(padded)
    }

    /// Encrypts for a device; `None` without a session.
    pub(super) fn encrypt<R: CryptoRng>(
        &mut self,
        to: DeviceAddr,
        padded: &[u8],
        rng: &mut R,
    ) -> Option<Ciphertext> {
        let mut record = self.record(to);
        let own = LocalIdentity {
            pair: &self.identity,
            registration_id: self.registration_id,
        };
        let sealed = record.encrypt(own, padded, rng).ok()?;
        self.keep(to, &record);
        Some(sealed)
    }

    /// Starts a session from a bundle; `false` if the bundle is no good.
    pub(super) fn start_session<R: CryptoRng>(
        &mut self,
        with: DeviceAddr,
        bundle: &PreKeyBundle,
        rng: &mut R,
    ) -> bool {
        let mut record = self.record(with);
        let own = LocalIdentity {
            pair: &self.identity,
            registration_id: self.registration_id,
        };
        let started = record.initiate(own, bundle, rng).is_ok();
        if started {
            self.keep(with, &record);
        }
        started
    }

    /// Takes a key of a group; `false` if it is none.
    pub(super) fn accept_group_key(&mut self, group: &CompactString, from: DeviceAddr, key: &[u8]) -> bool {
        let name = (group.clone(), from);
        let mut record = self.group_key(&name);
        let is_key = record.accept(key).is_ok();
        self.group_keys.insert(name, record.encode());
        is_key
    }

    /// Decrypts a message of a group. A failed try changes nothing.
    pub(super) fn decrypt_in_group(
        &mut self,
        group: &CompactString,
        from: DeviceAddr,
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, Unreadable> {
        let name = (group.clone(), from);
        let mut record = self.group_key(&name);
        let padded = record.decrypt(ciphertext).map_err(unreadable)?;
        self.group_keys.insert(name, record.encode());
        Ok(padded)
    }

    /// What hands its own key of a group out; the key is made when it is first asked for.
    pub(super) fn own_group_key<R: CryptoRng>(
        &mut self,
        group: &CompactString,
        rng: &mut R,
    ) -> Option<Bytes> {
        let name = (group.clone(), self.who);
        let mut record = self.group_key(&name);
        if record.distribution().is_err() {
            record.rotate(rng);
        }
        self.group_keys.insert(name, record.encode());
        record.distribution().ok()
    }

    /// Encrypts for a group with its own key.
    pub(super) fn encrypt_in_group<R: CryptoRng>(
        &mut self,
        group: &CompactString,
        padded: &[u8],
        rng: &mut R,
    ) -> Option<Bytes> {
        let name = (group.clone(), self.who);
        let mut record = self.group_key(&name);
        let sealed = record.encrypt(padded, rng).ok()?;
        self.group_keys.insert(name, record.encode());
        Some(sealed)
    }

    fn group_key(&self, name: &GroupKeyName) -> SenderKeyRecord {
        let stored = self.group_keys.get(name);
        stored
            .and_then(|bytes| SenderKeyRecord::decode(bytes).ok())
            .unwrap_or_default()
    }

    pub(super) fn has_session(&self, with: DeviceAddr) -> bool {
        self.position(with).is_ok()
    }

    /// Whether the session with a device is with this installation of it.
    pub(super) fn knows_installation(&self, with: DeviceAddr, installation: Option<RegistrationId>) -> bool {
        installation.is_none() || self.record(with).remote_registration_id() == installation
    }

    /// Drops the session with a device.
    pub(super) fn forget(&mut self, with: DeviceAddr) {
        if let Ok(at) = self.position(with) {
            self.sessions.remove(at);
        }
    }

    /// Keys for a request to send again, with a one-time prekey that nobody else gets.
    pub(super) fn retry_bundle(&mut self, seed: &Seed) -> PreKeyBundle {
        let id = PreKeyId::new(FIRST_RETRY_PREKEY + self.retry_prekeys).unwrap_or(PreKeyId::FIRST);
        self.retry_prekeys += 1;
        Persona::new(seed, self.who).bundle(id)
    }

    /// The one-time prekey that a message names, unless it is used up.
    fn one_time_prekey(
        &self,
        seed: &Seed,
        record: &SessionRecord,
        message: &PreKeyMessage<'_>,
    ) -> Option<PreKey> {
        let id = message.prekey_id().filter(|id| !self.used_prekeys.contains(id))?;
        record.is_new_session(message).then(|| PreKey {
            id,
            pair: Persona::new(seed, self.who).one_time_prekey(id),
        })
    }

    fn record(&self, with: DeviceAddr) -> SessionRecord {
        // What cannot be read is lost, as it would be on a phone.
        self.position(with)
            .ok()
            .and_then(|at| SessionRecord::decode(&self.sessions[at].1).ok())
            .unwrap_or_default()
    }

    fn keep(&mut self, with: DeviceAddr, record: &SessionRecord) {
        let stored = record.encode();
        match self.position(with) {
            Ok(at) => self.sessions[at].1 = stored,
            Err(at) => self.sessions.insert(at, (with, stored)),
        }
    }

    fn position(&self, with: DeviceAddr) -> Result<usize, usize> {
        self.sessions.binary_search_by_key(&with, |(device, _)| *device)
    }
}

/// The number of the reason on the wire.
fn unreadable(error: DecryptError) -> Unreadable {
    Unreadable::Because(match error {
        DecryptError::Duplicate => return Unreadable::Duplicate,
        DecryptError::NoSession => 1,
        DecryptError::UnknownPreKey(_) | DecryptError::UnknownSignedPreKey(_) => 3,
        DecryptError::Malformed | DecryptError::UnsupportedVersion(_) => 4,
        DecryptError::TooFarAhead => 6,
        DecryptError::BadMac => 7,
        _ => 0,
    })
}
