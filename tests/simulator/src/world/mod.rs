//! The server behind the sockets: one task that owns accounts, connections, queues of undelivered stanzas, faults and
//! the audit. Everybody talks to it by messages; nothing in it waits for anybody.
//!
//! Connections whose queue is full get no more stanzas until they have read (what they miss is kept for them), and if
//! they ask for more than they read, they are closed. While a shard of the crowd is full nothing is taken from
//! connections, which slows the senders down.
//!
//! Facts: docs/PROTOCOL.md, "The simulator".

mod account;
mod addressing;
mod app_state;
mod bundle;
mod call;
mod calls;
mod command;
mod deliver;
mod endings;
mod fanout;
mod forms;
mod group;
mod group_changes;
mod group_messages;
mod groups;
mod guarded;
mod limits;
mod link_code;
mod linking;
mod login;
mod message;
mod pairing;
mod passkey;
mod past;
mod people;
mod perform;
mod person;
mod phone_state;
mod pictures;
mod port;
mod prekeys;
mod properties;
mod query;
mod receipt;
mod refresh;
mod restrict;
mod reuploads;
mod rules;
mod saying;
mod sealed;
mod sharing;
mod special;
mod stanza;
mod tokens;
mod trust;
mod usync;
mod version;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use smallvec::SmallVec;
use tokio::sync::mpsc;
use tokio::time::Instant;
use whatsapp::binary::Node;

use crate::audit::Audit;
use crate::clock::Clock;
use crate::crowd::{Crowd, Devices, Output};
use crate::fault::Faults;
use crate::number::{DeviceAddr, Number};
use crate::population::Population;
use crate::seed::Seed;
use crate::timers::{self, Timers};

use account::Account;
pub use call::{CallShown, CallTurn, NewCall};
pub use command::{
    Answer, Audience, Command, Form, LinkHello, LinkOutcome, Linked, NewsBy, PendingReport, ReceiptKind,
    ReceiptWish, Said, Scanned, SessionInfo, Speaker, Special, TokenChange, Writing,
};
pub use forms::Labels;
use group::Group;
pub use group::{GroupAddressing, GroupChange, GroupKind, GroupShown, NewGroup, Renumbering};
pub use limits::{Cap, Ends, Restrict};
use pairing::{Pairing, REFS};
pub use person::{PersonNews, PictureNews};
pub use phone_state::{CollectionShown, PhoneChange, Spoil};
pub use port::{ConnId, INPUT_QUEUE, Input, OUTBOUND_QUEUE, Opening, Outbound, OutboundQueue};
pub use properties::PropertyChange;
pub use rules::{AccountAddressing, ByNumber, ClientProps};
use sealed::{Files, Kept};
pub use sealed::{MediaChange, NewFile, SentFile};
use trust::Tokens;
pub use trust::{MAX_TOKENS, Proofs, SaltChange};
use version::Versions;
pub use version::{Page, VersionChange, VersionInfo};

/// Control commands that wait for the world.
pub const COMMAND_QUEUE: usize = 256;

/// What the world does later.
type Later = Box<dyn FnOnce(&mut World) + Send>;

struct Conn {
    outbound: OutboundQueue,
    state: ConnState,
    /// Nothing more is said on it.
    is_mute: bool,
}

impl Conn {
    fn pairing(&self) -> Option<&Pairing> {
        match &self.state {
            ConnState::Pairing(pairing) => Some(pairing),
            ConnState::Online(_) => None,
        }
    }

    fn pairing_mut(&mut self) -> Option<&mut Pairing> {
        match &mut self.state {
            ConnState::Pairing(pairing) => Some(pairing),
            ConnState::Online(_) => None,
        }
    }
}

enum ConnState {
    Pairing(Box<Pairing>),
    Online(DeviceAddr),
}

