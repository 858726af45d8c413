//! Messages to groups on their way out.
//!
//! Each is a small state machine: who is in the group → their devices → sessions with those that lack the key → encrypted,
//! told and sent in one step → confirmed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use prost::Message as _;

use super::audience::Audience;
use super::known::KnownGroups;
use super::outgoing::{Progress, State, Targets, Waiting};
use super::question::Questions;
use super::record::Handed;
use crate::command::Outgoing;
use crate::e2e::plaintext::padded;
use crate::e2e::{E2e, Fetched, is_own, own_key};
use crate::event::{Event, SendError};
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::messages::{MAX_MESSAGE_BYTES, attach_secret};
use crate::part::Context;
use crate::proto::Message;
use crate::proto::message::SenderKeyDistributionMessage;
use crate::signal::Address;
use crate::stanza::ack::MessageAck;
use crate::stanza::class::Class;
use crate::stanza::message::{Enc, EncKind, GroupFanout};
use crate::store::RecordKey;
use crate::time::Timestamp;

/// Most messages to groups under way, confirmed ones not counted; more are answered with [`SendError::Busy`].
pub const MAX_GROUP_SENDS: usize = 64;
/// How many messages whose confirmation did not come in time are remembered, should it come late.
const MAX_LATE: usize = 64;
/// The server names the people of the group otherwise than we did.
const STALE_GROUP: u32 = 421;
/// The account is not in the group, or only admins write there.
const MAY_NOT_WRITE: u16 = 403;
/// Codes after which members and devices are asked for anew.
const STALE_DEVICES: [u32; 3] = [406, STALE_GROUP, 479];

#[derive(Default)]
pub(super) struct Sends {
    /// Not encrypted yet, in the order of the owner.
    waiting: Vec<Waiting>,
    /// Encrypted, oldest first.
    unconfirmed: VecDeque<Unconfirmed>,
    /// Not confirmed in time.
    late: VecDeque<(MessageId, Jid)>,
}

/// A message that left, or is about to.
struct Unconfirmed {
    /// As the owner gave it: it goes once more if the group turns out to be another than we knew.
    outgoing: Box<Outgoing>,
    group: Jid,
    is_again: bool,
    deadline: Timestamp,
    /// All devices of the group.
    audience: Arc<Audience>,
    /// Those among them that were sent the key.
    keyed: Vec<Jid>,
}

impl Sends {
    /// Takes a message of the owner.
    pub(super) fn push(&mut self, cx: &mut Context<'_>, outgoing: Box<Outgoing>) {
        let under_way = self.waiting.iter().map(|send| &send.outgoing.id);
        let under_way = under_way.chain(self.unconfirmed.iter().map(|send| &send.outgoing.id));
        if under_way.clone().any(|id| *id == outgoing.id) {
            // The send that is under way answers for both.
            return;
        }
        let chat = outgoing.to.chat().filter(Jid::is_group);
        let reason = match chat {
            _ if under_way.count() >= MAX_GROUP_SENDS => SendError::Busy,
            _ if outgoing.message.encoded_len() > MAX_MESSAGE_BYTES => {
                SendError::Unsupported("messages of this size")
            }
            None => SendError::Unsupported("this kind of recipient"),
            Some(group) => {
                let (is_again, state) = (false, State::Members);
                return self.waiting.push(Waiting {
                    outgoing,
                    group,
                    is_again,
                    state,
                });
            }
        };
        cx.emit(reason.event(outgoing.id));
    }

    /// Forgets a message that is not encrypted yet.
    pub(super) fn cancel(&mut self, cx: &mut Context<'_>, id: &MessageId) {
        if let Some(at) = self.waiting.iter().position(|send| send.outgoing.id == *id) {
            self.waiting.remove(at);
            cx.emit(SendError::Cancelled.event(id.clone()));
        }
    }

