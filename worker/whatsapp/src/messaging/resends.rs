//! Messages that a device could not decrypt and asks for again.
//!
//! Nothing of what was sent is kept here: the owner is asked for the very message that the request names, and it is sent
//! again only if the device that asks is one of its chat, or our own. The request is acknowledged in the step that answers
//! it, or that decides not to.
//!
//! Facts: docs/PROTOCOL.md, "Retry receipts".

use std::collections::{BTreeMap, HashMap, VecDeque};

use prost::Message as _;

use super::LoadTag;
use super::bundles::{Bundles, Outcome};
use super::directory::{Directory, Peer, is_own};
use super::plaintext::{device_sent, padded};
use super::ratchets::Ratchets;
use crate::binary::Node;
use crate::connection::Context;
use crate::jid::{Jid, Server};
use crate::message_id::MessageId;
use crate::proto::Message;
use crate::signal::Address;
use crate::signal::curve::PublicKey;
use crate::stanza::ack::ack_for;
use crate::stanza::class::Class;
use crate::stanza::message::{EncKind, Resend};
use crate::stanza::receipt::{Received, RetryAsked};
use crate::store::{Load, SentMessage};
use crate::time::Timestamp;

/// A device gets one message again at most this often less one; so it is with requests that count themselves.
pub const MAX_RESENDS: u32 = 5;
/// Most requests under way; more are acknowledged and dropped, their senders ask again.
const MAX_WAITING: usize = 64;
/// How many devices' requests are remembered for counting.
const MAX_COUNTED: usize = 256;
/// A session with a device is made anew at most this often without keys of its own.
const RECREATE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(3600);

/// The requests.
#[derive(Debug, Default)]
pub(super) struct Resends {
    waiting: Vec<Waiting>,
    served: HashMap<(MessageId, Address), Served>,
    order: VecDeque<(MessageId, Address)>,
    recreated: HashMap<Address, Timestamp>,
    /// Messages whose number turned out to be another one's old form, with the chat that they went to.
    redirected: VecDeque<(MessageId, Jid)>,
}

/// What one device got of one message.
#[derive(Clone, Copy, Debug, Default)]
struct Served {
    times: u32,
    /// The base key of the session in use at an earlier request.
    base_key: Option<PublicKey>,
}

#[derive(Debug)]
struct Waiting {
    asked: RetryAsked,
    /// Acknowledges the request.
    ack: Option<Node>,
    peer: Peer,
    /// The phone of a companion.
    phone: Option<Peer>,
    /// The chat that the message is in, as the request says until the owner has said it.
    chat: Jid,
    own: bool,
    content: Content,
    session: Session,
}

#[derive(Debug)]
enum Content {
    Asked,
    Here(Box<Message>),
}

/// How far the session to answer in is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    /// Not looked at.
    Undecided,
    /// A bundle is on its way.
    Fetching,
    /// To be used as it is.
    Decided,
}

impl Waiting {
    /// Those whose ratchets the answer needs.
    fn peers(&self) -> impl Iterator<Item = &Peer> {
        std::iter::once(&self.peer).chain(&self.phone)
    }
}

