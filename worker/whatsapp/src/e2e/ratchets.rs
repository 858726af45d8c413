//! The sessions in memory: read from the store on need, written with the step that changes them.
//!
//! The only owner of [`SessionRecord`]s. Two rules keep message keys from being used twice: an address is read from the
//! store once and never while it is in memory, and an entry whose last change is not durable is not forgotten.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::companion;
use super::directory::is_own;
use super::durability::Durability;
use super::peer::{Peer, Wanted};
use super::question::{Question, Questions};
use crate::device::Device;
use crate::event::{DeviceRefusal, Event};
use crate::part::Context;
use crate::signal::curve::PublicKey;
use crate::signal::session::{
    CiphertextKind, DecryptError, EncryptError, LocalIdentity, Mark, PreKeyDecrypted, PreKeyMessage, PreKeys,
    SessionRecord,
};
use crate::signal::{Address, PreKeyBundle, RegistrationId};
use crate::stanza::message::{Enc, EncKind};
use crate::store::RecordKey;
use crate::time::Timestamp;

/// Most sessions kept in memory beyond those whose changes are not durable yet.
pub(super) const MAX_RATCHETS: usize = 128;
/// How many stay when there were too many: forgetting in bulk, so that it is not done at every message.
const KEPT_RATCHETS: usize = 96;
/// Sessions that nobody used for this long are forgotten.
pub(super) const RATCHET_IDLE: Duration = Duration::from_secs(60);

/// The sessions.
#[derive(Debug, Default)]
pub(crate) struct Ratchets {
    entries: HashMap<Address, Entry>,
}

#[derive(Debug)]
struct Entry {
    slot: Slot,
    used: Timestamp,
    durability: Durability,
    /// Requests under way whose outcome is a change of this entry.
    pins: u16,
}

#[derive(Debug)]
enum Slot {
    Loading,
    /// A record without a state where there is no session.
    Loaded(SessionRecord),
}

impl Entry {
    const fn loaded(record: SessionRecord, now: Timestamp, durability: Durability) -> Self {
        Self {
            slot: Slot::Loaded(record),
            used: now,
            durability,
            pins: 0,
        }
    }

    fn can_go(&self) -> bool {
        self.pins == 0 && self.durability.is_durable() && matches!(self.slot, Slot::Loaded(_))
    }

    const fn record(&self) -> Option<&SessionRecord> {
        match &self.slot {
            Slot::Loaded(record) => Some(record),
            Slot::Loading => None,
        }
    }
}

