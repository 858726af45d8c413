//! Messages that a device could not decrypt and asks for again.
//!
//! Nothing of what was sent is kept here: the owner is asked for the very message that the request names, and it is sent
//! again only if the device that asks is one of its chat, or our own. A request is acknowledged when the server has
//! confirmed the answer, or in the step that decides not to answer: what is not acknowledged comes again at the next login.
//!
//! Facts: docs/PROTOCOL.md, "Retry receipts".

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use prost::Message as _;

use super::question::{Question, Questions};
use crate::binary::{self, Node};
use crate::device::Device;
use crate::e2e::plaintext::{device_sent, padded};
use crate::e2e::{Directory, E2e, Fetched, Peer, Space, is_own, own_device, own_key};
use crate::event::{Dropped, Event, SendError};
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::part::Context;
use crate::proto::Message;
use crate::proto::message::SenderKeyDistributionMessage;
use crate::signal::Address;
use crate::signal::curve::PublicKey;
use crate::stanza::ack::{MessageAck, ack_for};
use crate::stanza::class::Class;
use crate::stanza::message::{EncKind, Resend};
use crate::stanza::receipt::{Received, RetryAsked};
use crate::store::{RecordKey, SentMessage};
use crate::time::Timestamp;

/// A device gets one message again at most this often less one; so it is with requests that count themselves.
pub const MAX_RESENDS: u32 = 5;
/// Most requests under way, the unconfirmed ones included; more wait in line.
pub(super) const MAX_UNDER_WAY: usize = 64;
/// Most requests in line. More are dropped without an ack, so that the server brings them again.
pub(super) const MAX_IN_LINE: usize = 1024;
/// Largest request, encoded. Real ones have less than 1 KiB; larger ones are acknowledged and dropped.
const MAX_REQUEST_BYTES: usize = 4 * 1024;
/// How often an answer is repeated that the server refused for the moment.
pub(super) const MAX_REPEATS: u32 = 3;
/// How long after the first refusal it is repeated; twice as long after each further one.
pub(super) const REPEAT_PAUSE: Duration = Duration::from_secs(2);
/// How many devices' requests are remembered for counting.
const MAX_COUNTED: usize = 256;
/// A device list is given up at most this often because of devices that are not in it.
const DOUBT_INTERVAL: Duration = Duration::from_secs(600);
/// A session with a device is made anew at most this often without keys of its own.
const RECREATE_INTERVAL: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub(super) struct Resends {
    under_way: Vec<Request>,
    /// Receipts that nothing was done for yet, oldest first.
    line: VecDeque<Node>,
    served: HashMap<(MessageId, Address), Served>,
    order: VecDeque<(MessageId, Address)>,
    recreated: HashMap<Address, Timestamp>,
    /// Users whose device lists were doubted because of a device that is not in them, with the time.
    doubted: HashMap<Jid, Timestamp>,
}

/// What one device got of one message.
#[derive(Clone, Copy, Debug, Default)]
struct Served {
    times: u32,
    /// The base key of the session in use at an earlier request.
    base_key: Option<PublicKey>,
}

struct Request {
    asked: RetryAsked,
    /// Acknowledges the request.
    ack: Option<Node>,
    peer: Peer,
    /// The phone of a companion.
    phone: Option<Peer>,
    /// The chat that the message is in, as the request says until the owner has said it.
    chat: Jid,
    /// The group that asks, by its member.
    group: Option<Jid>,
    own: bool,
    /// What the owner has said the message is.
    content: Option<Content>,
    progress: Progress,
    /// How often the server refused the answer.
    refusals: u32,
}

/// What is sent again.
struct Content {
    class: Class,
    message: Message,
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Which session to answer in is not looked at.
    Undecided,
    /// A bundle is on its way.
    Fetching,
    /// The session is to be used as it is.
    Decided,
    /// The session is to be used if there is one: none better could be had.
    Settled,
    /// Refused for the moment; to be repeated then.
    Paused(Timestamp),
    /// Answered; confirmed at the latest then.
    Sent(Timestamp),
}

impl Progress {
    fn deadline(self) -> Option<Timestamp> {
        match self {
            Self::Paused(at) | Self::Sent(at) => Some(at),
            Self::Undecided | Self::Fetching | Self::Decided | Self::Settled => None,
        }
    }
}

