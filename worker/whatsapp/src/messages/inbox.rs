//! Messages on their way in.
//!
//! They are handled strictly in the order they came; what the later ones need from the store is asked for while the
//! first waits. A message's plaintext, the change of its ratchet, the prekey it used up and its receipt are one step.

mod answer;

use std::collections::{HashMap, VecDeque};

use smallvec::SmallVec;

use super::channels;
use super::delivery::Content;
use super::placeholders::{Lacking, Placeholders};
use super::question::{Question, Questions};
use super::retries::Retries;
use crate::binary::Node;
use crate::command::Presence;
use crate::e2e::{Directory, E2e, Peer, is_own, phone_of};
use crate::event::{Event, Misbehaviour};
use crate::jid::{Jid, Server};
use crate::part::Context;
use crate::signal::session::{DecryptError, PreKeyMessage, PreKeys};
use crate::signal::{Address, PreKey, PreKeyId, SignedPreKey, SignedPreKeyId};
use crate::stanza::ack::{Nack, message_ack};
use crate::stanza::message::{Absence, Enc, EncKind, Received};
use crate::stanza::receipt::RetryReason;
use crate::store::RecordKey;

/// With this many messages waiting for the store, no more are read from the socket.
pub const MAX_WAITING: usize = 256;
/// How many messages' needs are asked for ahead of their turn.
const LOOK_AHEAD: usize = 16;

#[derive(Default)]
pub(super) struct Inbox {
    waiting: VecDeque<Box<Waiting>>,
    retries: Retries,
    prekeys: HashMap<PreKeyId, Option<PreKey>>,
    signed: HashMap<SignedPreKeyId, Option<SignedPreKey>>,
    /// Used up by steps that may not be durable yet: whatever the store says of them, they are gone.
    used: Vec<PreKeyId>,
    /// How many of `used` are in the step that is being committed.
    committing: usize,
    presence: Option<Presence>,
    /// Messages that only our phone may still give us.
    lacking: Vec<Lacking>,
    /// How many messages came in a way that we don't know.
    unknown_kinds: u32,
}

struct Waiting {
    stanza: Received,
    /// For acks, which repeat what it names.
    node: Node,
    name: Name,
    /// The ratchets that were asked for.
    addresses: SmallVec<[Address; 2]>,
    /// Prekeys were asked for.
    asked_keys: bool,
}

/// Whether the sender's other name is known, as far as it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    NotAsked,
    Asked,
    Answered,
}

/// What became of a message's ciphertexts.
enum Opened {
    /// The plaintexts, in order.
    Plain(Peer, Vec<Vec<u8>>),
    /// It was handled before.
    Nothing,
    /// There is nothing in it for us, and nothing better will come.
    Withheld,
    /// The server has no copy for us.
    Absent,
    /// It can't be decrypted.
    Failed(RetryReason),
}

impl Inbox {
    /// Decides the kind of delivery receipts.
    pub(super) fn set_presence(&mut self, presence: Option<Presence>) {
        self.presence = presence;
    }

