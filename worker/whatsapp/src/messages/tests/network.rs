//! A server in memory that routes between connections, and the hands that carry steps out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use futures_util::FutureExt as _;
use prost::Message as _;
use rand::{SeedableRng, rngs::StdRng};

use crate::binary::Node;
use crate::command::{Command, Outgoing, Presence, Recipient};
use crate::connection::tests::peer::{NOW, Peer, ServerKeys, shared};
use crate::connection::{Config, Connection, Input, Limits, Step};
use crate::device::{Account, AdvSecret, Device};
use crate::e2e::Space;
use crate::event::{Event, Incoming, Misbehaviour, SendError};
use crate::group::AddressingMode;
use crate::jid::{Jid, Server};
use crate::pairing::adv;
use crate::proto::Message;
use crate::server::adv::{DeviceDetails, Hosting, issue};
use crate::signal::PreKeyBundle;
use crate::signal::curve::KeyPair;
use crate::stanza::keys::Upload;
use crate::store::{Changes, KeyStore as _, MemoryStore, RecordKind};
use crate::time::Timestamp;

/// One device that is connected.
pub(super) struct Client {
    pub(super) jid: Jid,
    pub(super) lid: Jid,
    pub(super) connection: Connection,
    pub(super) store: MemoryStore,
    pub(super) events: Vec<Event>,
    /// Every stanza that it sent, questions left out.
    pub(super) sent: Vec<Node>,
    /// How often it asked its store.
    pub(super) loads: usize,
    pub(super) peer: Peer,
}

/// What the server does with questions about groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupQuestions {
    Answered,
    Refused,
    /// Nobody hears of them again.
    Lost,
}

/// What the server has of a device.
pub(super) struct Published {
    pub(super) keys: Upload,
    pub(super) proof: Option<Bytes>,
}

/// The server, its users, and what it does wrong.
pub(super) struct Network {
    pub(super) clients: Vec<Client>,
    pub(super) published: BTreeMap<Jid, Published>,
    /// Devices that the server says are not linked any more.
    pub(super) unregistered: BTreeSet<Jid>,
    /// Refuse the bundles of these devices, with this code.
    pub(super) bundle_refusals: BTreeMap<Jid, u32>,
    /// Refuse messages with this code.
    pub(super) nack: Option<u32>,
    /// Do not confirm messages.
    pub(super) silent: bool,
    /// Do not answer questions about users.
    pub(super) usync_error: Option<u16>,
    /// Refuse prekeys.
    pub(super) refuses_uploads: bool,
    /// Refuse to hand out bundles.
    pub(super) refuses_bundles: bool,
    /// Say that there are no keys when asked for their digest.
    pub(super) loses_digest: bool,
    /// Do not deliver; see `held`.
    pub(super) hold: bool,
    /// What was not delivered: to which client.
    pub(super) held: VecDeque<(usize, Node)>,
    /// Accounts address their chats by hidden id, as those that join believe.
    pub(super) migrated: bool,
    /// The same, as the server sees it: messages by the other kind of name are refused with this code.
    pub(super) refuses: Option<(Space, u32)>,
    /// Give no devices of others by number.
    pub(super) empty_lists: bool,
    /// Say beside each ack that the hidden id of the chat is out of date.
    pub(super) says_lids_are_old: bool,
    /// Leave the hidden ids out of everything.
    pub(super) hides_lids: bool,
    /// Numbers that begin with 1777 exist, and share these keys.
    pub(super) crowd: Option<PreKeyBundle>,
    /// Numbers that belong to the account of another number now.
    pub(super) old_numbers: BTreeMap<String, String>,
    /// Owners of clients that log in from now on want to know of that before anything is sent.
    pub(super) tells_renumbered: bool,
    /// What their steps may hold.
    pub(super) step_items: Option<usize>,
    /// Every question of every client.
    pub(super) questions: Vec<Node>,
    /// What the server answers when asked for properties.
    pub(super) properties: Option<Node>,
    /// Refuse to issue tokens.
    pub(super) refuses_tokens: bool,
    /// Whom accounts let know that they have read something; without, the server does not say.
    pub(super) read_receipts: Option<&'static str>,
    /// What a client is told right before the next bundles that it asked for, which are from before that.
    pub(super) meanwhile: Option<Node>,
    pub(super) now: Timestamp,
    /// How groups name their people, and who is in them.
    pub(super) groups: BTreeMap<Jid, (AddressingMode, BTreeSet<u32>)>,
    /// How many of the crowd are in every group, too.
    pub(super) crowd_members: u32,
    /// Who is an admin of every group that they are in.
    pub(super) admins: BTreeSet<u32>,
    /// What the server does with questions about groups.
    pub(super) group_questions: GroupQuestions,
    /// The identities of the phones, by number.
    pub(super) accounts: BTreeMap<String, KeyPair>,
}