/// Getting them in and out.
impl Ratchets {
    /// Whether all these sessions are in memory, or known not to exist. Asks the store for those that are not; call
    /// again when it has answered.
    pub(super) fn ensure<'a>(
        &mut self,
        cx: &mut Context<'_>,
        questions: &mut Questions,
        peers: impl Iterator<Item = &'a Peer>,
    ) -> bool {
        let mut ready = true;
        let mut wanted = Vec::new();
        for peer in peers {
            match self.entries.get_mut(&peer.address) {
                None => {
                    ready = false;
                    self.want(peer, cx.now, &mut wanted);
                }
                Some(entry) => {
                    entry.used = cx.now;
                    ready &= matches!(entry.slot, Slot::Loaded(_)) && self.take_earlier(cx, peer);
                }
            }
        }
        if !wanted.is_empty() {
            let keys = wanted.iter().map(|wanted| RecordKey::session(&wanted.address));
            let keys = keys.collect();
            cx.load(keys, questions.open(Question::Sessions(wanted)));
        }
        ready
    }

    fn want(&mut self, peer: &Peer, now: Timestamp, wanted: &mut Vec<Wanted>) {
        let entry = Entry {
            slot: Slot::Loading,
            used: now,
            durability: Durability::Durable,
            pins: 0,
        };
        self.entries.insert(peer.address.clone(), entry);
        wanted.push(Wanted {
            address: peer.address.clone(),
            moves_to: None,
        });
        // One that is in memory is newer than what is stored; see `take_earlier`.
        if let Some(earlier) = peer
            .earlier
            .as_ref()
            .filter(|earlier| !self.entries.contains_key(earlier))
        {
            wanted.push(Wanted {
                address: earlier.clone(),
                moves_to: Some(peer.address.clone()),
            });
        }
    }

    /// Moves a session that is in memory under its earlier name. False while that is being read.
    fn take_earlier(&mut self, cx: &mut Context<'_>, peer: &Peer) -> bool {
        let Some(earlier) = &peer.earlier else {
            return true;
        };
        let Some(entry) = self.entries.get_mut(earlier) else {
            return true;
        };
        let Slot::Loaded(record) = &mut entry.slot else {
            return false;
        };
        if !record.is_empty() {
            let record = std::mem::take(record);
            self.move_in(cx, earlier.clone(), &peer.address, record);
        }
        true
    }

    /// The store has answered.
    pub(super) fn on_loaded(
        &mut self,
        cx: &mut Context<'_>,
        wanted: &[Wanted],
        values: Vec<Option<bytes::Bytes>>,
    ) {
        for (wanted, value) in wanted.iter().zip(values) {
            let record = value.map_or_else(SessionRecord::default, |bytes| read(&wanted.address, &bytes));
            match &wanted.moves_to {
                None => self.fill(&wanted.address, record),
                // What came into memory while the store was asked is newer than its answer.
                Some(_) if self.is_loaded(&wanted.address) => {}
                Some(address) if !record.is_empty() => {
                    self.move_in(cx, wanted.address.clone(), address, record);
                }
                Some(_) => {}
            }
        }
    }

    fn fill(&mut self, address: &Address, record: SessionRecord) {
        // An entry that is there already was deleted or made anew while the store was asked: what it had counts no more.
        if let Some(entry) = self
            .entries
            .get_mut(address)
            .filter(|entry| matches!(entry.slot, Slot::Loading))
        {
            entry.slot = Slot::Loaded(record);
        }
    }

    /// Takes over what there is under an earlier name. If there is a session under the present name too, that one goes on
    /// being used, and messages of the other can still be read.
    ///
    /// The earlier name stays in memory, without a session, until that is durable: whoever read it from the store before
    /// would have the ratchet twice.
    fn move_in(&mut self, cx: &mut Context<'_>, earlier: Address, address: &Address, record: SessionRecord) {
        if let Some(entry) = self.entries.get_mut(address)
            && let Slot::Loaded(present) = &mut entry.slot
        {
            present.absorb(record);
            cx.changes().put_session(address, present);
            entry.durability = Durability::Gathering;
            self.delete(cx, &earlier);
        }
    }

    /// Keeps an entry in memory until [`Self::unpin`].
    pub(super) fn pin(&mut self, address: &Address) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.pins = entry.pins.saturating_add(1);
        }
    }

    /// Ends one [`Self::pin`].
    pub(super) fn unpin(&mut self, address: &Address) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.pins = entry.pins.saturating_sub(1);
        }
    }

    /// The step that gathered is being committed.
    pub(super) fn on_step_taken(&mut self) {
        self.entries
            .values_mut()
            .for_each(|entry| entry.durability.on_step_taken());
    }

    /// The step taken last is durable.
    pub(super) fn on_committed(&mut self) {
        self.entries
            .values_mut()
            .for_each(|entry| entry.durability.on_committed());
    }

    /// Whether there are more than should be.
    pub(super) fn is_crowded(&self) -> bool {
        self.entries.len() > MAX_RATCHETS
    }

    /// Forgets the sessions used longest ago, if there are too many. Those that somebody waits with are kept: reading
    /// them again and again would never end.
    pub(super) fn shrink(&mut self, in_use: &HashSet<&Address>) {
        if !self.is_crowded() {
            return;
        }
        let mut idle: Vec<(Timestamp, Address)> = self
            .entries
            .iter()
            .filter(|(address, entry)| entry.can_go() && !in_use.contains(address))
            .map(|(address, entry)| (entry.used, address.clone()))
            .collect();
        idle.sort_unstable();
        let surplus = self.entries.len() - KEPT_RATCHETS;
        for (_, address) in idle.into_iter().take(surplus) {
            self.entries.remove(&address);
        }
    }

    /// Forgets idle sessions that nobody waits with, and gives their memory back.
    pub(super) fn sweep(&mut self, now: Timestamp, in_use: &HashSet<&Address>) {
        self.entries.retain(|address, entry| {
            !entry.can_go() || now.since(entry.used) < RATCHET_IDLE || in_use.contains(address)
        });
        self.entries.shrink_to_fit();
    }

    /// Whether there is anything to sweep one day.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Using them. All of these want the session to be in memory (see [`Ratchets::ensure`]).
impl Ratchets {
    /// Whether there is a session to send in. That with a companion counts only as long as its phone has the identity
    /// that vouched for the companion: a phone that was installed anew has linked nobody yet.
    pub(crate) fn has_session(&self, device: &Device, address: &Address) -> bool {
        self.record(address)
            .is_some_and(|record| record.has_session() && self.is_vouched_for(device, address, record))
    }

