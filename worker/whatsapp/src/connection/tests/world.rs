//! A connection, its store and its server, and the hands that pass things between them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use rand::{SeedableRng, rngs::StdRng};

use super::peer::{NOW, Peer, ServerKeys, shared, success};
use crate::{
    binary::Node,
    command::Command,
    connection::{CloseReason, Config, Connection, Input, Next, Step},
    device::{Account, Device},
    event::Event,
    store::{KeyStore as _, MemoryStore},
    time::Timestamp,
};

pub(super) struct World {
    pub(super) connection: Connection,
    pub(super) peer: Peer,
    pub(super) store: MemoryStore,
    pub(super) now: Timestamp,
    /// What the owner was told.
    pub(super) events: Vec<Event>,
    /// What the server got and no test has looked at yet.
    pub(super) nodes: Vec<Node>,
    /// Whether the server is alive enough to answer pings.
    pub(super) answers_pings: bool,
    /// Why the connection ended.
    pub(super) closed: Option<CloseReason>,
}

impl World {
    /// After the handshake.
    pub(super) fn new(device: Device) -> Self {
        let keys = ServerKeys::new(1);
        let config = keys.config();
        Self::with(device, config, &keys)
    }

    pub(super) fn with(device: Device, config: Config, keys: &ServerKeys) -> Self {
        let mut world = Self::silent(device, config, keys);
        world.pump();
        world
    }

    /// Before anything was exchanged.
    pub(super) fn silent(device: Device, config: Config, keys: &ServerKeys) -> Self {
        let store = MemoryStore::with_device(device.clone());
        let connection = Connection::new(shared(config), device, StdRng::seed_from_u64(3), NOW);
        Self {
            connection,
            peer: Peer::new(keys),
            store,
            now: NOW,
            events: Vec::new(),
            nodes: Vec::new(),
            answers_pings: true,
            closed: None,
        }
    }

    /// Logged in and open.
    pub(super) fn online() -> Self {
        let mut world = Self::new(paired_device());
        world.server_sends(&success());
        world.answer_all();
        world.nodes.clear();
        world
    }

    /// Passes everything along until nothing moves.
    pub(super) fn pump(&mut self) {
        loop {
            let mut moved = false;
            let keys = self.connection.take_load();
            if !keys.is_empty() {
                let values = self.store.load(keys).now_or_never().unwrap().unwrap();
                self.handle(Input::Loaded(values));
                moved = true;
            }
            while let Some(step) = self.connection.take_step() {
                self.carry_out(step);
                moved = true;
            }
            while let Some(bytes) = self.peer.outbox.pop_front() {
                self.handle(Input::Bytes(bytes));
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    fn carry_out(&mut self, step: Step) {
        if step.needs_commit() {
            self.store
                .commit(step.changes, Vec::new())
                .now_or_never()
                .unwrap()
                .unwrap();
            self.handle(Input::Committed);
        }
        self.events.extend(step.events);
        for frame in step.frames {
            for node in self.peer.receive(frame) {
                if self.answers_pings && is_ping(&node) {
                    self.peer.send(&super::peer::result_of(&node));
                } else {
                    self.nodes.push(node);
                }
            }
        }
        self.closed = step.close.or(self.closed.take());
    }

    pub(super) fn handle(&mut self, input: Input) {
        self.connection.handle(input, self.now);
    }

    pub(super) fn command(&mut self, command: Command) {
        self.handle(Input::Command(command));
        self.pump();
    }

    pub(super) fn server_sends(&mut self, node: &Node) {
        self.peer.send(node);
        self.pump();
    }

    pub(super) fn server_sends_bytes(&mut self, bytes: &[u8]) {
        self.peer.outbox.push_back(Bytes::copy_from_slice(bytes));
        self.pump();
    }

    /// Lets time pass, waking the connection whenever it asked for it.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.connection.deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.handle(Input::Tick);
            self.pump();
        }
        self.now = until;
        self.handle(Input::Tick);
        self.pump();
    }

    /// Answers every open question with an empty result.
    pub(super) fn answer_all(&mut self) {
        let questions: Vec<Node> = self
            .nodes
            .iter()
            .filter(|node| is_question(node))
            .cloned()
            .collect();
        self.nodes.retain(|node| !is_question(node));
        for question in questions {
            self.server_sends(&super::peer::result_of(&question));
        }
    }

    /// Takes the first stanza that fits; panics if there is none.
    pub(super) fn expect(&mut self, what: &str, fits: impl Fn(&Node) -> bool) -> Node {
        let at = self.nodes.iter().position(fits);
        let at = at.unwrap_or_else(|| panic!("no {what} among {:?}", self.nodes));
        self.nodes.remove(at)
    }

    pub(super) fn expect_close(&self, reason: &CloseReason, next: Next) {
        assert_eq!(self.closed.as_ref(), Some(reason));
        assert_eq!(reason.action(), next);
        assert!(self.connection.is_closed());
        assert!(matches!(self.events.last(), Some(Event::Closed { reason: told }) if told == reason));
    }

    pub(super) fn qr_codes(&self) -> Vec<String> {
        let code = |event: &Event| match event {
            Event::QrCode { text, .. } => Some(text.clone()),
            _ => None,
        };
        self.events.iter().filter_map(code).collect()
    }
}

pub(super) fn new_device() -> Device {
    Device::generate(&mut StdRng::seed_from_u64(11))
}

pub(super) fn paired_device() -> Device {
    let mut device = new_device();
    device.account = Some(Account {
        jid: super::peer::own_jid(),
        lid: Some(super::peer::own_lid()),
        identity: Bytes::from_static(b"signed"),
        push_name: Some("Ann".to_owned()),
        platform: "android".to_owned(),
        is_migrated: false,
        token_salt: None,
    });
    device
}

fn is_question(node: &Node) -> bool {
    node.is("iq") && (node.attr_is("type", "get") || node.attr_is("type", "set"))
}

pub(super) fn is_ping(node: &Node) -> bool {
    node.is("iq") && node.attr_is("xmlns", "w:p")
}