impl Network {
    /// Nobody.
    pub(super) fn new() -> Self {
        Self {
            clients: Vec::new(),
            published: BTreeMap::new(),
            unregistered: BTreeSet::new(),
            bundle_refusals: BTreeMap::new(),
            nack: None,
            silent: false,
            usync_error: None,
            refuses_uploads: false,
            refuses_bundles: false,
            loses_digest: false,
            hold: false,
            held: VecDeque::new(),
            migrated: false,
            refuses: None,
            empty_lists: false,
            says_lids_are_old: false,
            hides_lids: false,
            crowd: None,
            old_numbers: BTreeMap::new(),
            tells_renumbered: false,
            step_items: None,
            questions: Vec::new(),
            properties: None,
            refuses_tokens: false,
            read_receipts: Some("all"),
            meanwhile: None,
            now: NOW,
            groups: BTreeMap::new(),
            crowd_members: 0,
            admins: BTreeSet::new(),
            group_questions: GroupQuestions::Answered,
            accounts: BTreeMap::new(),
        }
    }

    /// Ann (phone 0 and companion 3) and Bob (phone 0 and companion 5), all logged in: clients 0 to 3.
    pub(super) fn ann_and_bob() -> Self {
        let mut network = Self::new();
        for (user, device) in [(1, 0), (1, 3), (2, 0), (2, 5)] {
            network.join(user, device);
        }
        network
    }

    /// The same four, of accounts that are migrated.
    pub(super) fn migrated() -> Self {
        let mut network = Self::new();
        network.migrated = true;
        for (user, device) in [(1, 0), (1, 3), (2, 0), (2, 5)] {
            network.join(user, device);
        }
        network
    }

    /// A device logs in; its number is its index.
    pub(super) fn join(&mut self, user: u32, device: u16) -> usize {
        let device = self.device(&phone(user).with_device(device), user);
        self.join_as(device, Changes::default())
    }

    /// A device logs in whose store has this besides; its number is its index.
    pub(super) fn join_as(&mut self, device: Device, stored: Changes) -> usize {
        let keys = ServerKeys::new(1);
        let mut store = MemoryStore::with_device(device.clone());
        store.commit(stored, Vec::new()).now_or_never().unwrap().unwrap();
        let (jid, lid) = (device.jid().unwrap().clone(), device.lid().unwrap().clone());
        let rng = StdRng::seed_from_u64(1000 + self.clients.len() as u64);
        let connection = Connection::new(shared(self.seen(&keys)), device, rng, self.now);
        let peer = Peer::new(&keys);
        self.clients.push(Client {
            jid,
            lid,
            connection,
            store,
            events: Vec::new(),
            sent: Vec::new(),
            loads: 0,
            peer,
        });
        let at = self.clients.len() - 1;
        self.settle();
        let success = Node::new("success")
            .attr("t", self.now.as_secs())
            .attr("lid", &self.clients[at].lid);
        self.clients[at].peer.send(&success);
        self.clients[at].peer.send(&caught_up());
        self.settle();
        assert!(
            self.clients[at]
                .events
                .iter()
                .any(|event| matches!(event, Event::Open { .. }))
        );
        self.forget();
        at
    }

    fn device(&mut self, jid: &Jid, user: u32) -> Device {
        self.device_from(10_000 * u64::from(user) + u64::from(jid.device()), jid, user)
    }

    pub(super) fn device_from(&mut self, seed: u64, jid: &Jid, user: u32) -> Device {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut device = Device::generate(&mut rng);
        let account = self
            .accounts
            .entry(jid.user().to_owned())
            .or_insert_with(|| device.identity.clone())
            .clone();
        let identity = if jid.device() == 0 {
            Bytes::new()
        } else {
            let secret = AdvSecret::generate(&mut rng);
            let details = DeviceDetails {
                raw_id: 1,
                timestamp: 1,
                key_index: 1,
                hosting: Hosting::Own,
            };
            let container = issue(&account, device.identity.public(), &secret, details, &mut rng);
            adv::accept(&container, &secret, &device.identity, &mut rng)
                .unwrap()
                .identity
        };
        device.account = Some(Account {
            jid: jid.clone(),
            lid: Some(lid(user).with_device(jid.device())),
            identity,
            push_name: Some(format!("user {user}")),
            platform: "android".into(),
            is_migrated: self.migrated,
            token_salt: None,
        });
        device
    }

    /// Forgets what was told and asked so far.
    pub(super) fn forget(&mut self) {
        self.questions.clear();
        for client in &mut self.clients {
            client.events.clear();
            client.sent.clear();
        }
    }