    fn is_vouched_for(&self, device: &Device, address: &Address, record: &SessionRecord) -> bool {
        // Our own account's key does not change as long as we are linked.
        address.device() == 0
            || record.account().is_some_and(|account| {
                is_own(device, address.jid()) || self.phone_identity(address) == Some(account)
            })
    }

    /// The key that the session in use began with.
    pub(crate) fn base_key(&self, address: &Address) -> Option<PublicKey> {
        self.record(address)?.base_key().copied()
    }

    /// The installation of the other side.
    pub(crate) fn registration_id(&self, address: &Address) -> Option<RegistrationId> {
        self.record(address)?.remote_registration_id()
    }

    fn phone_identity(&self, address: &Address) -> Option<&PublicKey> {
        self.record(&phone_of(address))?.remote_identity()
    }

    /// Checks that the device with this identity is of the account that its address says. The session with its phone must
    /// be in memory too. Gives the account's key for a companion, to be handed in with whatever starts a session.
    pub(super) fn check(
        &self,
        device: &Device,
        address: &Address,
        identity: &PublicKey,
        proof: Option<&[u8]>,
    ) -> Result<Option<PublicKey>, DeviceRefusal> {
        let is_own = is_own(device, address.jid());
        let own = is_own.then(|| companion::own_account_key(device)).flatten();
        if address.device() == 0 {
            return match own {
                Some(account) if account != *identity => Err(DeviceRefusal::OtherAccount),
                _ => Ok(None),
            };
        }
        let record = self.record(address).ok_or(DeviceRefusal::UnknownAccount)?;
        if record.remote_identity() == Some(identity) && self.is_vouched_for(device, address, record) {
            return Ok(record.account().copied());
        }
        let known = match own {
            None if !is_own => {
                let phone = self.record(&phone_of(address));
                let phone = phone.ok_or(DeviceRefusal::UnknownAccount)?;
                phone.remote_identity().copied()
            }
            own => own,
        };
        companion::check(identity, proof, known.as_ref()).map(Some)
    }

    /// Whether what is known of this device is in memory.
    pub(crate) fn is_loaded(&self, address: &Address) -> bool {
        self.record(address).is_some()
    }

    /// Starts a session. `account` is what [`Self::check`] gave for the bundle's identity.
    pub(super) fn start(
        &mut self,
        cx: &mut Context<'_>,
        address: &Address,
        bundle: &PreKeyBundle,
        account: Option<PublicKey>,
    ) -> Result<(), DeviceRefusal> {
        // A record made up here would overwrite the stored one, and the states that can still read what is on its way.
        let record = self.record_mut(address).ok_or(DeviceRefusal::UnknownAccount)?;
        let own = own_identity(cx.device);
        let started = record
            .initiate(own, bundle, cx.rng)
            .map_err(|_| DeviceRefusal::BadKeys)?;
        self.begun(cx, address, account, started.identity_changed);
        Ok(())
    }

    /// A session was begun with the device: writes it, with what is known of its account now.
    fn begun(
        &mut self,
        cx: &mut Context<'_>,
        address: &Address,
        account: Option<PublicKey>,
        identity_changed: bool,
    ) {
        if let (Some(account), Some(record)) = (account, self.record_mut(address)) {
            record.vouch(account);
            let phone = phone_of(address);
            let is_news = |phone: &SessionRecord| phone.remote_identity().is_none();
            if !is_own(cx.device, address.jid()) && self.record(&phone).is_some_and(is_news) {
                // From now on another key can't vouch for devices of this account without our noticing.
                if let Some(record) = self.record_mut(&phone) {
                    record.pin(account);
                }
                self.write(cx, &phone);
            }
        }
        self.write(cx, address);
        if identity_changed {
            cx.emit(Event::IdentityChanged {
                device: address.jid().clone(),
            });
        }
    }

    /// Encrypts. The change is in the step.
    pub(crate) fn encrypt(
        &mut self,
        cx: &mut Context<'_>,
        address: &Address,
        padded: &[u8],
    ) -> Result<Enc, EncryptError> {
        if !self.has_session(cx.device, address) {
            return Err(EncryptError::NoSession);
        }
        let own = own_identity(cx.device);
        let record = self.record_mut(address).ok_or(EncryptError::NoSession)?;
        let ciphertext = record.encrypt(own, padded, cx.rng)?;
        let kind = match ciphertext.kind {
            CiphertextKind::PreKey => EncKind::PreKey,
            CiphertextKind::Message => EncKind::Message,
        };
        self.write(cx, address);
        Ok(Enc {
            kind,
            ciphertext: ciphertext.bytes,
        })
    }