/// All state of the server.
pub struct World {
    clock: Clock,
    seed: Seed,
    accounts: HashMap<Number, Account>,
    population: Population,
    /// What is known of contacts beyond what is derived.
    contacts: HashMap<Number, Contact>,
    /// Other numbers under which contacts are found.
    spellings: HashMap<Number, Number>,
    /// Highest id of the one-time prekeys of simulated devices that was handed out.
    handed_out: HashMap<DeviceAddr, u32>,
    conns: HashMap<ConnId, Conn>,
    crowd: Crowd,
    faults: Faults,
    audit: Audit,
    timers: Timers<Later>,
    /// Phones into which a code was typed before a companion asked for one.
    awaiting_hello: Vec<(Number, Answer<LinkHello>)>,
    versions: Versions,
    /// How many QR codes a client gets that is to be linked.
    refs: usize,
    /// Whether how messages are labelled is judged.
    labels: Labels,
    tokens: Tokens,
    last_id: u64,
    /// Whose next message to which phone says that there is no copy though there is.
    beside: HashSet<(Number, Number)>,
    files: Files,
    /// Files that phones have got.
    kept: Vec<Kept>,
    /// The calls, oldest first.
    calls: VecDeque<CallShown>,
    /// By the user part of their addresses.
    groups: BTreeMap<String, Group>,
    /// Contacts whom nobody adds to groups.
    unaddable: HashSet<Number>,
}

/// What a contact has that others have not.
#[derive(Default)]
struct Contact {
    /// Companions and their key indexes.
    companions: SmallVec<[(u16, u32); 1]>,
    /// Accounts that wrote to it, sorted.
    peers: SmallVec<[Number; 2]>,
    /// The name that its messages say, if it chose one.
    name: Option<Box<str>>,
}

impl World {
    /// An empty world whose files are at this host.
    #[must_use]
    pub fn new(seed: Seed, number: u64, crowd: Crowd, clock: Clock, media_host: String) -> Self {
        Self {
            clock,
            seed,
            accounts: HashMap::new(),
            spellings: HashMap::new(),
            population: Population::default(),
            contacts: HashMap::new(),
            handed_out: HashMap::new(),
            conns: HashMap::new(),
            crowd,
            faults: Faults::new(number),
            audit: Audit::default(),
            timers: Timers::default(),
            awaiting_hello: Vec::new(),
            versions: Versions::default(),
            refs: REFS,
            labels: Labels::default(),
            tokens: Tokens::default(),
            last_id: 0,
            beside: HashSet::new(),
            files: Files::at(media_host),
            kept: Vec::new(),
            calls: VecDeque::new(),
            groups: BTreeMap::new(),
            unaddable: HashSet::new(),
        }
    }