    /// Whether no more messages should be handed in before the store has answered.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_WAITING
    }

    /// Takes a stanza. One that can't be told whom it is from is refused for good. What channels publish is not encrypted.
    pub(super) fn push(&mut self, cx: &mut Context<'_>, directory: &mut Directory, mut node: Node) {
        let server = node.attr_jid("from").map(|from| from.server());
        if server == Some(Server::Newsletter) {
            return channels::take(cx, &node);
        }
        let mut stanza = match Received::parse(&node) {
            Ok(stanza) => stanza,
            Err(error) => {
                tracing::debug!(%error, "message refused");
                cx.emit(Event::Misbehaved {
                    how: Misbehaviour::Malformed,
                });
                let refusal = Some(Nack::Parsing).filter(|_| server != Some(Server::Broadcast));
                return cx.send(message_ack(&node, cx.device.jid(), refusal));
            }
        };
        if !is_own(cx.device, stanza.sender()) {
            // Only our own devices send into other chats than their own.
            stanza.recipient = None;
        }
        if let Some(other) = &stanza.sender_alt {
            directory.learn(cx, stanza.sender(), other);
        }
        if let (Some(chat), Some(other)) = (&stanza.recipient, &stanza.recipient_alt) {
            directory.learn(cx, chat, other);
        }
        // The ciphertexts are in the parsed form; an ack repeats attributes only.
        node.content = crate::binary::Content::None;
        self.waiting.push_back(Box::new(Waiting {
            stanza,
            node,
            name: Name::NotAsked,
            addresses: SmallVec::new(),
            asked_keys: false,
        }));
    }

    /// Handles every message whose turn it is and whose needs are in memory, up to one that is decrypted.
    pub(super) fn next_content(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        questions: &mut Questions,
        placeholders: &mut Placeholders,
    ) -> Option<Box<Content>> {
        while let Some(mut first) = self.waiting.pop_front() {
            // What our phone answers must be shown in the step that decrypts it.
            let may_open = !first.is_from_phone(cx) || placeholders.is_ready(cx, e2e, questions);
            let opened = may_open
                .then(|| self.open(cx, e2e, questions, &mut first))
                .flatten();
            let Some(opened) = opened else {
                self.waiting.push_front(first);
                break;
            };
            let content = self.finish(cx, *first, opened);
            if content.is_some() {
                return content;
            }
        }
        for waiting in self.waiting.iter_mut().skip(1).take(LOOK_AHEAD) {
            waiting.prepare(cx, e2e);
        }
        None
    }

    /// Decrypts a message; `None` if something must be read first.
    fn open(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        questions: &mut Questions,
        waiting: &mut Waiting,
    ) -> Option<Opened> {
        match waiting.stanza.absence {
            Some(Absence::Missing) => return Some(Opened::Absent),
            Some(absence) => {
                self.note_withheld(absence);
                return Some(Opened::Withheld);
            }
            None => {}
        }
        let peer = waiting.prepare(cx, e2e)?;
        // Nothing may be decrypted before all can be: a plaintext can't be had twice.
        let missing: Vec<KeyNames> = new_sessions(e2e, &peer, &waiting.stanza.encs)
            .filter(|names| !self.has_keys(cx, *names))
            .collect();
        if !missing.is_empty() {
            if !std::mem::replace(&mut waiting.asked_keys, true) {
                let asks = missing.into_iter();
                asks.for_each(|names| ask_keys(cx, questions, names));
            }
            return None;
        }
        let opened = match self.decrypt_all(cx, e2e, &peer, waiting) {
            Ok(plaintexts) if plaintexts.is_empty() => Opened::Nothing,
            Ok(plaintexts) => Opened::Plain(peer, plaintexts),
            Err(reason) => Opened::Failed(reason),
        };
        // Read for this message alone.
        self.prekeys.clear();
        self.signed.clear();
        Some(opened)
    }

    /// The plaintexts of those ciphertexts that were not decrypted before.
    fn decrypt_all(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        peer: &Peer,
        waiting: &Waiting,
    ) -> Result<Vec<Vec<u8>>, RetryReason> {
        let group = waiting.group_key(peer);
        let mut plaintexts = Vec::with_capacity(waiting.stanza.encs.len());
        for enc in &waiting.stanza.encs {
            let result = match (enc.kind, &group) {
                (EncKind::PreKey, _) => {
                    let proof = waiting.stanza.device_identity.as_deref();
                    self.decrypt_prekey(cx, e2e, peer, enc, proof)
                }
                (EncKind::Message, _) => {
                    let decrypted = e2e.ratchets.decrypt_message(cx, &peer.address, &enc.ciphertext);
                    decrypted.map_err(Failure::from)
                }
                (EncKind::SenderKey, Some(name)) => {
                    let decrypted = e2e.group_keys.decrypt(cx, name, &enc.ciphertext);
                    decrypted.map_err(Failure::from)
                }
                (EncKind::SenderKey, None) => Err(Failure::Retry(RetryReason::InvalidMessage)),
            };
            if let (Ok(plaintext), Some(name)) = (&result, &group) {
                e2e.group_keys.accept_handed(cx, name, plaintext);
            }
            match result {
                Ok(plaintext) => plaintexts.push(plaintext),
                Err(Failure::Duplicate) => {}
                Err(Failure::Retry(reason)) => return Err(reason),
            }
        }
        Ok(plaintexts)
    }

    /// Decrypts what may start a session, if its sender is who it says; its prekeys are in memory as far as they exist.
    fn decrypt_prekey(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        peer: &Peer,
        enc: &Enc,
        proof: Option<&[u8]>,
    ) -> Result<Vec<u8>, Failure> {
        let message = PreKeyMessage::parse(&enc.ciphertext)?;
        let trusted = e2e.trust(cx, &peer.address, message.identity(), proof);
        let account = trusted.map_err(|_| Failure::Retry(RetryReason::Adv))?;
        let current = cx.device.signed_prekey.clone();
        let signed = if current.id == message.signed_prekey_id() {
            Some(&current)
        } else {
            let earlier = self.signed.get(&message.signed_prekey_id());
            earlier.and_then(Option::as_ref)
        };
        let one_time = message
            .prekey_id()
            .and_then(|id| self.prekeys.get(&id))
            .and_then(Option::as_ref);
        let prekeys = PreKeys { signed, one_time };
        let decrypted = e2e
            .ratchets
            .decrypt_prekey(cx, &peer.address, &message, prekeys, account)?;
        self.used.extend(decrypted.used_prekey);
        Ok(decrypted.plaintext)
    }

    /// Whether the store has answered for these prekeys.
    fn has_keys(&self, cx: &Context<'_>, names: KeyNames) -> bool {
        (cx.device.signed_prekey.id == names.signed || self.signed.contains_key(&names.signed))
            && names.one_time.is_none_or(|id| self.prekeys.contains_key(&id))
    }

    /// The ratchets that messages wait with.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Address> {
        self.waiting.iter().flat_map(|waiting| &waiting.addresses)
    }

    /// The store has answered for the other name of a user; the directory has it if there is one.
    pub(super) fn on_name(&mut self, user: &Jid) {
        for waiting in &mut self.waiting {
            if phone_of(waiting.stanza.sender()).same_user(user) {
                waiting.name = Name::Answered;
            }
        }
    }

    /// The store has answered for a one-time prekey.
    pub(super) fn on_prekey(&mut self, id: PreKeyId, stored: Option<&[u8]>) {
        let prekey = stored
            .filter(|_| !self.used.contains(&id))
            .and_then(|bytes| PreKey::decode(id, bytes));
        self.prekeys.insert(id, prekey);
    }

    /// The store has answered for a signed prekey.
    pub(super) fn on_signed_prekey(&mut self, id: SignedPreKeyId, stored: Option<&[u8]>) {
        self.signed
            .insert(id, stored.and_then(|bytes| SignedPreKey::decode(id, bytes)));
    }

    pub(super) fn on_step_taken(&mut self) {
        self.committing = self.used.len();
    }

    pub(super) fn on_committed(&mut self) {
        self.used.drain(..std::mem::take(&mut self.committing));
    }
}

