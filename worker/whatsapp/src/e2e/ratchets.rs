//! The sessions in memory: read from the store on need, written with the step that changes them.
//!
//! The only owner of [`SessionRecord`]s.

use super::companion;
use super::directory::{Peer, is_own};
use super::outcome::{Question, Questions, Wanted};
use crate::device::Device;
use crate::event::{DeviceRefusal, Dropped, Event, IdentitySource};
use crate::part::{Cache, Context};
use crate::signal::curve::PublicKey;
use crate::signal::session::{
    CiphertextKind, DecryptError, EncryptError, LocalIdentity, Mark, PreKeyDecrypted, PreKeyMessage, PreKeys,
    SessionRecord,
};
use crate::signal::{Address, PreKeyBundle, RegistrationId};
use crate::stanza::message::{Enc, EncKind};
use crate::store::RecordKey;
use crate::time::Timestamp;

/// The sessions. A record without a state stands where there is no session.
pub(crate) struct Ratchets {
    pub(super) records: Cache<Address, SessionRecord>,
    /// A device was found to have another identity, and its other name is to be told with that.
    pub(super) has_changed: bool,
}

/// Getting them in and out.
impl Ratchets {
    /// None in memory, later about so many at most.
    pub(super) fn with_most(most: usize) -> Self {
        Self {
            records: Cache::with_most(most),
            has_changed: false,
        }
    }

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
            match self.records.touch(&peer.address, cx.now) {
                None => {
                    ready = false;
                    self.want(peer, cx.now, &mut wanted);
                }
                Some(is_loaded) => ready &= is_loaded && self.take_earlier(cx, peer),
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
        self.records.begin(peer.address.clone(), now);
        wanted.push(Wanted {
            address: peer.address.clone(),
            moves_to: None,
        });
        // One that is in memory is newer than what is stored; see `take_earlier`.
        if let Some(earlier) = &peer.earlier
            && !self.records.contains(earlier)
        {
            wanted.push(Wanted {
                address: earlier.clone(),
                moves_to: Some(peer.address.clone()),
            });
        }
    }

    /// Moves a session that is in memory under its earlier name. False while that is being read.
    fn take_earlier(&mut self, cx: &mut Context<'_>, peer: &Peer) -> bool {
        let Some(earlier) = peer.earlier.as_ref().filter(|name| self.records.contains(name)) else {
            return true;
        };
        let Some(record) = self.records.get_mut(earlier) else {
            return false;
        };
        if !record.is_empty() {
            let record = std::mem::take(record);
            self.move_in(cx, earlier, &peer.address, record);
        }
        true
    }

    pub(super) fn on_loaded(
        &mut self,
        cx: &mut Context<'_>,
        wanted: &[Wanted],
        values: Vec<Option<bytes::Bytes>>,
    ) {
        for (wanted, value) in wanted.iter().zip(values) {
            let record = value.map_or_else(SessionRecord::default, |bytes| read(cx, &bytes));
            match &wanted.moves_to {
                None => self.records.fill(&wanted.address, record),
                // What came into memory while the store was asked is newer than its answer.
                Some(_) if self.is_loaded(&wanted.address) => {}
                Some(address) if !record.is_empty() => {
                    self.move_in(cx, &wanted.address, address, record);
                }
                Some(_) => {}
            }
        }
    }

    /// Takes over what there is under an earlier name. If there is a session under the present name too, that one goes on
    /// being used, and messages of the other can still be read.
    ///
    /// The earlier name stays in memory, without a session, until that is durable: whoever read it from the store before
    /// would have the ratchet twice.
    fn move_in(&mut self, cx: &mut Context<'_>, earlier: &Address, address: &Address, record: SessionRecord) {
        if let Some(present) = self.records.get_mut(address) {
            present.absorb(record);
            self.records.changed(address, cx.now);
            self.delete(cx, earlier);
        }
    }
}

/// Using them. All of these want the session to be in memory (see [`Ratchets::ensure`]).
impl Ratchets {
    /// Whether there is a session to send in. That with a companion counts only as long as its phone has the identity
    /// that vouched for the companion: a phone that was installed anew has linked nobody yet.
    pub(crate) fn has_session(&self, device: &Device, address: &Address) -> bool {
        self.records
            .get(address)
            .is_some_and(|record| record.has_session() && self.is_vouched_for(device, address, record))
    }

    fn is_vouched_for(&self, device: &Device, address: &Address, record: &SessionRecord) -> bool {
        // Our own account's key does not change as long as we are linked.
        address.device() == 0
            || record.account().is_some_and(|account| {
                is_own(device, address.jid()) || self.phone_identity(address) == Some(account)
            })
    }

    /// Whether the device has ever written to the owner in a direct chat.
    pub(crate) fn has_written(&self, address: &Address) -> bool {
        self.records.get(address).is_some_and(SessionRecord::has_written)
    }

    /// The device writes to the owner in a direct chat. Kept with [`Self::note_shown`], which follows.
    pub(crate) fn note_wrote(&mut self, address: &Address) {
        if let Some(record) = self.records.get_mut(address) {
            record.note_wrote();
        }
    }

    /// The key that the session in use began with.
    pub(crate) fn base_key(&self, address: &Address) -> Option<PublicKey> {
        self.records.get(address)?.base_key().copied()
    }

    /// Whether the session in use began with these keys and was not answered yet.
    pub(crate) fn is_begun_with(&self, device: &Device, address: &Address, bundle: &PreKeyBundle) -> bool {
        self.has_session(device, address)
            && self
                .records
                .get(address)
                .is_some_and(|record| record.is_begun_with(bundle))
    }

    /// The installation of the other side.
    pub(crate) fn registration_id(&self, address: &Address) -> Option<RegistrationId> {
        self.records.get(address)?.remote_registration_id()
    }