    /// Moves sends as far as they go now, and asks for what they lack.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        known: &mut KnownGroups,
        questions: &mut Questions,
    ) {
        if self.waiting.is_empty() {
            return;
        }
        let mut at = 0;
        while at < self.waiting.len() {
            match self.waiting[at].advance(cx, e2e, known, questions) {
                Progress::Waits => at += 1,
                Progress::Ready => {
                    let send = self.waiting.remove(at);
                    self.finish(cx, e2e, known, send);
                }
                Progress::Fails(reason) => {
                    let send = self.waiting.remove(at);
                    cx.emit(reason.event(send.outgoing.id));
                }
            }
        }
        let missing = self.waiting.iter().filter_map(|send| match &send.state {
            State::Devices(lists) => Some(&lists.missing),
            State::Members | State::Keys(_) => None,
        });
        e2e.ask_devices(cx, missing.flatten().map(|(user, _)| (user, false)));
    }

    /// Nobody says who is in this group.
    pub(super) fn on_unknown(&mut self, cx: &mut Context<'_>, group: &Jid, reason: &SendError) {
        let is_lost = |send: &mut Waiting| matches!(send.state, State::Members) && send.group == *group;
        for send in self.waiting.extract_if(.., is_lost).collect::<Vec<_>>() {
            cx.emit(reason.clone().event(send.outgoing.id));
        }
    }

    /// Device lists came, but not of these users: who has no device reads nothing, and where nobody knows the message
    /// waits for another try.
    pub(super) fn on_devices(&mut self, cx: &mut Context<'_>, failed: &[(Jid, SendError)]) {
        let mut lost: Vec<(MessageId, SendError)> = Vec::new();
        for send in &mut self.waiting {
            let State::Devices(lists) = &mut send.state else {
                continue;
            };
            for (user, reason) in failed {
                let is_meant = |other: &Jid| {
                    other.same_user(user) || is_own(cx.device, other) && is_own(cx.device, user)
                };
                if !lists.missing.iter().any(|(other, _)| is_meant(other)) {
                    continue;
                }
                match reason {
                    SendError::Query(_) => lost.push((send.outgoing.id.clone(), reason.clone())),
                    _ => lists.missing.retain(|(other, _)| !is_meant(other)),
                }
            }
        }
        for (id, reason) in lost {
            let before = self.waiting.len();
            self.waiting.retain(|send| send.outgoing.id != id);
            if self.waiting.len() < before {
                cx.emit(reason.event(id));
            }
        }
    }

    /// Requested bundles came, or did not.
    pub(super) fn on_bundles(&mut self, cx: &mut Context<'_>, outcomes: &BTreeMap<Address, Fetched>) {
        let mut failed: Vec<(MessageId, SendError)> = Vec::new();
        for send in &mut self.waiting {
            let State::Keys(targets) = &mut send.state else {
                continue;
            };
            for address in std::mem::take(&mut targets.fetching) {
                match outcomes.get(&address) {
                    Some(Fetched::Session) => {}
                    Some(Fetched::Skip) => drop(targets.skipped.insert(address)),
                    Some(Fetched::Failed(error)) => {
                        failed.push((send.outgoing.id.clone(), SendError::Query(error.clone())));
                    }
                    None => targets.fetching.push(address),
                }
            }
        }
        for (id, reason) in failed {
            let before = self.waiting.len();
            self.waiting.retain(|send| send.outgoing.id != id);
            if self.waiting.len() < before {
                cx.emit(reason.event(id));
            }
        }
    }

    /// Encrypts for the group, and the key for every device that lacks it: ratchets, key, who has it, event and frame go
    /// into one step.
    fn finish(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, known: &mut KnownGroups, send: Waiting) {
        let Waiting {
            outgoing,
            group,
            is_again,
            state,
        } = send;
        let (State::Keys(targets), Some(name)) = (state, own_key(cx.device, &group)) else {
            return;
        };
        renew_key(cx, e2e, known, (&group, &name), &targets);
        let audience = &targets.audience;
        let keys = hand_over(cx, e2e, &targets, &group, &name);
        let somebody_has_it = || {
            let handed = known.get(&group).and_then(|known| known.handed.as_ref());
            handed.is_some_and(|handed| audience.others().iter().any(|device| handed.has(device)))
        };
        if keys.is_empty() && !targets.pending.is_empty() && !somebody_has_it() {
            return cx.emit(SendError::NoDevices.event(outgoing.id));
        }
        let mut message = outgoing.message.clone();
        attach_secret(cx.device, &group, &outgoing.id, &mut message);
        let class = Class::of_message(&message);
        let plaintext = padded(&message, cx.rng);
        let Some(ciphertext) = e2e.group_keys.encrypt(cx, &name, &plaintext) else {
            return cx.emit(SendError::NoDevices.event(outgoing.id));
        };
        let keyed: Vec<Jid> = keys.iter().map(|(jid, _)| jid.clone()).collect();
        note_handed(cx, known, &group, &keyed);
        let is_identity_needed = keys.iter().any(|(_, enc)| enc.kind == EncKind::PreKey);
        let proof = cx.device.account.as_ref().map(|account| account.identity.clone());
        let stanza = GroupFanout {
            id: &outgoing.id,
            to: &group,
            addressing: audience.addressing,
            phash: audience.phash.clone(),
            class,
            keys,
            enc: Enc {
                kind: EncKind::SenderKey,
                ciphertext,
            },
            device_identity: proof.filter(|_| is_identity_needed),
            now: cx.now,
        };
        let stanza = stanza.into_node();
        if !is_again {
            cx.emit(Event::MessagePrepared {
                id: outgoing.id.clone(),
                to: group.clone(),
                lid: None,
            });
        }
        cx.send(stanza);
        self.late.retain(|(late, _)| *late != outgoing.id);
        known.pin(&group);
        self.unconfirmed.push_back(Unconfirmed {
            outgoing,
            group,
            is_again,
            deadline: cx.now + cx.config.timing.ack,
            audience: targets.audience,
            keyed,
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
        known: &mut KnownGroups,
        ack: &MessageAck,
    ) -> bool {
        let Some(at) = self
            .unconfirmed
            .iter()
            .position(|send| send.outgoing.id == ack.id)
        else {
            return self.on_late(cx, ack);
        };
        let Some(send) = self.unconfirmed.remove(at) else {
            return false;
        };
        known.unpin(&send.group);
        let is_other = ack
            .phash
            .as_ref()
            .is_some_and(|theirs| *theirs != send.audience.phash);
        if is_other || ack.error.is_some_and(|code| STALE_DEVICES.contains(&code)) {
            known.forget_members(cx, &send.group);
            for device in send.audience.everyone() {
                e2e.directory.forget_devices(cx.device, device);
            }
        }
        match ack.error {
            None => {
                known.change_handed(cx, &send.group, |handed| {
                    let news = |device: &Jid| handed.as_mut().is_some_and(|handed| handed.confirm(device));
                    send.keyed.iter().map(news).fold(false, |any, news| any | news)
                });
                cx.emit(Event::MessageAcked {
                    id: ack.id.clone(),
                    to: send.group,
                    timestamp: ack.timestamp.unwrap_or(cx.now),
                });
            }
            Some(STALE_GROUP) if !send.is_again => self.waiting.push(Waiting {
                outgoing: send.outgoing,
                group: send.group,
                is_again: true,
                state: State::Members,
            }),
            Some(code) => cx.emit(refused(code).event(ack.id.clone())),
        }
        true
    }

    /// The answer for a message that the owner was told is unconfirmed.
    fn on_late(&mut self, cx: &mut Context<'_>, ack: &MessageAck) -> bool {
        let Some(at) = self.late.iter().position(|(id, _)| *id == ack.id) else {
            return false;
        };
        let Some((id, to)) = self.late.remove(at) else {
            return false;
        };
        cx.emit(match ack.error {
            Some(code) => refused(code).event(id),
            None => Event::MessageAcked {
                id,
                to,
                timestamp: ack.timestamp.unwrap_or(cx.now),
            },
        });
        true
    }

    /// Whether somebody waits with this group.
    pub(super) fn wants(&self, group: &Jid) -> bool {
        self.waiting.iter().any(|send| send.group == *group)
    }

    /// The ratchets that sends wait with.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Address> {
        let targets = self.waiting.iter().filter_map(|send| match &send.state {
            State::Keys(targets) => Some(targets.peers()),
            State::Members | State::Devices(_) => None,
        });
        targets.flatten().map(|peer| &peer.address)
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.unconfirmed.front().map(|send| send.deadline)
    }

    /// Answers for messages that were not confirmed in time.
    pub(super) fn tick(&mut self, cx: &mut Context<'_>, known: &mut KnownGroups) {
        while let Some(send) = self.unconfirmed.pop_front_if(|send| send.deadline <= cx.now) {
            known.unpin(&send.group);
            cx.emit(SendError::Unconfirmed.event(send.outgoing.id.clone()));
            if self.late.len() >= MAX_LATE {
                self.late.pop_front();
            }
            self.late.push_back((send.outgoing.id, send.group));
        }
    }

    /// The connection is over: every send gets an answer.
    pub(super) fn on_closed(&mut self, cx: &mut Context<'_>) {
        for send in std::mem::take(&mut self.waiting) {
            cx.emit(SendError::NotConnected.event(send.outgoing.id));
        }
        for send in std::mem::take(&mut self.unconfirmed) {
            cx.emit(SendError::Unconfirmed.event(send.outgoing.id));
        }
    }
}