impl Request {
    fn is(&self, id: &MessageId, from: &Jid) -> bool {
        self.asked.id == *id && self.peer.wire == *from
    }

    /// Whether the next thing to do for it is done here.
    fn can_advance(&self) -> bool {
        let waits = matches!(
            self.progress,
            Progress::Fetching | Progress::Paused(_) | Progress::Sent(_)
        );
        self.content.is_some() && !waits
    }

    /// Those whose ratchets the answer needs.
    fn peers(&self) -> impl Iterator<Item = &Peer> {
        std::iter::once(&self.peer).chain(&self.phone)
    }
}

/// Taking requests.
impl Resends {
    /// Takes a request: a receipt of type `retry`.
    pub(super) fn push(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        questions: &mut Questions,
        receipt: &Node,
    ) {
        if self.line.is_empty() && self.under_way.len() < MAX_UNDER_WAY {
            return self.begin(cx, e2e, questions, receipt);
        }
        if encoded_len(receipt) > MAX_REQUEST_BYTES {
            return cx.send(ack_for(receipt));
        }
        if self.line.len() < MAX_IN_LINE {
            self.line.push_back(receipt.clone());
        } else {
            tracing::debug!("too many messages are asked for again; one request is left for the next login");
            cx.emit(Event::Dropped {
                what: Dropped::RetryRequest,
            });
        }
    }

    /// Takes up those in line, as far as there is room.
    fn begin_more(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, questions: &mut Questions) {
        while self.under_way.len() < MAX_UNDER_WAY
            && let Some(receipt) = self.line.pop_front()
        {
            self.begin(cx, e2e, questions, &receipt);
        }
        if self.line.is_empty() {
            self.line = VecDeque::new();
        }
    }

    fn begin(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, questions: &mut Questions, receipt: &Node) {
        let ack = ack_for(receipt);
        let asked = RetryAsked::parse(receipt)
            .ok()
            .filter(|asked| (1..MAX_RESENDS).contains(&asked.count));
        let (Some(asked), Ok(received)) = (asked, Received::parse(receipt)) else {
            return cx.send(ack);
        };
        let from = received.from;
        // In groups the participant asks. That they are in it is known already.
        let (from, group) = match (received.participant, from.is_group()) {
            (Some(device), true) => (device, Some(from)),
            (None, false) => (from, None),
            _ => return cx.send(ack),
        };
        if let Some(at) = self.under_way.iter().position(|one| one.is(&asked.id, &from)) {
            if !matches!(self.under_way[at].progress, Progress::Sent(_)) {
                return cx.send(ack);
            }
            // That answer has come, and was of no use.
            self.drop_acked(cx, at);
        }
        // Our own devices read in groups what everybody reads.
        let own = group.is_none() && is_own(cx.device, &from);
        let chat = received.recipient.filter(|_| own);
        let chat = chat.or_else(|| group.clone()).unwrap_or_else(|| from.to_bare());
        self.doubt_devices(cx, &mut e2e.directory, &from);
        let peer = e2e.directory.peer(cx.device, from);
        if peer.earlier.is_none() {
            // Answered before the message is: the chat may be known by the other name, and so may the ratchet.
            e2e.ask_name(cx, &peer.wire.to_bare());
        }
        let ticket = questions.open(Question::Sent(asked.id.clone(), peer.wire.clone()));
        cx.load(vec![RecordKey::sent(&asked.id)], ticket);
        let phone = e2e.directory.phone_of(cx.device, &peer.wire);
        self.under_way.push(Request {
            asked,
            ack,
            peer,
            phone,
            chat,
            group,
            own,
            content: None,
            progress: Progress::Undecided,
            refusals: 0,
        });
    }