    /// Decrypts a message of a session.
    pub(crate) fn decrypt_message(
        &mut self,
        cx: &mut Context<'_>,
        address: &Address,
        bytes: &[u8],
    ) -> Result<Vec<u8>, DecryptError> {
        let own = own_identity(cx.device);
        let record = self.record_mut(address).ok_or(DecryptError::NoSession)?;
        let plaintext = record.decrypt_message(own, bytes)?;
        self.write(cx, address);
        Ok(plaintext)
    }

    /// Whether this message would start a new session, and so needs its prekeys.
    pub(crate) fn is_new_session(&self, address: &Address, message: &PreKeyMessage<'_>) -> bool {
        self.record(address)
            .is_none_or(|record| record.is_new_session(message))
    }

    /// Decrypts a message that may start a session. A one-time prekey that it used is deleted in the step. `account` is
    /// what [`Self::check`] gave for the message's identity.
    pub(crate) fn decrypt_prekey(
        &mut self,
        cx: &mut Context<'_>,
        address: &Address,
        message: &PreKeyMessage<'_>,
        prekeys: PreKeys<'_>,
        account: Option<PublicKey>,
    ) -> Result<PreKeyDecrypted, DecryptError> {
        let own = own_identity(cx.device);
        let record = self.record_mut(address).ok_or(DecryptError::NoSession)?;
        let decrypted = record.decrypt_prekey(own, message, prekeys)?;
        if let Some(id) = decrypted.used_prekey {
            cx.changes().delete(RecordKey::prekey(id));
        }
        self.begun(cx, address, account, decrypted.identity_changed);
        Ok(decrypted)
    }

    /// Notes that a message of this device is shown in this step; false if it was shown before.
    pub(crate) fn note_shown(&mut self, cx: &mut Context<'_>, address: &Address, mark: Mark) -> bool {
        let is_new = self
            .record_mut(address)
            .is_none_or(|record| record.note_shown(mark));
        if is_new {
            self.write(cx, address);
        }
        is_new
    }

    /// Ends the session with a device that is in memory; whom it was with is not forgotten.
    pub(crate) fn close(&mut self, cx: &mut Context<'_>, address: &Address) {
        if let Some(record) = self.record_mut(address) {
            record.close();
            self.write(cx, address);
        }
    }

    /// Deletes a session, whether it is in memory or not.
    pub(super) fn delete(&mut self, cx: &mut Context<'_>, address: &Address) {
        cx.changes().delete(RecordKey::session(address));
        let entry = Entry::loaded(SessionRecord::default(), cx.now, Durability::Gathering);
        let pins = self.entries.get(address).map_or(0, |entry| entry.pins);
        self.entries.insert(address.clone(), Entry { pins, ..entry });
    }

    /// The devices of this user whose sessions are in memory.
    pub(super) fn devices_of(&self, user: &crate::jid::Jid) -> Vec<Address> {
        self.entries
            .keys()
            .filter(|address| address.jid().same_user(user))
            .cloned()
            .collect()
    }

    fn record(&self, address: &Address) -> Option<&SessionRecord> {
        self.entries.get(address)?.record()
    }

    fn record_mut(&mut self, address: &Address) -> Option<&mut SessionRecord> {
        match &mut self.entries.get_mut(address)?.slot {
            Slot::Loaded(record) => Some(record),
            Slot::Loading => None,
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, address: &Address) {
        let Some(entry) = self.entries.get_mut(address) else {
            return;
        };
        if let Slot::Loaded(record) = &entry.slot {
            cx.changes().put_session(address, record);
        }
        entry.durability = Durability::Gathering;
        entry.used = cx.now;
    }
}

/// A record that can't be read is a session that is lost; the peer will ask for a new one.
fn read(address: &Address, bytes: &[u8]) -> SessionRecord {
    SessionRecord::decode(bytes).unwrap_or_else(|error| {
        tracing::warn!(device = ?address.jid(), %error, "a stored session can't be read and is taken for none");
        SessionRecord::default()
    })
}

/// Where the session with the phone of a device's account is kept.
fn phone_of(address: &Address) -> Address {
    Address::from(companion::phone_of(address.jid()))
}

/// Who we are in our sessions.
fn own_identity(device: &Device) -> LocalIdentity<'_> {
    LocalIdentity {
        pair: &device.identity,
        registration_id: device.registration_id,
    }
}

#[cfg(test)]
mod tests;
