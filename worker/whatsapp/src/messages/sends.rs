//! Messages on their way out.
//!
//! Each is a small state machine: which names the recipient has → which devices → their ratchets in memory → bundles for
//! those without a session → encrypted, told and sent in one step → confirmed. Questions are shared: all sends that wait
//! for device lists go into one query, all missing bundles into one request.
//!
//! A message that the server refuses for how it is addressed goes once more, under the other name of its chat; its content
//! is asked of the owner, who has it anyway.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use prost::Message as _;
use smallvec::SmallVec;

use super::question::{Question, Questions};
use super::secret;
use super::waiting::{Again, GivenAs, Progress, State, Target, Targets, Waiting, addressee};
use crate::command::{Outgoing, Recipient};
use crate::device::Device;
use crate::e2e::plaintext::{device_sent, padded};
use crate::e2e::{Directory, E2e, Fetched, Space, Wake, is_own, own_device};
use crate::event::{Event, QueryError, SendError};
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::part::Context;
use crate::phash::devices_hash;
use crate::proto::Message;
use crate::signal::Address;
use crate::stanza::ack::MessageAck;
use crate::stanza::class::Class;
use crate::stanza::message::{Enc, EncKind, Fanout};
use crate::store::{RecordKey, SentMessage};
use crate::time::Timestamp;
use crate::tokens::Tokens;

/// Most sends under way, confirmed ones not counted; more are answered with [`SendError::Busy`].
pub const MAX_SENDS: usize = 256;
/// Largest message, encoded: a stanza repeats it for each device, and one that fits no frame would cost the connection.
pub const MAX_MESSAGE_BYTES: usize = 512 * 1024;
/// How many messages whose confirmation did not come in time are remembered, should it come late.
const MAX_LATE: usize = 64;

#[derive(Default)]
pub(super) struct Sends {
    /// Not encrypted yet, in the order of the owner.
    waiting: Vec<Waiting>,
    /// Encrypted, oldest first.
    unconfirmed: VecDeque<Unconfirmed>,
    /// Not confirmed in time.
    late: VecDeque<(MessageId, Jid)>,
    /// Whom the account blocks, sorted: nobody of them is sent to.
    blocked: Option<Arc<[Jid]>>,
}

/// Which sends to look at.
struct Look<'a> {
    /// From this one on.
    at: usize,
    wake: Wake<'a>,
}

/// A message that left, or is about to.
struct Unconfirmed {
    id: MessageId,
    to: Jid,
    again: Option<Box<Again>>,
    deadline: Timestamp,
    devices: SmallVec<[Jid; 4]>,
}

impl Sends {
    /// Takes a message of the owner.
    pub(super) fn push(&mut self, cx: &mut Context<'_>, outgoing: Box<Outgoing>) {
        let under_way = self
            .waiting
            .iter()
            .map(|send| &send.outgoing.id)
            .chain(self.unconfirmed.iter().map(|s| &s.id));
        if under_way.clone().any(|id| *id == outgoing.id) {
            // The send that is under way answers for both.
            return;
        }
        let reason = if under_way.count() >= MAX_SENDS {
            Err(SendError::Busy)
        } else if outgoing.message.encoded_len() > MAX_MESSAGE_BYTES {
            Err(SendError::Unsupported("messages of this size"))
        } else {
            addressee(&outgoing.to)
        };
        match reason {
            Ok((user, given_as)) => {
                self.waiting.push(Waiting {
                    outgoing,
                    user,
                    given_as,
                    again: None,
                    state: State::Unnamed,
                });
            }
            Err(reason) => cx.emit(reason.event(outgoing.id)),
        }
    }

    /// From now on these are blocked.
    pub(super) fn set_blocked(&mut self, blocked: Option<Arc<[Jid]>>) {
        self.blocked = blocked;
    }

    /// Whether the account blocks the chat, by either of its names.
    fn is_blocked(&self, directory: &Directory, chat: &Jid) -> bool {
        let Some(blocked) = &self.blocked else {
            return false;
        };
        let names = [Some(chat.to_bare()), directory.other_name(chat)];
        names
            .iter()
            .flatten()
            .any(|name| blocked.binary_search(name).is_ok())
    }

    /// Forgets a message that is not encrypted yet.
    pub(super) fn cancel(&mut self, cx: &mut Context<'_>, id: &MessageId) {
        if let Some(at) = self.waiting.iter().position(|send| send.outgoing.id == *id) {
            self.waiting.remove(at);
            cx.emit(SendError::Cancelled.event(id.clone()));
        }
    }

