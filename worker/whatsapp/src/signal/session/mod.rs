//! Pairwise sessions: what two devices know of each other, and the messages between them.
//!
//! Owns [`SessionRecord`], one per remote device: the state in use and the ones before it. Facts: docs/PROTOCOL.md,
//! "Signal", session record and receive algorithm.
//!
//! **Every method that takes `&mut self` changes what must be persisted.** After [`SessionRecord::encrypt`] in
//! particular, the record's new [`encode`](SessionRecord::encode) must be durable before the ciphertext leaves: sending
//! from an older record uses a message key twice, which betrays both messages. A method that fails has changed nothing.

mod encoding;
mod error;
mod message;
mod state;
mod ties;

pub use error::{BadRecord, DecryptError, EncryptError, InitiateError};
pub use message::{Ciphertext, CiphertextKind, PreKeyMessage, SignalMessage};
pub use state::{MAX_ARCHIVED_STATES, MAX_GAP, MAX_RECEIVING_CHAINS, MAX_SKIPPED_SEEDS};
pub use ties::{MARK_BYTES, MAX_SHOWN, Mark};

use bytes::Bytes;
use rand::CryptoRng;

use self::state::SessionState;
use self::ties::Ties;
use super::curve::PublicKey;
pub use super::keys::LocalIdentity;
use super::{PreKey, PreKeyBundle, PreKeyId, RegistrationId, SignedPreKey};

/// What we know of one remote device: the state in use, then those before it, most recently used first.
///
/// The default is a device that we have no session with.
#[derive(Clone, Default)]
pub struct SessionRecord {
    states: Vec<SessionState>,
    ties: Ties,
}

impl SessionRecord {
    /// Starts a session from the other side's bundle and makes it the one in use; earlier states are archived, or
    /// forgotten if they are of another identity. Until the other side answers, every message is a
    /// [`CiphertextKind::PreKey`].
    ///
    /// # Errors
    /// [`InitiateError`]: do not send to this device under this bundle.
    pub fn initiate<R: CryptoRng + ?Sized>(
        &mut self,
        own: LocalIdentity<'_>,
        bundle: &PreKeyBundle,
        rng: &mut R,
    ) -> Result<Initiated, InitiateError> {
        let state = SessionState::initiate(own.pair, bundle, rng)?;
        let identity_changed = self.is_other_identity(&bundle.identity);
        self.adopt(state);
        Ok(Initiated { identity_changed })
    }

    /// Encrypts for the other side, in the state in use. Persist the record before the ciphertext leaves.
    ///
    /// `plaintext` carries WhatsApp's own padding already ([`super::padding::pad`]).
    ///
    /// # Errors
    /// [`EncryptError`]: fetch a bundle and [`initiate`](Self::initiate).
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        own: LocalIdentity<'_>,
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<Ciphertext, EncryptError> {
        self.states
            .first_mut()
            .ok_or(EncryptError::NoSession)?
            .encrypt(own, plaintext, rng)
    }

    /// Decrypts a message of a session that exists (`<enc type="msg">`).
    ///
    /// # Errors
    /// [`DecryptError`]; the record is as before.
    pub fn decrypt_message(&mut self, own: LocalIdentity<'_>, bytes: &[u8]) -> Result<Vec<u8>, DecryptError> {
        let message = SignalMessage::parse(bytes)?;
        // A ratchet key that a state has seen belongs to that state: its answer is the answer.
        if let Some(at) = self
            .states
            .iter()
            .position(|state| state.has_chain(message.ratchet_key()))
        {
            return self.decrypt_in(at, own, &message);
        }
        for at in 0..self.states.len() {
            match self.decrypt_in(at, own, &message) {
                Err(DecryptError::BadMac) => {}
                done => return done,
            }
        }
        Err(if self.states.is_empty() {
            DecryptError::NoSession
        } else {
            DecryptError::BadMac
        })
    }

    /// Whether [`decrypt_prekey`](Self::decrypt_prekey) would start a new session with this message, and so needs the
    /// prekeys it names.
    pub fn is_new_session(&self, message: &PreKeyMessage<'_>) -> bool {
        self.position_of(message).is_none()
    }