impl Resends {
    /// Takes a request. The receipt is of type `retry`.
    pub(super) fn push(
        &mut self,
        cx: &mut Context<'_>,
        directory: &Directory,
        receipt: &Node,
        received: Received,
    ) {
        let ack = ack_for(receipt);
        let asked = RetryAsked::parse(receipt)
            .ok()
            .filter(|asked| (1..MAX_RESENDS).contains(&asked.count));
        // Groups ask by their participant; those we don't send to yet.
        let (Some(asked), None, false) = (asked, &received.participant, received.from.is_group()) else {
            return send_if(cx, ack);
        };
        let from = received.from;
        let own = is_own(cx.device, &from);
        let chat = received
            .recipient
            .filter(|_| own)
            .unwrap_or_else(|| from.to_bare());
        if self.waiting.len() >= MAX_WAITING || self.is_under_way(&asked.id, &from) {
            return send_if(cx, ack);
        }
        let peer = directory.peer(cx.device, from);
        if peer.earlier.is_none() && matches!(peer.wire.server(), Server::User | Server::Lid) {
            // Answered before the message is: the chat may be known by the other name, and so may the ratchet.
            let user = peer.wire.to_bare();
            cx.load(Load::Lids(vec![user.clone()]), LoadTag::Lids(vec![user]));
        }
        let load = Load::SentMessage {
            id: asked.id.clone(),
            chat: chat.clone(),
            to: peer.address.clone(),
        };
        cx.load(load, LoadTag::SentMessage(asked.id.clone(), peer.wire.clone()));
        let (content, session) = (Content::Asked, Session::Undecided);
        let phone = directory.phone_of(cx.device, &peer.wire);
        self.waiting.push(Waiting {
            asked,
            ack,
            peer,
            phone,
            chat,
            own,
            content,
            session,
        });
    }

    fn is_under_way(&self, id: &MessageId, from: &Jid) -> bool {
        self.waiting
            .iter()
            .any(|one| one.asked.id == *id && one.peer.wire == *from)
    }

    /// A message to this number goes to a chat of another name: that of an account that is still known by an old form of
    /// its number.
    pub(super) fn note_redirected(&mut self, id: MessageId, chat: Jid) {
        if self.redirected.len() >= MAX_COUNTED {
            self.redirected.pop_front();
        }
        self.redirected.push_back((id, chat));
    }

    /// The owner has answered what the message was, if it still has it.
    pub(super) fn on_content(
        &mut self,
        cx: &mut Context<'_>,
        directory: &Directory,
        id: &MessageId,
        from: &Jid,
        sent: Option<SentMessage>,
    ) {
        let Some(at) = self
            .waiting
            .iter()
            .position(|one| one.asked.id == *id && one.peer.wire == *from)
        else {
            return;
        };
        let one = &self.waiting[at];
        let is_of_chat = |sent: &SentMessage| {
            one.own
                || is_same(directory, &sent.chat, &one.chat)
                || self
                    .redirected
                    .iter()
                    .any(|(other, chat)| other == id && is_same(directory, chat, &one.chat))
        };
        let sent = sent.filter(is_of_chat);
        match sent.map(|sent| (Message::decode(sent.message), sent.chat)) {
            Some((Ok(message), chat)) => {
                let one = &mut self.waiting[at];
                one.content = Content::Here(Box::new(message));
                if one.own && is_own(cx.device, &one.chat) {
                    // The request does not say which chat.
                    one.chat = chat.to_bare();
                }
            }
            _ => send_if(cx, self.waiting.remove(at).ack),
        }
    }

    /// Requested bundles came, or did not.
    pub(super) fn on_bundles(&mut self, cx: &mut Context<'_>, outcomes: &BTreeMap<Address, Outcome>) {
        let mut at = 0;
        while at < self.waiting.len() {
            let one = &mut self.waiting[at];
            match outcomes
                .get(&one.peer.address)
                .filter(|_| one.session == Session::Fetching)
            {
                Some(Outcome::Session) => one.session = Session::Decided,
                Some(Outcome::Skip | Outcome::Failed(_)) => {
                    // The device will ask again if it still wants it.
                    send_if(cx, self.waiting.remove(at).ack);
                    continue;
                }
                None => {}
            }
            at += 1;
        }
    }