/// Makes a new key if one is needed: nobody has it then.
fn renew_key(
    cx: &mut Context<'_>,
    e2e: &mut E2e,
    known: &mut KnownGroups,
    (group, name): (&Jid, &RecordKey),
    targets: &Targets,
) {
    let known_as = known.get(group);
    if known_as.is_some_and(|known| targets.is_settled(e2e, known, name)) {
        return known.settle(group);
    }
    if known_as.is_some_and(|known| !targets.needs_key(e2e, known, name)) {
        return;
    }
    e2e.group_keys.rotate(cx, name);
    known.change_handed(cx, group, |handed| {
        handed.get_or_insert_default().clear();
        true
    });
}

/// These devices may have the key from now on.
fn note_handed(cx: &mut Context<'_>, known: &mut KnownGroups, group: &Jid, keyed: &[Jid]) {
    if keyed.is_empty() {
        return;
    }
    known.change_handed(cx, group, |handed| {
        let handed = handed.get_or_insert_with(Handed::default);
        handed.send_to(keyed.iter().cloned());
        true
    });
}

/// The key of the group for each device that lacks it, over its own session. A device whose chain is used up is left out.
fn hand_over(
    cx: &mut Context<'_>,
    e2e: &mut E2e,
    targets: &Targets,
    group: &Jid,
    name: &RecordKey,
) -> Vec<(Jid, Enc)> {
    if targets.pending.is_empty() {
        return Vec::new();
    }
    let Some(distribution) = e2e.group_keys.distribution(name) else {
        return Vec::new();
    };
    let distribution = SenderKeyDistributionMessage {
        group_id: Some(group.to_string()),
        axolotl_sender_key_distribution_message: Some(distribution),
    };
    let message = Message {
        sender_key_distribution_message: Some(Box::new(distribution)),
        ..Message::default()
    };
    let plaintext = padded(&message, cx.rng);
    let pending = targets.pending.iter();
    let encrypted = pending.filter_map(|peer| {
        let enc = e2e.ratchets.encrypt(cx, &peer.address, &plaintext).ok()?;
        Some((peer.wire.clone(), enc))
    });
    encrypted.collect()
}

fn refused(code: u32) -> SendError {
    match u16::try_from(code).unwrap_or(u16::MAX) {
        MAY_NOT_WRITE => SendError::MayNotWrite,
        code => SendError::Nack { code },
    }
}