    /// Decrypts a message that may start a session (`<enc type="pkmsg">`). `prekeys` are those that the message names,
    /// as far as they are stored.
    ///
    /// Persist in one commit: the record, the deletion of [`PreKeyDecrypted::used_prekey`] and, if it changed, the
    /// identity.
    ///
    /// # Errors
    /// [`DecryptError`]; the record is as before, and no prekey is used up.
    pub fn decrypt_prekey(
        &mut self,
        own: LocalIdentity<'_>,
        message: &PreKeyMessage<'_>,
        prekeys: PreKeys<'_>,
    ) -> Result<PreKeyDecrypted, DecryptError> {
        let inner = message.message()?;
        if let Some(at) = self.position_of(message) {
            let plaintext = self.decrypt_in(at, own, &inner)?;
            return Ok(PreKeyDecrypted {
                plaintext,
                used_prekey: None,
                identity_changed: false,
            });
        }
        let signed = prekeys
            .signed
            .filter(|key| key.id == message.signed_prekey_id())
            .ok_or(DecryptError::UnknownSignedPreKey(message.signed_prekey_id()))?;
        let one_time = match message.prekey_id() {
            None => None,
            Some(id) => {
                let key = prekeys.one_time.filter(|key| key.id == id);
                Some(key.ok_or(DecryptError::UnknownPreKey(id))?)
            }
        };
        let mut state =
            SessionState::respond(own.pair, &signed.pair, one_time.map(|key| &key.pair), message)?;
        let plaintext = state.decrypt(own.pair.public(), &inner)?;
        let identity_changed = self.is_other_identity(message.identity());
        self.adopt(state);
        Ok(PreKeyDecrypted {
            plaintext,
            used_prekey: message.prekey_id(),
            identity_changed,
        })
    }

    /// Takes the states of another record of the same device, behind its own: what is sent in them can still be read. They
    /// become the states in use if there are none.
    pub fn absorb(&mut self, other: Self) {
        let identity = self.remote_identity().copied();
        self.ties.absorb_shown(&other.ties);
        if identity.is_none_or(|identity| other.remote_identity() == Some(&identity)) {
            self.ties.absorb(&other.ties);
        }
        let kept = other
            .states
            .into_iter()
            .filter(|state| identity.is_none_or(|identity| identity == state.remote_identity));
        self.states.extend(kept);
        self.states.truncate(MAX_ARCHIVED_STATES + 1);
    }

    /// Forgets every state, so that nothing more is encrypted or decrypted in them; what the device was known by stays.
    pub fn close(&mut self) {
        self.ties.identity = self.remote_identity().copied();
        self.states.clear();
    }

    /// Believes that this is the device's identity, before there is a session; does nothing once one is known.
    pub fn pin(&mut self, identity: PublicKey) {
        if self.remote_identity().is_none() {
            self.ties.identity = Some(identity);
        }
    }

    /// Notes which account key has vouched for the identity of this companion.
    pub fn vouch(&mut self, account: PublicKey) {
        self.ties.account = Some(account);
    }

    /// The account key that has vouched for the present identity, if this is a companion that proved itself.
    pub fn account(&self) -> Option<&PublicKey> {
        self.ties.account.as_ref()
    }

    /// Notes that a message of this device was shown to the owner; false if it was before. Whoever does not know whether a
    /// message left sends it again under its id, encrypted anew: no ratchet takes that for a repeat. Of each device the
    /// last [`MAX_SHOWN`] are remembered.
    #[must_use]
    pub fn note_shown(&mut self, mark: Mark) -> bool {
        self.ties.note_shown(mark)
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty() && self.ties.is_empty()
    }

    /// Whether there is a state to send in.
    pub fn has_session(&self) -> bool {
        !self.states.is_empty()
    }

    /// Whether the other side has not answered yet, so that the next message is a [`CiphertextKind::PreKey`] and must
    /// be accompanied by our device identity.
    pub fn is_pending(&self) -> bool {
        self.states.first().is_some_and(|state| state.pending.is_some())
    }

    /// The other side's identity: that of the state in use, or what is known of it without one.
    pub fn remote_identity(&self) -> Option<&PublicKey> {
        self.states
            .first()
            .map(|state| &state.remote_identity)
            .or(self.ties.identity.as_ref())
    }