    /// Moves sends as far as they go now, and asks for what they lack. Looking at one that can't go on yet is not free,
    /// and there may be many: only those are looked at that `wake` is for.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        tokens: &mut Tokens,
        wake: Wake<'_>,
    ) {
        self.look(cx, e2e, tokens, Look { at: 0, wake });
    }

    /// Like [`Self::advance`] for the one that was taken last: nothing has changed for the others.
    pub(super) fn advance_last(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, tokens: &mut Tokens) {
        let at = self.waiting.len().saturating_sub(1);
        let wake = Wake::All;
        self.look(cx, e2e, tokens, Look { at, wake });
    }

    fn look(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, tokens: &mut Tokens, look: Look<'_>) {
        let Look { mut at, wake } = look;
        while at < self.waiting.len() {
            let send = &mut self.waiting[at];
            let progress = match send.is_woken(wake) {
                true => send.advance(cx, e2e, tokens),
                false => Progress::Waits,
            };
            match progress {
                Progress::Waits => at += 1,
                Progress::Ready => {
                    let send = self.waiting.remove(at);
                    self.finish(cx, e2e, tokens, send);
                }
                Progress::Fails(reason) => {
                    let send = self.waiting.remove(at);
                    cx.emit(reason.event(send.outgoing.id));
                }
            }
        }
        let unnamed = self
            .waiting
            .iter()
            .filter(|send| matches!(send.state, State::Unnamed));
        e2e.ask_names(cx, unnamed.map(|send| &send.user));
        let unresolved = self
            .waiting
            .iter()
            .filter(|send| matches!(send.state, State::Resolving));
        e2e.ask_devices(
            cx,
            unresolved.map(|send| (&send.user, send.given_as != GivenAs::Address)),
        );
    }

    /// The store has answered for the names of these users, sorted.
    pub(super) fn on_names(&mut self, named: &[Jid]) {
        for send in &mut self.waiting {
            if matches!(send.state, State::Unnamed) && named.binary_search(&send.user).is_ok() {
                send.state = State::Resolving;
            }
        }
    }

    /// Device lists came, but not of these users. Without our own nothing can be sent: sends that wait for it alone must
    /// not ask for it for ever.
    pub(super) fn on_devices(
        &mut self,
        cx: &mut Context<'_>,
        directory: &Directory,
        failed: &[(Jid, SendError)],
    ) {
        for (user, reason) in failed {
            let (now, device) = (cx.now, &**cx.device);
            let is_us = is_own(device, user);
            let fails = |send: &Waiting| {
                matches!(send.state, State::Resolving)
                    && (send.user == *user || is_us && directory.devices(device, &send.user, now).is_some())
            };
            let failing: Vec<Waiting> = self.waiting.extract_if(.., |send| fails(send)).collect();
            for send in failing {
                cx.emit(reason.clone().event(send.outgoing.id));
            }
        }
    }

    /// Requested bundles came, or did not.
    pub(super) fn on_bundles(&mut self, cx: &mut Context<'_>, outcomes: &BTreeMap<Address, Fetched>) {
        let mut failed: Vec<(MessageId, QueryError)> = Vec::new();
        for send in &mut self.waiting {
            let State::Keys(targets) = &mut send.state else {
                continue;
            };
            for address in std::mem::take(&mut targets.fetching) {
                match outcomes.get(&address) {
                    Some(Fetched::Session) => {}
                    Some(Fetched::Skip) => targets.devices.retain(|target| target.peer.address != address),
                    Some(Fetched::Failed(error)) => failed.push((send.outgoing.id.clone(), error.clone())),
                    None => targets.fetching.push(address),
                }
            }
        }
        for (id, error) in failed {
            self.waiting.retain(|send| send.outgoing.id != id);
            cx.emit(SendError::Query(error).event(id));
        }
    }

    /// Encrypts for every device: ratchets, event and frame go into one step. The recipient's come first: a message that
    /// none of them can read is not sent to our own devices either.
    fn finish(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, tokens: &mut Tokens, send: Waiting) {
        let State::Keys(targets) = send.state else { return };
        let Targets { to, devices, .. } = *targets;
        let Outgoing {
            id,
            mut message,
            to: given,
        } = *send.outgoing;
        if self.is_blocked(&e2e.directory, &to) {
            return cx.emit(SendError::Blocked.event(id));
        }
        if let Some(chat) = given.chat() {
            secret::attach(cx.device, &chat, &id, &mut message);
        }
        let class = Class::of_message(&message);
        let only_own = is_own(cx.device, &to);
        let (own, theirs): (SmallVec<[Target; 4]>, SmallVec<[Target; 4]>) =
            devices.into_iter().partition(|target| target.own);
        let mut targets = Vec::with_capacity(own.len() + theirs.len());
        if !theirs.is_empty() {
            let plaintext = padded(&message, cx.rng);
            encrypt(cx, e2e, theirs, &plaintext, &mut targets);
        }
        if targets.is_empty() && !only_own {
            return cx.emit(SendError::NoDevices.event(id));
        }
        if !own.is_empty() {
            let plaintext = padded(&device_sent(message, &to), cx.rng);
            encrypt(cx, e2e, own, &plaintext, &mut targets);
        }
        if targets.is_empty() {
            return cx.emit(SendError::NoDevices.event(id));
        }
        let starts_session = targets.iter().any(|(_, enc)| enc.kind == EncKind::PreKey);
        let proof = cx.device.account.as_ref().map(|account| account.identity.clone());
        let device_identity = proof.filter(|_| starts_session);
        let sent_to = targets.iter().map(|(jid, _)| jid.clone()).collect();
        let stanza = Fanout {
            id: &id,
            to: &to,
            class,
            targets,
            device_identity,
            contact_proof: tokens.proof(cx, &e2e.directory, &to),
            now: cx.now,
        }
        .into_node();
        if send.again.is_none() {
            cx.emit(prepared(&e2e.directory, &id, &to));
        }
        cx.send(stanza);
        tokens.on_sent(cx, &e2e.directory, &to);
        // Its own ack counts for this one too.
        self.late.retain(|(late, _)| *late != id);
        self.unconfirmed.push_back(Unconfirmed {
            id,
            to,
            again: send.again,
            deadline: cx.now + cx.config.timing.ack,
            devices: sent_to,
        });
    }
}