    /// The ratchets that requests wait with.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Address> {
        let peers = self.waiting.iter().flat_map(|one| one.peers());
        peers.map(|peer| &peer.address)
    }

    /// Moves every request as far as it goes now.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        directory: &Directory,
        ratchets: &mut Ratchets,
        bundles: &mut Bundles,
    ) {
        let mut at = 0;
        while at < self.waiting.len() {
            let one = &mut self.waiting[at];
            let has_content = matches!(one.content, Content::Here(_));
            if !has_content || one.session == Session::Fetching {
                at += 1;
                continue;
            }
            if one.peer.earlier.is_none() {
                // The other name may have been learned meanwhile.
                one.peer = directory.peer(cx.device, one.peer.wire.clone());
                one.phone = directory.phone_of(cx.device, &one.peer.wire);
            }
            if !ratchets.ensure(cx, one.peers()) {
                at += 1;
                continue;
            }
            if one.session == Session::Undecided {
                if self.is_served(at) {
                    send_if(cx, self.waiting.remove(at).ack);
                    continue;
                }
                if self.wants_bundle(cx, ratchets, bundles, at) {
                    let one = &mut self.waiting[at];
                    bundles.want(ratchets, &one.peer.address, true);
                    one.session = Session::Fetching;
                    at += 1;
                    continue;
                }
            }
            let one = self.waiting.remove(at);
            self.answer(cx, ratchets, one);
        }
    }

    /// Whether this device has got this message as often as it may.
    fn is_served(&self, at: usize) -> bool {
        let one = &self.waiting[at];
        let key = (one.asked.id.clone(), one.peer.address.clone());
        self.served
            .get(&key)
            .is_some_and(|served| served.times >= MAX_RESENDS - 1)
    }

    /// Decides whether the session that there is will do: starts one from the keys in the request if there are any, and
    /// says whether a bundle is needed.
    fn wants_bundle(
        &mut self,
        cx: &mut Context<'_>,
        ratchets: &mut Ratchets,
        bundles: &mut Bundles,
        at: usize,
    ) -> bool {
        let one = &self.waiting[at];
        let address = one.peer.address.clone();
        if let Some(keys) = &one.asked.keys
            && bundles.start(cx, ratchets, &address, keys) == Outcome::Session
        {
            return false;
        }
        let id = ratchets.registration_id(&address);
        let is_reinstalled = one
            .asked
            .registration_id
            .is_some_and(|theirs| id.is_some_and(|ours| ours != theirs));
        if is_reinstalled {
            ratchets.close(cx, &address);
        }
        if !ratchets.has_session(cx.device, &address) {
            return true;
        }
        let key = (one.asked.id.clone(), address.clone());
        let before = self.served.get(&key).and_then(|served| served.base_key);
        // Asked again although nothing changed: they can't read this session.
        let is_unchanged = before.is_some() && before == ratchets.base_key(&address);
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

    fn answer(&mut self, cx: &mut Context<'_>, ratchets: &mut Ratchets, one: Waiting) {
        let Waiting {
            asked,
            ack,
            peer,
            chat,
            own,
            content: Content::Here(message),
            ..
        } = one
        else {
            return;
        };
        let class = Class::of_message(&message);
        let message = if own {
            device_sent(*message, &chat)
        } else {
            *message
        };
        let plaintext = padded(&message, cx.rng);
        if let Ok(enc) = ratchets.encrypt(cx, &peer.address, &plaintext) {
            let device_identity = match (&enc.kind, &cx.device.account) {
                (EncKind::PreKey, Some(account)) => Some(account.identity.clone()),
                _ => None,
            };
            let recipient = own.then_some(&chat);
            let (id, to, count) = (&asked.id, &peer.wire, asked.count);
            cx.send(
                Resend {
                    id,
                    to,
                    recipient,
                    class,
                    enc,
                    count,
                    device_identity,
                }
                .into_node(),
            );
            self.note_served((asked.id, peer.address.clone()), ratchets.base_key(&peer.address));
        }
        send_if(cx, ack);
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

/// Whether these are one user, by whatever names.
fn is_same(directory: &Directory, one: &Jid, other: &Jid) -> bool {
    one.same_user(other)
        || directory
            .other_name(one)
            .is_some_and(|name| name.same_user(other))
}

fn send_if(cx: &mut Context<'_>, node: Option<Node>) {
    if let Some(node) = node {
        cx.send(node);
    }
}