    fn phone_identity(&self, address: &Address) -> Option<&PublicKey> {
        self.records.get(&phone_of(address))?.remote_identity()
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
        let record = self.records.get(address).ok_or(DeviceRefusal::UnknownAccount)?;
        if record.remote_identity() == Some(identity) && self.is_vouched_for(device, address, record) {
            return Ok(record.account().copied());
        }
        let known = match own {
            None if !is_own => {
                let phone = self.records.get(&phone_of(address));
                let phone = phone.ok_or(DeviceRefusal::UnknownAccount)?;
                phone.remote_identity().copied()
            }
            own => own,
        };
        companion::check(identity, proof, known.as_ref()).map(Some)
    }

    /// Whether what is known of this device is in memory.
    pub(crate) fn is_loaded(&self, address: &Address) -> bool {
        self.records.get(address).is_some()
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
        let record = self
            .records
            .get_mut(address)
            .ok_or(DeviceRefusal::UnknownAccount)?;
        let own = own_identity(cx.device);
        let started = record
            .initiate(own, bundle, cx.rng)
            .map_err(|_| DeviceRefusal::BadKeys)?;
        let changed = started.identity_changed.then_some(IdentitySource::Keys);
        self.begun(cx, address, account, changed);
        Ok(())
    }

    /// A session was begun with the device: writes it, with what is known of its account now.
    fn begun(
        &mut self,
        cx: &mut Context<'_>,
        address: &Address,
        account: Option<PublicKey>,
        identity_changed: Option<IdentitySource>,
    ) {
        if let (Some(account), Some(record)) = (account, self.records.get_mut(address)) {
            record.vouch(account);
            let phone = phone_of(address);
            let is_news = |phone: &SessionRecord| phone.remote_identity().is_none();
            if !is_own(cx.device, address.jid()) && self.records.get(&phone).is_some_and(is_news) {
                // From now on another key can't vouch for devices of this account without our noticing.
                if let Some(record) = self.records.get_mut(&phone) {
                    record.pin(account);
                }
                self.records.changed(&phone, cx.now);
            }
        }
        self.records.changed(address, cx.now);
        if let Some(source) = identity_changed {
            self.has_changed = true;
            cx.emit(Event::IdentityChanged {
                device: address.jid().clone(),
                other: None,
                source,
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
        // A phone's needs nobody's word.
        if address.device() != 0 && !self.has_session(cx.device, address) {
            return Err(EncryptError::NoSession);
        }
        let (own, rng) = (own_identity(cx.device), &mut *cx.rng);
        let encrypted = self
            .records
            .change(address, cx.now, |record| record.encrypt(own, padded, rng));
        let ciphertext = encrypted.unwrap_or(Err(EncryptError::NoSession))?;
        let kind = match ciphertext.kind {
            CiphertextKind::PreKey => EncKind::PreKey,
            CiphertextKind::Message => EncKind::Message,
        };
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
        let decrypted = self
            .records
            .change(address, cx.now, |record| record.decrypt_message(own, bytes));
        decrypted.unwrap_or(Err(DecryptError::NoSession))
    }

    /// Whether this message would start a new session, and so needs its prekeys.
    pub(crate) fn is_new_session(&self, address: &Address, message: &PreKeyMessage<'_>) -> bool {
        self.records
            .get(address)
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
        let record = self.records.get_mut(address).ok_or(DecryptError::NoSession)?;
        let decrypted = record.decrypt_prekey(own, message, prekeys)?;
        if let Some(id) = decrypted.used_prekey {
            cx.changes().delete(RecordKey::prekey(id));
        }
        let changed = decrypted.identity_changed.then_some(IdentitySource::Message);
        self.begun(cx, address, account, changed);
        Ok(decrypted)
    }

    /// Notes that a message of this device is shown in this step; false if it was shown before.
    pub(crate) fn note_shown(&mut self, cx: &mut Context<'_>, address: &Address, mark: Mark) -> bool {
        let noted = self.records.change(address, cx.now, |record| {
            record.note_shown(mark).then_some(()).ok_or(())
        });
        noted.is_none_or(|noted| noted.is_ok())
    }

    /// Ends the session with a device that is in memory; whom it was with is not forgotten.
    pub(crate) fn close(&mut self, cx: &mut Context<'_>, address: &Address) {
        if let Some(record) = self.records.get_mut(address) {
            record.close();
            self.records.changed(address, cx.now);
        }
    }

    /// Deletes a session, whether it is in memory or not.
    pub(super) fn delete(&mut self, cx: &mut Context<'_>, address: &Address) {
        self.records
            .put(address.clone(), SessionRecord::default(), cx.now);
    }

    /// The devices of this user whose sessions are in memory.
    pub(super) fn devices_of(&self, user: &crate::jid::Jid) -> Vec<Address> {
        self.records
            .names()
            .filter(|address| address.jid().same_user(user))
            .cloned()
            .collect()
    }

    /// Writes the sessions that were changed since the last step, each once however often it was changed. One with nothing
    /// in it is deleted.
    pub(super) fn write_changed(&self, cx: &mut Context<'_>) {
        for (address, record) in self.records.gathered() {
            if record.is_empty() {
                cx.changes().delete(RecordKey::session(address));
            } else {
                cx.changes().put_session(address, record);
            }
        }
    }
}

/// A record that can't be read is a session that is lost; the peer will ask for a new one.
fn read(cx: &mut Context<'_>, bytes: &[u8]) -> SessionRecord {
    SessionRecord::decode(bytes).unwrap_or_else(|error| {
        tracing::error!(%error, "a stored ratchet can't be read and is taken for none; its device is asked for a new one");
        cx.emit(Event::Dropped {
            what: Dropped::Record,
        });
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