/// What becomes of them.
impl Sends {
    /// The server confirmed or refused a message; false if it is none of these.
    pub(super) fn on_ack(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        questions: &mut Questions,
        ack: &MessageAck,
    ) -> bool {
        let send = if let Some(at) = self.unconfirmed.iter().position(|send| send.id == ack.id) {
            self.unconfirmed.remove(at)
        } else if let Some(at) = self.late.iter().position(|(id, _)| *id == ack.id) {
            let late = self.late.remove(at);
            late.map(|(id, to)| Unconfirmed::late(id, to, cx.now))
        } else {
            None
        };
        let Some(send) = send else { return false };
        if let Some(code) = ack.error {
            self.refused(cx, e2e, questions, send, code);
            return true;
        }
        let (to, directory) = (send.to, &mut e2e.directory);
        let refused = send.again.as_ref().map(|again| &again.refused);
        e2e.addressing.on_accepted(cx, &to, refused);
        if let Some(theirs) = &ack.phash
            && let Some(own) = own_device(cx.device, Space::of(&to))
            && *theirs != devices_hash(send.devices.iter().chain([own]))
        {
            directory.forget_devices(cx.device, &to);
            directory.forget_own_devices();
        }
        let timestamp = ack.timestamp.unwrap_or(cx.now);
        cx.emit(Event::MessageAcked {
            id: ack.id.clone(),
            to,
            timestamp,
        });
        true
    }

    /// The server refused a message. For how it is addressed: it goes once more, under the other name of the chat, if that
    /// is known.
    fn refused(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        questions: &mut Questions,
        send: Unconfirmed,
        code: u32,
    ) {
        if STALE_DEVICES.contains(&code) {
            e2e.directory.forget_devices(cx.device, &send.to);
        }
        let other = match code {
            BAD_ADDRESSING if send.again.is_none() && !send.devices.is_empty() => {
                other_chat(cx.device, &e2e.directory, &send.to)
            }
            _ => None,
        };
        let Some(to) = other else {
            let code = u16::try_from(code).unwrap_or(u16::MAX);
            return cx.emit(SendError::Nack { code }.event(send.id));
        };
        tracing::debug!("a message is addressed by the other name of its chat");
        let ticket = questions.open(Question::Refused(send.id.clone()));
        cx.load(vec![RecordKey::sent(&send.id)], ticket);
        let outgoing = Outgoing {
            id: send.id,
            to: Recipient::Jid(to.clone()),
            message: Message::default(),
        };
        let refused = send.to;
        self.waiting.push(Waiting {
            outgoing: Box::new(outgoing),
            user: refused.clone(),
            given_as: GivenAs::Address,
            again: Some(Box::new(Again { to, refused })),
            state: State::Content,
        });
    }