    /// A device that asks and is in no list that we have shows that the list is old: the next send asks for it anew.
    fn doubt_devices(&mut self, cx: &Context<'_>, directory: &mut Directory, from: &Jid) {
        let (now, user) = (cx.now, from.to_bare());
        let list = directory.devices(cx.device, &user, now);
        let is_unknown = list.is_some_and(|list| !list.devices.contains(&from.device()));
        let is_recent = |at: &Timestamp| now.since(*at) < DOUBT_INTERVAL;
        if !is_unknown || self.doubted.get(&user).is_some_and(is_recent) {
            return;
        }
        if self.doubted.len() >= MAX_COUNTED {
            self.doubted.retain(|_, at| is_recent(at));
        }
        if self.doubted.len() < MAX_COUNTED {
            directory.forget_devices(cx.device, &user);
            self.doubted.insert(user, now);
        }
    }

    /// The owner does not have the message any more.
    pub(super) fn on_nothing(&mut self, cx: &mut Context<'_>, id: &MessageId, from: &Jid) {
        if let Some(at) = self.without_content(id, from) {
            self.drop_acked(cx, at);
        }
    }

    /// All that there is to know of the message is known.
    pub(super) fn on_content(
        &mut self,
        cx: &mut Context<'_>,
        directory: &Directory,
        id: &MessageId,
        from: &Jid,
        sent: SentMessage,
    ) {
        let Some(at) = self.without_content(id, from) else {
            return;
        };
        let (one, device) = (&mut self.under_way[at], &**cx.device);
        let SentMessage { chat, message } = sent;
        let may_have_it = one.own || is_same(directory, &chat, &one.chat);
        let Some(message) = Message::decode(message).ok().filter(|_| may_have_it) else {
            return self.drop_acked(cx, at);
        };
        if one.own && is_own(cx.device, &one.chat) {
            // The request does not say which chat.
            one.chat = chat.to_bare();
        }
        if one.own {
            one.chat = named_like(device, directory, &one.chat, &one.peer.wire);
        }
        let class = Class::of_message(&message);
        let message = match one.own {
            true => device_sent(message, &one.chat),
            false => message,
        };
        one.content = Some(Content { class, message });
    }

    fn without_content(&self, id: &MessageId, from: &Jid) -> Option<usize> {
        let is_waiting = |one: &Request| one.is(id, from) && one.content.is_none();
        self.under_way.iter().position(is_waiting)
    }

    /// Ends a request for good.
    fn drop_acked(&mut self, cx: &mut Context<'_>, at: usize) {
        cx.send(self.under_way.remove(at).ack);
    }

    /// Requested bundles came, or did not.
    pub(super) fn on_bundles(&mut self, cx: &mut Context<'_>, outcomes: &BTreeMap<Address, Fetched>) {
        let mut at = 0;
        while at < self.under_way.len() {
            let one = &mut self.under_way[at];
            let is_fetching = one.progress == Progress::Fetching;
            match outcomes.get(&one.peer.address).filter(|_| is_fetching) {
                Some(Fetched::Session) => one.progress = Progress::Decided,
                Some(Fetched::Failed(_)) => one.progress = Progress::Settled,
                Some(Fetched::Skip) => {
                    self.drop_acked(cx, at);
                    continue;
                }
                None => {}
            }
            at += 1;
        }
    }

    /// The ratchets that requests wait with.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Address> {
        let peers = self.under_way.iter().flat_map(|one| one.peers());
        peers.map(|peer| &peer.address)
    }
}