    /// The other side's installation, in the state in use.
    pub fn remote_registration_id(&self) -> Option<RegistrationId> {
        self.states.first().map(|state| state.remote_registration_id)
    }

    /// The key that the state in use began with. A peer that asks for a message again and again while this stays the
    /// same does not share the session: start a new one.
    pub fn base_key(&self) -> Option<&PublicKey> {
        self.states.first().map(|state| &state.base_key)
    }

    /// Whether the state in use began with these very keys, one-time prekey included, and the other side has not answered in
    /// it. Whoever starts another session from them uses a prekey twice, and the other side can't read what follows.
    pub fn is_begun_with(&self, bundle: &PreKeyBundle) -> bool {
        let Some((state, pending)) = self
            .states
            .first()
            .and_then(|state| Some((state, state.pending?)))
        else {
            return false;
        };
        let prekey = bundle.prekey.map(|(id, _)| id);
        prekey.is_some()
            && pending.prekey_id == prekey
            && pending.signed_prekey_id == bundle.signed_prekey_id
            && state.remote_registration_id == bundle.registration_id
            && state.remote_identity == bundle.identity
    }

    /// How many states there are before the one in use.
    pub fn archived(&self) -> usize {
        self.states.len().saturating_sub(1)
    }

    /// The stored form, versioned. Holds secrets in clear: seal it before it touches a disk.
    pub fn encode(&self) -> Bytes {
        encoding::encode(&self.states, &self.ties)
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`BadRecord`]: treat the session as lost.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let (states, ties) = encoding::decode(bytes)?;
        Ok(Self { states, ties })
    }

    fn position_of(&self, message: &PreKeyMessage<'_>) -> Option<usize> {
        self.states.iter().position(|state| {
            state.base_key == *message.base_key() && state.remote_identity == *message.identity()
        })
    }

    /// Decrypts in one state and, on success, makes it the one in use: what the other side sends in, it can read.
    fn decrypt_in(
        &mut self,
        at: usize,
        own: LocalIdentity<'_>,
        message: &SignalMessage<'_>,
    ) -> Result<Vec<u8>, DecryptError> {
        let plaintext = self.states[at].decrypt(own.pair.public(), message)?;
        self.states[..=at].rotate_right(1);
        Ok(plaintext)
    }

    fn is_other_identity(&self, identity: &PublicKey) -> bool {
        self.remote_identity().is_some_and(|known| known != identity)
    }

    fn adopt(&mut self, state: SessionState) {
        if self.is_other_identity(&state.remote_identity) {
            // Whoever vouched for the earlier identity has said nothing of this one.
            self.ties.account = None;
        }
        self.ties.identity = None;
        self.states
            .retain(|old| old.remote_identity == state.remote_identity);
        self.states.truncate(MAX_ARCHIVED_STATES);
        self.states.insert(0, state);
    }
}

/// Prints no key.
impl std::fmt::Debug for SessionRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionRecord")
            .field("states", &self.states.len())
            .finish_non_exhaustive()
    }
}

/// The prekeys that a message names, as far as they are stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct PreKeys<'a> {
    /// The one that [`PreKeyMessage::signed_prekey_id`] names.
    pub signed: Option<&'a SignedPreKey>,
    /// The one that [`PreKeyMessage::prekey_id`] names.
    pub one_time: Option<&'a PreKey>,
}

/// A session was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initiated {
    /// The other side has another identity than before; its earlier states are forgotten. Tell the user, do not block.
    pub identity_changed: bool,
}

/// What came out of a message that may have started a session.
pub struct PreKeyDecrypted {
    /// The padded message.
    pub plaintext: Vec<u8>,
    /// A new session was made with this one-time prekey: delete it in the same commit.
    pub used_prekey: Option<PreKeyId>,
    /// The other side has another identity than before; its earlier states are forgotten. Tell the user, do not block.
    pub identity_changed: bool,
}

/// Prints no content.
impl std::fmt::Debug for PreKeyDecrypted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreKeyDecrypted")
            .field("used_prekey", &self.used_prekey)
            .field("identity_changed", &self.identity_changed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