    /// The owner has answered what a message was that the server refused; without an answer it is refused for good.
    pub(super) fn on_content(&mut self, cx: &mut Context<'_>, id: &MessageId, sent: Option<SentMessage>) {
        let is_meant = |send: &Waiting| matches!(send.state, State::Content) && send.outgoing.id == *id;
        let Some(at) = self.waiting.iter().position(is_meant) else {
            return;
        };
        let message = sent.and_then(|sent| Message::decode(sent.message).ok());
        let Some(message) = message else {
            self.waiting.remove(at);
            let code = u16::try_from(BAD_ADDRESSING).unwrap_or(u16::MAX);
            return cx.emit(SendError::Nack { code }.event(id.clone()));
        };
        let send = &mut self.waiting[at];
        send.outgoing.message = message;
        send.state = State::Resolving;
    }

    /// The ratchets that sends wait with.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Address> {
        let targets = self.waiting.iter().filter_map(|send| match &send.state {
            State::Keys(targets) => Some(targets.peers()),
            State::Content | State::Unnamed | State::Resolving => None,
        });
        targets.flatten().map(|peer| &peer.address)
    }

    /// The chats whose devices sends wait for keys of.
    pub(super) fn chats_in_use(&self) -> impl Iterator<Item = &Jid> {
        self.waiting.iter().filter_map(|send| match &send.state {
            State::Keys(targets) => Some(&targets.to),
            State::Content | State::Unnamed | State::Resolving => None,
        })
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.unconfirmed.front().map(|send| send.deadline)
    }

    /// Answers for messages that were not confirmed in time.
    pub(super) fn tick(&mut self, cx: &mut Context<'_>) {
        while let Some(send) = self.unconfirmed.pop_front_if(|send| send.deadline <= cx.now) {
            cx.emit(SendError::Unconfirmed.event(send.id.clone()));
            if self.late.len() >= MAX_LATE {
                self.late.pop_front();
            }
            self.late.push_back((send.id, send.to));
        }
    }

    /// The connection is over: every send gets an answer.
    pub(super) fn on_closed(&mut self, cx: &mut Context<'_>) {
        for send in std::mem::take(&mut self.waiting) {
            cx.emit(SendError::NotConnected.event(send.outgoing.id));
        }
        for send in std::mem::take(&mut self.unconfirmed) {
            cx.emit(SendError::Unconfirmed.event(send.id));
        }
    }
}

/// Codes after which the device list is asked for anew.
const STALE_DEVICES: [u32; 3] = [406, 421, 479];
/// The stanza names its chat or a device by the wrong kind of name, or is malformed.
const BAD_ADDRESSING: u32 = 400;

impl Unconfirmed {
    /// One whose confirmation did not come in time: nothing more is known of it.
    fn late(id: MessageId, to: Jid, deadline: Timestamp) -> Self {
        let (again, devices) = (None, SmallVec::new());
        Self {
            id,
            to,
            again,
            deadline,
            devices,
        }
    }
}

/// Encrypts one plaintext for these devices. A chain that is used up counts as no session; the device is left out until
/// it is replaced.
fn encrypt(
    cx: &mut Context<'_>,
    e2e: &mut E2e,
    devices: SmallVec<[Target; 4]>,
    plaintext: &[u8],
    into: &mut Vec<(Jid, Enc)>,
) {
    for Target { peer, .. } in devices {
        if let Ok(enc) = e2e.ratchets.encrypt(cx, &peer.address, plaintext) {
            into.push((peer.wire, enc));
        }
    }
}

/// What the owner is told of a message that is encrypted.
fn prepared(directory: &Directory, id: &MessageId, to: &Jid) -> Event {
    let lid = if to.is_lid() {
        Some(to.clone())
    } else {
        directory.other_name(to)
    };
    Event::MessagePrepared {
        id: id.clone(),
        to: to.clone(),
        lid,
    }
}

/// The other name of a chat, without device, if it is known and we have one of that kind too.
fn other_chat(device: &Device, directory: &Directory, chat: &Jid) -> Option<Jid> {
    device.lid()?;
    if is_own(device, chat) {
        let own = own_device(device, Space::of(chat).other())?;
        return Some(own.to_bare());
    }
    directory.other_name(chat)
}