impl Waiting {
    /// Whether our own phone tells us something.
    fn is_from_phone(&self, cx: &Context<'_>) -> bool {
        let sender = self.stanza.sender();
        self.stanza.peer && sender.device() == 0 && is_own(cx.device, sender)
    }

    /// Asks for what the message needs before its ciphertext is looked at; the sender's ratchet if all of it is here.
    fn prepare(&mut self, cx: &mut Context<'_>, e2e: &mut E2e) -> Option<Peer> {
        let sender = self.stanza.sender();
        let user = phone_of(sender);
        let is_known = is_own(cx.device, sender) || e2e.directory.other_name(&user).is_some();
        match self.name {
            Name::NotAsked if !is_known && e2e.ask_name(cx, &user) => {
                self.name = Name::Asked;
                return None;
            }
            Name::Asked if !is_known => return None,
            _ => {}
        }
        let peer = e2e.directory.peer(cx.device, sender.clone());
        // Only what may start a session is looked at for who vouches for it.
        let starts = self.stanza.encs.iter().any(|enc| enc.kind == EncKind::PreKey);
        let phone = starts
            .then(|| e2e.directory.phone_of(cx.device, sender))
            .flatten();
        let peers = || std::iter::once(&peer).chain(&phone);
        self.addresses = peers().map(|peer| peer.address.clone()).collect();
        let has_group_key = self
            .group_key(&peer)
            .is_none_or(|name| e2e.ensure_sender_key(cx, &name));
        (e2e.ensure(cx, peers()) && has_group_key).then_some(peer)
    }

    /// Under which the sender's key in this group or list is kept; `None` outside of groups and lists.
    fn group_key(&self, peer: &Peer) -> Option<RecordKey> {
        self.stanza
            .participant
            .is_some()
            .then(|| RecordKey::sender_key(&self.stanza.from, &peer.address))
    }
}

/// The prekeys of those ciphertexts that would start a session.
fn new_sessions<'a>(e2e: &'a E2e, peer: &'a Peer, encs: &'a [Enc]) -> impl Iterator<Item = KeyNames> + 'a {
    let starts = encs.iter().filter(|enc| enc.kind == EncKind::PreKey);
    starts.filter_map(|enc| {
        let message = PreKeyMessage::parse(&enc.ciphertext).ok()?;
        let is_new = e2e.ratchets.is_new_session(&peer.address, &message);
        is_new.then(|| KeyNames {
            signed: message.signed_prekey_id(),
            one_time: message.prekey_id(),
        })
    })
}

fn ask_keys(cx: &mut Context<'_>, questions: &mut Questions, names: KeyNames) {
    if cx.device.signed_prekey.id != names.signed {
        let ticket = questions.open(Question::SignedPreKey(names.signed));
        cx.load(vec![RecordKey::signed_prekey(names.signed)], ticket);
    }
    if let Some(id) = names.one_time {
        cx.load(vec![RecordKey::prekey(id)], questions.open(Question::PreKey(id)));
    }
}

/// The prekeys that a message was encrypted with.
#[derive(Clone, Copy)]
struct KeyNames {
    signed: SignedPreKeyId,
    one_time: Option<PreKeyId>,
}

/// Why a ciphertext gave no plaintext.
enum Failure {
    Duplicate,
    Retry(RetryReason),
}

impl From<DecryptError> for Failure {
    fn from(error: DecryptError) -> Self {
        Self::Retry(match error {
            DecryptError::Duplicate => return Self::Duplicate,
            DecryptError::NoSession => RetryReason::NoSession,
            DecryptError::BadMac => RetryReason::BadMac,
            DecryptError::UnknownPreKey(_) | DecryptError::UnknownSignedPreKey(_) => {
                RetryReason::InvalidKeyId
            }
            DecryptError::Malformed | DecryptError::UnsupportedVersion(_) => RetryReason::InvalidMessage,
            DecryptError::BadSignature => RetryReason::InvalidMessage,
            _ => RetryReason::Unknown,
        })
    }
}
