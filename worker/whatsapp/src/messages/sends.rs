//! Messages on their way out.
//!
//! Each is a small state machine: who has which devices → their ratchets in memory → bundles for those without a session
//! → encrypted, told and sent in one step → confirmed. Questions are shared: all sends that wait for device lists go into
//! one query, all missing bundles into one request.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use prost::Message as _;
use smallvec::SmallVec;

use crate::command::{Outgoing, Recipient};
use crate::device::Device;
use crate::e2e::plaintext::{device_sent, padded};
use crate::e2e::{Directory, E2e, Fetched, Peer, Wake, is_own};
use crate::event::{Event, QueryError, SendError};
use crate::jid::{Jid, Server};
use crate::message_id::MessageId;
use crate::part::Context;
use crate::phash::devices_hash;
use crate::signal::Address;
use crate::stanza::ack::MessageAck;
use crate::stanza::class::Class;
use crate::stanza::message::{EncKind, Fanout};
use crate::time::Timestamp;
use crate::tokens::Tokens;

/// Most sends under way, confirmed ones not counted; more are answered with [`SendError::Busy`].
pub const MAX_SENDS: usize = 256;
/// Largest message, encoded: a stanza repeats it for each device, and one that fits no frame would cost the connection.
pub const MAX_MESSAGE_BYTES: usize = 512 * 1024;
/// How long the server may take to confirm a message.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(30);
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
}

/// A message that is not encrypted yet.
struct Waiting {
    outgoing: Box<Outgoing>,
    /// The recipient as device lists know it.
    user: Jid,
    /// Whether it is a number that may have no account.
    is_number: bool,
    state: State,
}

enum State {
    /// For a device list.
    Resolving,
    /// For ratchets or bundles.
    Keys(Box<Targets>),
}

struct Targets {
    /// The chat as the stanza addresses it.
    to: Jid,
    devices: SmallVec<[Target; 4]>,
    /// The recipient's phone, if it is none of the devices: their keys are good only with its.
    phone: Option<Peer>,
    /// Those whose bundles are on their way.
    fetching: SmallVec<[Address; 4]>,
    /// What is stored of the tokens with the recipient is being read.
    awaits_tokens: bool,
}