    /// Runs until `commands` is closed. Cancellation point: between inputs.
    pub async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        mut outputs: mpsc::Receiver<Output>,
        mut commands: mpsc::Receiver<Command>,
    ) {
        loop {
            let is_clear = self.crowd.is_clear();
            let next = self.timers.next();
            tokio::select! {
                biased;
                Some(output) = outputs.recv() => {
                    self.on_output(output);
                    while let Ok(output) = outputs.try_recv() {
                        self.on_output(output);
                    }
                }
                command = commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => return,
                },
                () = timers::until(next) => self.fire(self.clock.now()),
                () = self.crowd.clear() => {}
                Some(input) = inputs.recv(), if is_clear => self.on_input(input),
            }
        }
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::Open(opening) => self.open(*opening),
            Input::Stanza { conn, node, at } => self.on_stanza(conn, node, at),
            Input::Malformed(_) => self.audit.count.violations += 1,
            Input::Writable(conn) => {
                if let Some(Conn {
                    state: ConnState::Online(who),
                    ..
                }) = self.conns.get(&conn)
                {
                    self.flush(*who);
                }
            }
            Input::Closed(conn) => self.on_closed(conn),
        }
    }

    fn on_stanza(&mut self, conn: ConnId, node: Node, at: Instant) {
        match self.conns.get(&conn).map(|conn| &conn.state) {
            None => {}
            Some(ConnState::Pairing(_)) => self.on_pairing_stanza(conn, &node),
            Some(&ConnState::Online(from)) => match node.tag() {
                "iq" => self.on_iq(conn, from, &node),
                "message" if node.attr_jid("to").is_some_and(|to| to.is_group()) => {
                    self.on_group_message(conn, from, &node, at);
                }
                "message" => self.on_message(conn, from, node, at),
                "receipt" => self.on_receipt(conn, from, &node),
                "ack" => self.on_ack(from, &node),
                "presence" => self.on_presence(conn, from, &node),
                "chatstate" => self.on_chatstate(from, &node),
                "call" => self.on_call(conn, from, &node),
                // Telemetry, requests for more of the backlog (which comes anyway), and what we do not know.
                _ => {}
            },
        }
    }

    fn on_output(&mut self, output: Output) {
        match output {
            Output::Receipt(receipt) => self.crowd_receipt(*receipt),
            Output::GroupMessage(message) => self.crowd_group_message(*message),
            Output::Message(message) => self.crowd_message(*message),
            Output::WantPast(wanted) => self.more_past(wanted.companion, &wanted.request, &wanted.asked),
            Output::WantKeys(companion) => self.share_keys(companion, 0..3),
            Output::WantBundles { who, send, of } => self.crowd_wants_bundles(who, send, &of),
        }
    }

    fn on_closed(&mut self, conn: ConnId) {
        match self.conns.remove(&conn).map(|conn| conn.state) {
            Some(ConnState::Online(who)) => self.gone_offline(who, conn),
            Some(ConnState::Pairing(pairing)) => pairing.abandoned(),
            None => {}
        }
    }

    /// Whether anybody has this number.
    fn exists(&self, number: Number) -> bool {
        self.accounts.contains_key(&number) || self.population.contains(number)
    }

    /// The devices of a user, the phone first; `None` if nobody has the number.
    fn devices_of(&self, number: Number) -> Option<Devices> {
        let mut devices: Devices = SmallVec::from_slice(&[0]);
        if let Some(account) = self.accounts.get(&number) {
            devices.extend(account.devices.keys().copied());
        } else if self.population.contains(number) {
            let companions = self
                .contacts
                .get(&number)
                .map(|contact| contact.companions.as_slice());
            devices.extend(companions.unwrap_or_default().iter().map(|(device, _)| *device));
        } else {
            return None;
        }
        Some(devices)
    }

    /// Writes a stanza to a connection. One that asks for more than it reads is closed.
    fn write(&mut self, conn: ConnId, node: &Node) {
        self.put(conn, Outbound::stanza(node));
    }

    fn put(&mut self, conn: ConnId, outbound: Outbound) {
        let Some(open) = self.conns.get(&conn).filter(|open| !open.is_mute) else {
            return;
        };
        if open.outbound.sender.try_send(outbound).is_err() {
            self.drop_conn(conn);
        }
    }

    /// Closes a connection after what is queued for it; nothing more is taken from it.
    fn close(&mut self, conn: ConnId) {
        self.put(conn, Outbound::Close);
        self.drop_conn(conn);
    }

    /// Ends a stream as the real server does: says why, ends the stream, and drops the socket some moments later.
    fn end_stream(&mut self, conn: ConnId, error: &Node) {
        self.write(conn, error);
        self.write(conn, &Node::new("xmlstreamend"));
        self.put(conn, Outbound::CloseSoon);
        self.drop_conn(conn);
    }

    /// Forgets a connection; its task ends with its queue.
    fn drop_conn(&mut self, conn: ConnId) {
        self.on_closed(conn);
    }

    /// Does `action` at `at`.
    fn at(&mut self, at: Instant, action: impl FnOnce(&mut Self) + Send + 'static) {
        if let Some(action) = self.timers.push(at, Box::new(action)) {
            action(self);
        }
    }

    fn fire(&mut self, now: Instant) {
        while let Some(action) = self.timers.pop(now) {
            action(self);
        }
    }

    /// An id for a stanza that the server makes up.
    fn next_id(&mut self) -> String {
        self.last_id += 1;
        format!(
            "{}-{}",
            self.seed.number_of("stanza id", 0) % 1_000_000_000,
            self.last_id
        )
    }
}