    /// Hands a stanza to a client as the server would.
    pub(super) fn hand(&mut self, at: usize, node: &Node) {
        self.clients[at].peer.send(node);
        self.settle();
    }

    /// Hands over the stanza that was held first.
    pub(super) fn hand_held(&mut self) {
        let (at, node) = self.held.pop_front().expect("something is held");
        self.hand(at, &node);
    }

    /// The owner of a client asks for something.
    pub(super) fn command(&mut self, at: usize, command: Command) {
        let now = self.now;
        self.clients[at].connection.handle(Input::Command(command), now);
        self.settle();
    }

    /// The owner of a client sends a text; its content stays with the owner.
    pub(super) fn send(&mut self, at: usize, to: Recipient, id: &str, text: &str) {
        self.command(at, outgoing(to, id, text));
    }

    /// The same of any kind.
    pub(super) fn send_message(&mut self, at: usize, to: Recipient, id: &str, message: Message) {
        let id = id.parse().unwrap();
        self.command(at, Command::Send(Box::new(Outgoing { id, to, message })));
    }

    /// Keeps a message's content for repeats, as an owner does.
    pub(super) fn keep(&self, at: usize, id: &str, chat: Jid, text: &str) {
        self.clients[at].store.keep_sent(
            &id.parse().unwrap(),
            chat,
            text_message(text).encode_to_vec().into(),
        );
    }

    /// Lets time pass for all.
    pub(super) fn pass(&mut self, time: std::time::Duration) {
        self.now = self.now + time;
        for at in 0..self.clients.len() {
            let now = self.now;
            self.clients[at].connection.handle(Input::Tick, now);
        }
        self.settle();
    }