struct Target {
    peer: Peer,
    own: bool,
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
            Ok((user, is_number)) => {
                self.waiting.push(Waiting {
                    outgoing,
                    user,
                    is_number,
                    state: State::Resolving,
                });
            }
            Err(reason) => cx.emit(reason.event(outgoing.id)),
        }
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
            if send.is_woken(wake) && send.is_ready(cx, e2e, tokens) {
                let send = self.waiting.remove(at);
                self.finish(cx, e2e, tokens, send);
            } else {
                at += 1;
            }
        }
        let unresolved = self
            .waiting
            .iter()
            .filter(|send| matches!(send.state, State::Resolving));
        e2e.ask_devices(cx, unresolved.map(|send| (&send.user, send.is_number)));
    }

    /// Device lists came, but not of these users. Without our own nothing can be sent: sends that wait for it alone must
    /// not ask for it for ever.
    pub(super) fn on_devices(
        &mut self,
        cx: &mut Context<'_>,
        directory: &Directory,
        failed: &[(Jid, SendError)],
    ) {
        let now = cx.now;
        for (user, reason) in failed {
            let is_us = is_own(cx.device, user);
            self.fail_where(cx, reason, |send| {
                matches!(send.state, State::Resolving)
                    && (send.user == *user || is_us && directory.devices(&send.user, now).is_some())
            });
        }
    }

    fn fail_where(&mut self, cx: &mut Context<'_>, reason: &SendError, fails: impl Fn(&Waiting) -> bool) {
        for send in self.waiting.extract_if(.., |send| fails(send)) {
            cx.emit(reason.clone().event(send.outgoing.id));
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
            self.fail_where(cx, &SendError::Query(error), |send| send.outgoing.id == id);
        }
    }

    /// Encrypts for every device: ratchets, event and frame go into one step.
    fn finish(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, tokens: &mut Tokens, send: Waiting) {
        let State::Keys(targets) = send.state else { return };
        let Targets { to, devices, .. } = *targets;
        let Outgoing { id, message, .. } = *send.outgoing;
        let only_own = is_own(cx.device, &to);
        if !devices.iter().any(|target| only_own || !target.own) {
            return cx.emit(SendError::NoDevices.event(id));
        }
        let class = Class::of_message(&message);
        let theirs = padded(&message, cx.rng);
        let ours = padded(&device_sent(message, &to), cx.rng);
        let mut targets = Vec::with_capacity(devices.len());
        for Target { peer, own } in devices {
            // A chain that is used up counts as no session; the device is left out until it is replaced.
            let plaintext = if own { &ours } else { &theirs };
            if let Ok(enc) = e2e.ratchets.encrypt(cx, &peer.address, plaintext) {
                targets.push((peer.wire, enc));
            }
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
        }
        .into_node();
        let lid = if to.is_lid() {
            Some(to.clone())
        } else {
            e2e.directory.other_name(&to)
        };
        cx.emit(Event::MessagePrepared {
            id: id.clone(),
            to: to.clone(),
            lid,
        });
        cx.send(stanza);
        tokens.on_sent(cx, &e2e.directory, &to);
        if send.is_number && !send.user.same_user(&to) {
            cx.changes().put_renumbered(send.user.user(), to.user());
        }
        // Its own ack counts for this one too.
        self.late.retain(|(late, _)| *late != id);
        self.unconfirmed.push_back(Unconfirmed {
            id,
            to,
            deadline: cx.now + ACK_TIMEOUT,
            devices: sent_to,
        });
    }

    /// The server confirmed or refused a message; false if it is none of these.
    pub(super) fn on_ack(
        &mut self,
        cx: &mut Context<'_>,
        directory: &mut Directory,
        ack: &MessageAck,
    ) -> bool {
        let (to, devices) = if let Some(at) = self.unconfirmed.iter().position(|send| send.id == ack.id)
            && let Some(send) = self.unconfirmed.remove(at)
        {
            (send.to, send.devices)
        } else if let Some(at) = self.late.iter().position(|(id, _)| *id == ack.id)
            && let Some((_, to)) = self.late.remove(at)
        {
            (to, SmallVec::new())
        } else {
            return false;
        };
        if let Some(code) = ack.error {
            if STALE_DEVICES.contains(&code) {
                directory.forget_devices(&to);
            }
            let reason = SendError::Nack {
                code: u16::try_from(code).unwrap_or(u16::MAX),
            };
            cx.emit(reason.event(ack.id.clone()));
            return true;
        }
        if let Some(theirs) = &ack.phash
            && let Some(own) = own_device(cx.device, &to)
            && *theirs != devices_hash(devices.iter().chain([own]))
        {
            directory.forget_devices(&to);
            directory.forget_devices(&own.to_bare());
        }
        let timestamp = ack.timestamp.unwrap_or(cx.now);
        cx.emit(Event::MessageAcked {
            id: ack.id.clone(),
            to,
            timestamp,
        });
        true
    }

    /// The ratchets that sends wait with.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Address> {
        let targets = self.waiting.iter().filter_map(|send| match &send.state {
            State::Keys(targets) => Some(targets.peers()),
            State::Resolving => None,
        });
        targets.flatten().map(|peer| &peer.address)
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

impl Waiting {
    fn is_woken(&self, wake: Wake<'_>) -> bool {
        match (wake, &self.state) {
            (Wake::All, _) => true,
            (Wake::For(_) | Wake::Records, State::Resolving) => false,
            (Wake::Records, State::Keys(targets)) => targets.awaits_tokens,
            (Wake::For(loaded), State::Keys(targets)) => targets
                .peers()
                .any(|peer| loaded.iter().any(|wanted| wanted.concerns(peer))),
        }
    }