/// Answering them.
impl Resends {
    /// Moves every request as far as it goes now.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, questions: &mut Questions) {
        let mut at = 0;
        while at < self.under_way.len() {
            at += usize::from(self.advance_one(cx, e2e, at));
        }
        self.begin_more(cx, e2e, questions);
    }

    /// Moves one as far as it goes now; false if it was dropped.
    fn advance_one(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, at: usize) -> bool {
        let one = &mut self.under_way[at];
        if !one.can_advance() {
            return true;
        }
        if one.peer.earlier.is_none() {
            // The other name may have been learned meanwhile.
            one.peer = e2e.directory.peer(cx.device, one.peer.wire.clone());
            one.phone = e2e.directory.phone_of(cx.device, &one.peer.wire);
        }
        let key = one.group.as_ref().and_then(|group| own_key(cx.device, group));
        let has_key = key.is_none_or(|key| e2e.ensure_sender_key(cx, &key));
        if !e2e.ensure(cx, one.peers()) || !has_key {
            return true;
        }
        if one.progress == Progress::Undecided {
            if self.is_served(at) {
                self.drop_acked(cx, at);
                return false;
            }
            if self.wants_bundle(cx, e2e, at) {
                let one = &mut self.under_way[at];
                e2e.want_new_session(&one.peer.address);
                one.progress = Progress::Fetching;
                return true;
            }
        }
        self.answer(cx, e2e, at)
    }

    /// Whether this device has got this message as often as it may.
    fn is_served(&self, at: usize) -> bool {
        let one = &self.under_way[at];
        let key = (one.asked.id.clone(), one.peer.address.clone());
        self.served
            .get(&key)
            .is_some_and(|served| served.times >= MAX_RESENDS - 1)
    }

    /// Decides whether the session that there is will do: starts one from the keys in the request if there are any, and
    /// says whether a bundle is needed.
    fn wants_bundle(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, at: usize) -> bool {
        let one = &self.under_way[at];
        let address = one.peer.address.clone();
        if let Some(keys) = &one.asked.keys {
            // A request that comes again (its ack was lost) names a prekey that the answer to it has used up.
            let is_in_use = e2e.ratchets.is_begun_with(cx.device, &address, &keys.keys);
            if is_in_use || e2e.start_session(cx, &address, keys) == Fetched::Session {
                return false;
            }
        }
        let id = e2e.ratchets.registration_id(&address);
        let is_reinstalled = one
            .asked
            .registration_id
            .is_some_and(|theirs| id.is_some_and(|ours| ours != theirs));
        if is_reinstalled {
            e2e.ratchets.close(cx, &address);
        }
        if !e2e.ratchets.has_session(cx.device, &address) {
            return true;
        }
        let key = (one.asked.id.clone(), address.clone());
        let before = self.served.get(&key).and_then(|served| served.base_key);
        // Asked again although nothing changed: they can't read this session.
        let is_unchanged = before.is_some() && before == e2e.ratchets.base_key(&address);
        let recently = self
            .recreated
            .get(&address)
            .is_some_and(|at| cx.now.since(*at) < RECREATE_INTERVAL);
        let count = one.asked.count;
        if (count > 2 && is_unchanged) || (count > 1 && !recently) {
            self.note_recreated(address, cx.now);
            return true;
        }
        false
    }

    fn note_recreated(&mut self, address: Address, now: Timestamp) {
        if self.recreated.len() >= MAX_COUNTED {
            self.recreated.retain(|_, at| now.since(*at) < RECREATE_INTERVAL);
        }
        if self.recreated.len() < MAX_COUNTED {
            self.recreated.insert(address, now);
        }
    }

    /// Sends the message again; the request then waits for the server. False if it was dropped.
    fn answer(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, at: usize) -> bool {
        let one = &mut self.under_way[at];
        let Some(content) = &one.content else { return true };
        let plaintext = match &one.group {
            Some(group) => padded(&with_key(cx.device, e2e, group, &content.message), cx.rng),
            None => padded(&content.message, cx.rng),
        };
        let Ok(enc) = e2e.ratchets.encrypt(cx, &one.peer.address, &plaintext) else {
            if one.progress == Progress::Settled {
                // Nobody knows whether the device can be encrypted for: the server asks again for it.
                self.under_way.remove(at);
            } else {
                self.drop_acked(cx, at);
            }
            return false;
        };
        let device_identity = match (&enc.kind, &cx.device.account) {
            (EncKind::PreKey, Some(account)) => Some(account.identity.clone()),
            _ => None,
        };
        let resend = Resend {
            id: &one.asked.id,
            to: &one.peer.wire,
            group: one.group.as_ref(),
            recipient: one.own.then_some(&one.chat),
            class: content.class,
            enc,
            count: one.asked.count,
            device_identity,
            now: cx.now,
        };
        cx.send(resend.into_node());
        one.progress = Progress::Sent(cx.now + cx.config.timing.ack);
        if one.refusals == 0 {
            let key = (one.asked.id.clone(), one.peer.address.clone());
            let base_key = e2e.ratchets.base_key(&key.1);
            self.note_served(key, base_key);
        }
        true
    }

    fn note_served(&mut self, key: (MessageId, Address), base_key: Option<PublicKey>) {
        if !self.served.contains_key(&key) {
            if self.order.len() >= MAX_COUNTED
                && let Some(oldest) = self.order.pop_front()
            {
                self.served.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        let served = self.served.entry(key).or_default();
        served.times += 1;
        served.base_key = base_key;
    }
}

/// What becomes of the answers.
impl Resends {
    /// The server confirmed or refused a message; false if it was no answer to a request.
    pub(super) fn on_ack(&mut self, cx: &mut Context<'_>, ack: &MessageAck) -> bool {
        let is_sent = |one: &Request| matches!(one.progress, Progress::Sent(_)) && one.asked.id == ack.id;
        let find = |is_meant: &dyn Fn(&Request) -> bool| self.under_way.iter().position(is_meant);
        // A server may name the device otherwise than we did; it answers in our order.
        let exact = find(&|one| is_sent(one) && one.peer.wire == ack.from);
        let Some(at) = exact.or_else(|| find(&is_sent)) else {
            return false;
        };
        match ack.error {
            None => self.drop_acked(cx, at),
            Some(code) => self.refused(cx, at, code),
        }
        true
    }

    /// A refusal for the moment is no refusal of the device's request: it is answered again after a pause.
    fn refused(&mut self, cx: &mut Context<'_>, at: usize, code: u32) {
        let one = &mut self.under_way[at];
        let reason = SendError::Nack {
            code: u16::try_from(code).unwrap_or(u16::MAX),
        };
        let is_retryable = reason.is_retryable();
        if is_retryable && one.refusals < MAX_REPEATS {
            one.progress = Progress::Paused(cx.now + REPEAT_PAUSE * 2u32.pow(one.refusals));
            one.refusals += 1;
            return;
        }
        tracing::debug!(code, "a message that was asked for again is refused");
        cx.emit(Event::ResendFailed {
            id: one.asked.id.clone(),
            device: one.peer.wire.clone(),
            reason,
        });
        if is_retryable {
            self.under_way.remove(at);
        } else {
            self.drop_acked(cx, at);
        }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.under_way
            .iter()
            .filter_map(|one| one.progress.deadline())
            .min()
    }

    /// Repeats what was refused for the moment, and stops waiting for confirmations; true if something is to be done now.
    pub(super) fn tick(&mut self, cx: &mut Context<'_>) -> bool {
        let mut may_go_on = false;
        for at in (0..self.under_way.len()).rev() {
            let one = &mut self.under_way[at];
            match one.progress {
                Progress::Paused(until) if until <= cx.now => one.progress = Progress::Settled,
                // Whether it has it, the device knows: it asks again if not.
                Progress::Sent(until) if until <= cx.now => self.drop_acked(cx, at),
                _ => continue,
            }
            may_go_on = true;
        }
        may_go_on
    }
}

/// A message of a group with our key of it, so that the device can read those that follow.
fn with_key(device: &Device, e2e: &E2e, group: &Jid, message: &Message) -> Message {
    let distribution = own_key(device, group).and_then(|name| e2e.group_keys.distribution(&name));
    let handed = distribution.map(|distribution| {
        Box::new(SenderKeyDistributionMessage {
            group_id: Some(group.to_string()),
            axolotl_sender_key_distribution_message: Some(distribution),
        })
    });
    Message {
        sender_key_distribution_message: handed,
        ..message.clone()
    }
}

/// Whether these are one user, by whatever names.
fn is_same(directory: &Directory, one: &Jid, other: &Jid) -> bool {
    one.same_user(other)
        || directory
            .other_name(one)
            .is_some_and(|name| name.same_user(other))
}

/// The chat by the kind of name that the device is called by: all addresses of a stanza are of one kind.
fn named_like(device: &Device, directory: &Directory, chat: &Jid, wire: &Jid) -> Jid {
    let space = Space::of(wire);
    if Space::of(chat) == space {
        return chat.clone();
    }
    let own = is_own(device, chat).then(|| own_device(device, space)).flatten();
    let other = own.map(Jid::to_bare).or_else(|| directory.other_name(chat));
    other.unwrap_or_else(|| chat.clone())
}

fn encoded_len(node: &Node) -> usize {
    let mut bytes = Vec::new();
    binary::encode(node, &mut bytes);
    bytes.len()
}