    /// Passes everything along until nothing moves.
    pub(super) fn settle(&mut self) {
        loop {
            let mut moved = false;
            for at in 0..self.clients.len() {
                while self.turn(at) {
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn turn(&mut self, at: usize) -> bool {
        let now = self.now;
        let client = &mut self.clients[at];
        let keys = client.connection.take_load();
        let mut moved = !keys.is_empty();
        if moved {
            client.loads += 1;
            let values = client.store.load(keys).now_or_never().unwrap().unwrap();
            client.connection.handle(Input::Loaded(values), now);
        }
        if let Some(bytes) = client.peer.outbox.pop_front() {
            client.connection.handle(Input::Bytes(bytes), now);
            moved = true;
        }
        if let Some(step) = client.connection.take_step() {
            self.carry_out(at, step);
            moved = true;
        }
        let connection = &mut self.clients[at].connection;
        if connection.deadline() == Some(Timestamp::EPOCH) {
            // More can be read again.
            connection.handle(Input::Tick, now);
            moved = true;
        }
        moved
    }

    fn carry_out(&mut self, at: usize, step: Step) {
        let now = self.now;
        let client = &mut self.clients[at];
        let is_ratchet = |kind| matches!(kind, RecordKind::Session | RecordKind::SenderKey);
        let writes_sessions = step.changes.keys().any(|key| is_ratchet(key.kind));
        if step.needs_commit() {
            client
                .store
                .commit(step.changes, Vec::new())
                .now_or_never()
                .unwrap()
                .unwrap();
            client.connection.handle(Input::Committed, now);
        }
        client.events.extend(step.events);
        let nodes: Vec<Node> = step
            .frames
            .into_iter()
            .flat_map(|frame| client.peer.receive(frame))
            .collect();
        for node in nodes {
            match node.tag() {
                "iq" => self.question(at, &node),
                "message" => {
                    assert!(writes_sessions, "a ciphertext left without its ratchet's change");
                    self.clients[at].sent.push(node.clone());
                    self.message(at, &node);
                }
                "receipt" => {
                    self.clients[at].sent.push(node.clone());
                    self.receipt(at, &node);
                }
                _ => self.clients[at].sent.push(node),
            }
        }
    }

    /// The client at this address, by either name.
    pub(super) fn client_at(&self, jid: &Jid) -> Option<usize> {
        self.clients
            .iter()
            .position(|client| client.jid == *jid || client.lid == *jid)
    }

    pub(super) fn deliver(&mut self, to: usize, node: Node) {
        if self.hold {
            self.held.push_back((to, node));
        } else {
            self.clients[to].peer.send(&node);
        }
    }

    /// The settings of clients that are at the keyboard: their receipts are ordinary.
    pub(super) fn seen(&self, keys: &ServerKeys) -> Config {
        let config = keys.config();
        Config {
            presence: Some(Presence::Available),
            tells_renumbered: self.tells_renumbered,
            limits: Limits {
                step_items: self.step_items.unwrap_or(config.limits.step_items),
                ..config.limits
            },
            ..config
        }
    }

    /// Hands over several stanzas before the client may do anything.
    pub(super) fn hand_together(&mut self, at: usize, nodes: &[Node]) {
        let client = &mut self.clients[at];
        for node in nodes {
            client.peer.send(node);
        }
        while let Some(bytes) = client.peer.outbox.pop_front() {
            client.connection.handle(Input::Bytes(bytes), self.now);
        }
        self.settle();
    }

    /// A bundle of a client, as the server hands it out.
    pub(super) fn take_bundle(&mut self, at: usize) -> PreKeyBundle {
        let jid = self.clients[at].jid.clone();
        self.bundle(&jid).unwrap().keys
    }
}

/// Looking on.
impl Client {
    /// The messages that its owner got.
    pub(super) fn messages(&self) -> Vec<&Incoming> {
        let messages = self.events.iter().filter_map(|event| match event {
            Event::Message(incoming) => Some(incoming.as_ref()),
            _ => None,
        });
        messages.collect()
    }

    /// Their texts.
    pub(super) fn texts(&self) -> Vec<String> {
        self.messages()
            .iter()
            .map(|incoming| incoming.message.conversation.clone().unwrap_or_default())
            .collect()
    }

    /// How its sends failed.
    pub(super) fn failures(&self) -> Vec<SendError> {
        let failure = |event: &Event| match event {
            Event::MessageFailed { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        self.events.iter().filter_map(failure).collect()
    }

    /// How many of its sends were confirmed.
    pub(super) fn acked(&self) -> usize {
        self.events
            .iter()
            .filter(|event| matches!(event, Event::MessageAcked { .. }))
            .count()
    }

    /// What peers did that no app does.
    pub(super) fn misbehaved(&self) -> Vec<Misbehaviour> {
        let one = |event: &Event| match event {
            Event::Misbehaved { how } => Some(*how),
            _ => None,
        };
        self.events.iter().filter_map(one).collect()
    }

    /// The attempts at messages that could not be decrypted, and whether they were given up.
    pub(super) fn undecryptable(&self) -> Vec<(u32, bool)> {
        let one = |event: &Event| match event {
            Event::Undecryptable {
                attempt, given_up, ..
            } => Some((*attempt, *given_up)),
            _ => None,
        };
        self.events.iter().filter_map(one).collect()
    }

    /// The stanzas with this tag that it sent.
    pub(super) fn sent(&self, tag: &str) -> Vec<&Node> {
        self.sent.iter().filter(|node| node.is(tag)).collect()
    }

    /// The stanza of its last message.
    pub(super) fn last_message(&self) -> &Node {
        self.sent
            .iter()
            .rfind(|node| node.is("message"))
            .expect("a message was sent")
    }

    /// Device and kind of each ciphertext of its last message.
    pub(super) fn last_targets(&self) -> Vec<(String, String)> {
        let target = |to: &Node| {
            let kind = to.child("enc").unwrap().attr_str("type").unwrap().into_owned();
            (to.attr_str("jid").unwrap().into_owned(), kind)
        };
        self.last_message()
            .child("participants")
            .unwrap()
            .nodes()
            .iter()
            .map(target)
            .collect()
    }

    /// The receipts of this type that it sent.
    pub(super) fn receipts(&self, kind: Option<&str>) -> Vec<&Node> {
        self.sent("receipt")
            .into_iter()
            .filter(|node| node.attr_str("type").as_deref() == kind)
            .collect()
    }
}

/// All that waited has come.
pub(super) fn caught_up() -> Node {
    Node::new("ib").with_child(Node::new("offline").attr("count", "0"))
}

/// A user's address by number.
pub(super) fn phone(user: u32) -> Jid {
    Jid::phone(&format!("1555000{user}")).unwrap()
}

/// A user's address by hidden id.
pub(super) fn lid(user: u32) -> Jid {
    Jid::new(format!("10000000000000{user}"), Server::Lid)
}

pub(super) fn phone_of(lid: &Jid) -> Jid {
    phone(lid.user()[14..].parse().unwrap())
}

/// A number that is sent to.
pub(super) fn number(user: u32) -> Recipient {
    Recipient::Phone(phone(user).user().to_owned())
}

pub(super) fn text_message(text: &str) -> Message {
    Message {
        conversation: Some(text.to_owned()),
        ..Message::default()
    }
}

pub(super) fn outgoing(to: Recipient, id: &str, text: &str) -> Command {
    let id = id.parse().unwrap();
    Command::Send(Box::new(Outgoing {
        id,
        to,
        message: text_message(text),
    }))
}