    /// Goes on as far as it can; true if nothing is lacking.
    fn is_ready(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, tokens: &mut Tokens) -> bool {
        if let State::Resolving = self.state {
            let Some(targets) = Targets::new(cx.device, &e2e.directory, &self.user, cx.now) else {
                return false;
            };
            self.state = State::Keys(Box::new(targets));
        }
        let State::Keys(targets) = &mut self.state else {
            return false;
        };
        targets.rename(cx.device, &e2e.directory);
        // Read together with the ratchets.
        targets.awaits_tokens = !tokens.ensure(cx, &e2e.directory, &targets.to);
        if !targets.fetching.is_empty() || !e2e.ensure(cx, targets.peers()) {
            return false;
        }
        for Target { peer, .. } in &targets.devices {
            if !e2e.ratchets.has_session(cx.device, &peer.address) {
                e2e.want_session(&peer.address);
                targets.fetching.push(peer.address.clone());
            }
        }
        targets.fetching.is_empty() && !targets.awaits_tokens
    }
}

impl Targets {
    /// Goes over to names that were learned while the send waited: the ratchets may have moved there.
    fn rename(&mut self, device: &Device, directory: &Directory) {
        let devices = self.devices.iter_mut().map(|target| &mut target.peer);
        for peer in devices
            .chain(&mut self.phone)
            .filter(|peer| peer.earlier.is_none())
        {
            *peer = directory.peer(device, peer.wire.clone());
        }
    }

    /// Those whose ratchets the send needs.
    fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.devices.iter().map(|target| &target.peer).chain(&self.phone)
    }

    /// Every device that gets a message to this user, ourselves left out; `None` while a list is missing.
    fn new(device: &Device, directory: &Directory, user: &Jid, now: Timestamp) -> Option<Self> {
        let list = directory.devices(user, now)?;
        let to = list.jid.clone();
        let own = own_device(device, &to)?;
        let own_list = directory.devices(&device.jid()?.to_bare(), now)?;
        let target = |jid: &Jid, id: u16, own: bool| Target {
            peer: directory.peer(device, jid.to_bare().with_device(id)),
            own,
        };
        let mut devices = SmallVec::new();
        if !is_own(device, &to) {
            devices.extend(list.devices.iter().map(|id| target(&to, *id, false)));
        }
        let has_phone = is_own(device, &to) || list.devices.contains(&0);
        let phone = (!has_phone).then(|| directory.peer(device, to.clone()));
        let others = own_list.devices.iter().filter(|id| **id != own.device());
        devices.extend(others.map(|id| target(own, *id, true)));
        Some(Self {
            to,
            devices,
            phone,
            fetching: SmallVec::new(),
            awaits_tokens: false,
        })
    }
}

/// Our own device, by the kind of name that the chat is addressed by.
fn own_device<'a>(device: &'a Device, chat: &Jid) -> Option<&'a Jid> {
    if chat.is_lid() {
        device.lid().or_else(|| device.jid())
    } else {
        device.jid()
    }
}

/// The user that a message is for, and whether it is a number that may have no account.
fn addressee(to: &Recipient) -> Result<(Jid, bool), SendError> {
    match to {
        Recipient::Phone(digits) => Jid::phone(digits)
            .map(|jid| (jid, true))
            .map_err(|_| SendError::NotOnWhatsApp),
        Recipient::Jid(jid) => match jid.server() {
            Server::User | Server::Lid if !jid.is_server() => Ok((jid.to_bare(), false)),
            Server::Legacy => Ok((Jid::new(jid.user(), Server::User), false)),
            Server::Group => Err(SendError::Unsupported("groups")),
            _ => Err(SendError::Unsupported("this kind of recipient")),
        },
    }
}
