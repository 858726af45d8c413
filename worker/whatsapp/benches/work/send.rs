//! A whole send to three devices: from the owner's command to the step with the sealed frame, through a connection that
//! is logged in, with the changes that make it durable. The server and the three devices are in memory.

pub mod group;
pub mod incoming;

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm};
use bytes::Bytes;
use futures_util::FutureExt as _;
use hmac::KeyInit as _;
use prost::Message as _;
use rand::SeedableRng;
use rand::rngs::StdRng;

use whatsapp::binary::{self, Node};
use whatsapp::command::{Command, Outgoing, Recipient};
use whatsapp::connection::{ClientVersion, Config, Connection, Input, Step};
use whatsapp::crypto::Transport;
use whatsapp::device::{Account, AdvSecret, Device};
use whatsapp::event::Event;
use whatsapp::frame;
use whatsapp::jid::{Jid, Server as Space};
use whatsapp::message_id::MessageId;
use whatsapp::pairing::adv;
use whatsapp::proto::message::ExtendedTextMessage;
use whatsapp::proto::{self, message::DeviceSentMessage};
use whatsapp::server::adv::{DeviceDetails, Hosting, issue};
use whatsapp::server::cert::{self, Validity};
use whatsapp::server::{AwaitFinish, ClientFrames, Hello, Responder, Resumption};
use whatsapp::signal::curve::{KeyPair, PublicKey};
use whatsapp::signal::padding;
use whatsapp::signal::session::{Ciphertext, SessionRecord};
use whatsapp::stanza::ack::MessageAck;
use whatsapp::stanza::keys::{self, Bundle};
use whatsapp::stanza::usync::{Answer, Contact, ListedDevice, Query, Subject, UserAnswer};
use whatsapp::store::{KeyStore as _, MemoryStore};
use whatsapp::time::Timestamp;

use super::measure::{Figure, side_by_side, timed};
use super::pairwise::{Party, encrypt_floor};

/// How many times the floor a whole send may take.
pub const SEND_TARGET: f64 = 2.0;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const OWN: &str = "15551230001";
const OWN_LID: &str = "100000000000001";
const OWN_DEVICE: u16 = 11;
const PEER: &str = "15551230002";
const PEER_DEVICES: [u16; 2] = [0, 5];
const TEXT: &str = "We open at nine tomorrow.";
const RUNS: u32 = 200;

/// A send beside its primitives, in nanoseconds: three encryptions of texts of the same length, and AES-GCM over the
/// stanza.
pub fn sending() -> (Figure, Figure) {
    let mut sender = Sender::new();
    let frame_bytes = sender.send().1;
    let plaintexts = [
        sent_text().encode_to_vec(),
        sent_text().encode_to_vec(),
        own_copy(sent_text()),
    ]
    .map(padded);
    let mut chain_keys = [[1u8; 32], [2; 32], [3; 32]];
    let cipher = Aes256Gcm::new(&[7; 32].into());
    let mut stanza = vec![0u8; frame_bytes];
    side_by_side(
        || {
            let total: Duration = (0..RUNS).map(|_| sender.send().0).sum();
            total.as_nanos() as f64 / f64::from(RUNS)
        },
        || {
            timed(RUNS, || {
                for (chain_key, plaintext) in chain_keys.iter_mut().zip(&plaintexts) {
                    black_box(encrypt_floor(chain_key, black_box(plaintext)));
                }
                let text = InOutBuf::from(&mut stanza[..]);
                black_box(cipher.encrypt_inout_detached(&[0; 12].into(), &[], text).unwrap());
            })
        },
    )
}

fn text_message(text: &str) -> proto::Message {
    proto::Message {
        extended_text_message: Some(Box::new(ExtendedTextMessage {
            text: Some(text.to_owned()),
            ..ExtendedTextMessage::default()
        })),
        ..proto::Message::default()
    }
}

/// The text as it is encrypted: with a message secret.
fn sent_text() -> proto::Message {
    let info = proto::MessageContextInfo {
        message_secret: Some(Bytes::from_static(&[7; 32])),
        ..proto::MessageContextInfo::default()
    };
    proto::Message {
        message_context_info: Some(Box::new(info)),
        ..text_message(TEXT)
    }
}

fn own_copy(message: proto::Message) -> Vec<u8> {
    let sent = DeviceSentMessage {
        destination_jid: Some(peer().to_string()),
        message: Some(Box::new(message)),
        phash: None,
    };
    let message = proto::Message {
        message_context_info: sent
            .message
            .as_ref()
            .and_then(|message| message.message_context_info.clone()),
        device_sent_message: Some(Box::new(sent)),
        ..proto::Message::default()
    };
    message.encode_to_vec()
}

/// With as much padding as there is on average.
fn padded(mut message: Vec<u8>) -> Vec<u8> {
    message.resize(message.len() + padding::MAX_PADDING_BYTES / 2, 8);
    message
}

fn peer() -> Jid {
    Jid::new(PEER, Space::User)
}

/// A connection that is logged in and has sessions with all three devices.
pub struct Sender {
    connection: Connection,
    store: MemoryStore,
    server: Server,
    events: Vec<Event>,
    rng: StdRng,
}

impl Sender {
    /// Logs in, sends a first message, and hears from every device, so that plain messages follow.
    pub fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let (server, root) = Server::new(&mut rng);
        let device = device(server.devices[&Jid::new(OWN, Space::User)].own().pair, &mut rng);
        let config = Config {
            root_key: root,
            ..Config::whatsapp(ClientVersion::KNOWN)
        };
        let store = MemoryStore::with_device(device.clone());
        let connection = Connection::new(Arc::new(config), device, StdRng::seed_from_u64(2), NOW);
        let mut sender = Self {
            connection,
            store,
            server,
            events: Vec::new(),
            rng,
        };
        sender.settle();
        let lid = Jid::new(OWN_LID, Space::Lid).with_device(OWN_DEVICE);
        sender
            .server
            .send(&Node::new("success").attr("t", NOW.as_secs()).attr("lid", lid));
        sender.settle();
        let first = sender.command();
        sender.connection.handle(Input::Command(first), NOW);
        sender.settle();
        let answers = |event: &&Event| matches!(event, Event::Message(_));
        assert_eq!(
            sender.events.iter().filter(answers).count(),
            3,
            "{:?}",
            sender.events
        );
        sender
    }

    /// Sends one message: how long it took until the step was there, and how many bytes its frame has.
    pub fn send(&mut self) -> (Duration, usize) {
        let command = self.command();
        let Command::Send(outgoing) = &command else {
            unreachable!("a send")
        };
        let id = outgoing.id.clone();
        let start = Instant::now();
        self.connection.handle(Input::Command(command), NOW);
        let step = black_box(self.connection.take_step()).unwrap();
        let took = start.elapsed();
        assert_eq!((step.frames.len(), step.changes.len()), (1, 3));
        // What follows is not the send's: the commit, and the server's confirmation.
        self.connection.handle(Input::Committed, NOW);
        self.server.confirm(id);
        let ack = self.server.outbox.pop_front().unwrap();
        self.connection.handle(Input::Bytes(ack), NOW);
        let told = self.connection.take_step().unwrap();
        assert!(matches!(told.events[..], [Event::MessageAcked { .. }]));
        self.connection.handle(Input::Committed, NOW);
        (took, step.frames[0].len())
    }

    fn command(&mut self) -> Command {
        Command::Send(Box::new(Outgoing {
            id: MessageId::generate(NOW.as_secs(), OWN, &mut self.rng),
            to: Recipient::Phone(PEER.to_owned()),
            message: text_message(TEXT),
        }))
    }

    /// Carries everything about until nothing moves.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            let keys = self.connection.take_load();
            if !keys.is_empty() {
                let values = self.store.load(keys).now_or_never().unwrap().unwrap();
                self.connection.handle(Input::Loaded(values), NOW);
                moved = true;
            }
            while let Some(bytes) = self.server.outbox.pop_front() {
                self.connection.handle(Input::Bytes(bytes), NOW);
                moved = true;
            }
            while let Some(step) = self.connection.take_step() {
                self.carry_out(step);
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    fn carry_out(&mut self, step: Step) {
        if step.needs_commit() {
            let commit = self.store.commit(step.changes, Vec::new());
            commit.now_or_never().unwrap().unwrap();
            self.connection.handle(Input::Committed, NOW);
        }
        self.events.extend(step.events);
        for frame in step.frames {
            self.server.receive(frame);
        }
    }
}

fn device(phone: &KeyPair, rng: &mut StdRng) -> Device {
    let mut device = Device::generate(rng);
    let identity = vouch(phone, &device.identity, rng);
    device.account = Some(Account {
        jid: Jid::new(OWN, Space::User).with_device(OWN_DEVICE),
        lid: Some(Jid::new(OWN_LID, Space::Lid).with_device(OWN_DEVICE)),
        identity,
        push_name: Some("Ann".to_owned()),
        platform: "android".to_owned(),
        is_migrated: false,
        token_salt: None,
    });
    device
}

/// The proof that a companion is of the account of this phone.
fn vouch(phone: &KeyPair, companion: &KeyPair, rng: &mut StdRng) -> Bytes {
    let secret = AdvSecret::generate(rng);
    let details = DeviceDetails {
        raw_id: 1,
        timestamp: NOW.as_secs(),
        key_index: 1,
        hosting: Hosting::Own,
    };
    let container = issue(phone, companion.public(), &secret, details, rng);
    adv::accept(&container, &secret, companion, rng).unwrap().identity
}

/// The server's end of the socket, and the devices behind it.
struct Server {
    rng: StdRng,
    reader: ClientFrames,
    stage: Stage,
    outbox: VecDeque<Bytes>,
    devices: BTreeMap<Jid, Party>,
    /// Theirs with us.
    sessions: BTreeMap<Jid, SessionRecord>,
    /// Why companions are believed.
    proofs: BTreeMap<Jid, Bytes>,
    /// How many are in each group besides us.
    members: usize,
    /// Bytes of the last frame that said so.
    described_bytes: usize,
}

enum Stage {
    AwaitHello(Responder),
    AwaitFinish(Box<AwaitFinish>),
    Open(Box<Transport>),
    Moving,
}

impl Server {
    fn new(rng: &mut StdRng) -> (Self, PublicKey) {
        let [root, intermediate, own] = [(); 3].map(|()| KeyPair::generate(rng));
        let validity = Validity {
            not_before: NOW - Duration::from_secs(3_600),
            not_after: NOW + Duration::from_secs(3_600),
        };
        let chain = cert::issue(&root, &intermediate, own.public(), validity, rng);
        let theirs = PEER_DEVICES.map(|device| peer().with_device(device));
        let devices = theirs.into_iter().chain([Jid::new(OWN, Space::User)]);
        let devices: BTreeMap<Jid, Party> = devices.map(|jid| (jid, Party::new(rng))).collect();
        let mut proof = |jid: Jid| {
            let (phone, companion) = (devices[&peer()].own().pair, devices[&jid].own().pair);
            (jid, vouch(phone, companion, rng))
        };
        let companions = PEER_DEVICES.into_iter().filter(|device| *device != 0);
        let server = Self {
            proofs: companions
                .map(|device| proof(peer().with_device(device)))
                .collect(),
            devices,
            sessions: BTreeMap::new(),
            members: 0,
            described_bytes: 0,
            rng: StdRng::seed_from_u64(3),
            reader: ClientFrames::new(1 << 20),
            stage: Stage::AwaitHello(Responder::new(own, chain, Resumption::Refuse)),
            outbox: VecDeque::new(),
        };
        (server, *root.public())
    }

    fn receive(&mut self, bytes: Bytes) {
        self.reader.push(bytes);
        while let Some(frame) = self.reader.next().unwrap() {
            self.stage = match std::mem::replace(&mut self.stage, Stage::Moving) {
                Stage::AwaitHello(responder) => {
                    let hello = responder.read_client_hello(&frame, &mut self.rng).unwrap();
                    let Hello::Full {
                        server_hello,
                        await_finish,
                    } = hello
                    else {
                        unreachable!("a full handshake")
                    };
                    let mut framed = Vec::new();
                    frame::write(&server_hello, &mut framed);
                    self.outbox.push_back(framed.into());
                    Stage::AwaitFinish(await_finish)
                }
                Stage::AwaitFinish(stage) => {
                    Stage::Open(Box::new(stage.read_client_finish(&frame).unwrap().transport))
                }
                Stage::Open(mut transport) => {
                    let node = binary::decode(transport.opener.open(frame).unwrap()).unwrap();
                    self.stage = Stage::Open(transport);
                    self.answer(&node);
                    continue;
                }
                Stage::Moving => unreachable!("stages do not re-enter"),
            };
        }
    }

    fn send(&mut self, node: &Node) {
        let Stage::Open(transport) = &mut self.stage else {
            unreachable!("a channel")
        };
        let mut out = Vec::new();
        frame::write_node(node, &mut transport.sealer, &mut out).unwrap();
        self.outbox.push_back(out.into());
    }

    fn confirm(&mut self, id: MessageId) {
        let ack = MessageAck {
            id,
            from: peer(),
            timestamp: Some(NOW),
            error: None,
            phash: None,
        };
        self.send(&ack.to_node());
    }

    fn answer(&mut self, node: &Node) {
        match node.tag() {
            "iq" => {
                let mut answer = self.result(node);
                answer.set_attr("id", node.attr_str("id").unwrap().into_owned());
                self.send(&answer);
                if node.attr_is("xmlns", "w:g2") {
                    self.described_bytes = self.outbox.back().unwrap().len();
                }
            }
            "message" => self.message(node),
            _ => {}
        }
    }

    fn result(&self, iq: &Node) -> Node {
        if iq.attr_is("xmlns", "w:g2") {
            return self.describe(iq);
        }
        if let Ok(query) = Query::parse(iq) {
            let users = query.subjects.iter().map(user).collect();
            return Answer { users, error: None }.to_node(&query);
        }
        if let Some(asked) = keys::bundles_asked(iq) {
            let bundle = |jid: &Jid| Bundle {
                keys: self.devices[&by_number(jid)].bundle(),
                device_identity: self.proofs.get(jid).cloned(),
            };
            let bundles: Vec<_> = asked
                .into_iter()
                .map(|jid| (jid.clone(), Ok(bundle(&jid))))
                .collect();
            return keys::bundles_response(&bundles);
        }
        Node::new("iq").attr("type", "result").attr("from", Jid::SERVER)
    }

    /// Every device of the first message reads it and answers.
    fn message(&mut self, message: &Node) {
        if let Some(group) = message.attr_jid("to").filter(Jid::is_group) {
            return self.group_message(message, &group);
        }
        self.confirm(message.attr_str("id").unwrap().parse().unwrap());
        for to in message.child("participants").unwrap().nodes() {
            let jid = to.attr_jid("jid").unwrap();
            let ciphertext = to.child("enc").and_then(Node::bytes).unwrap();
            let own = jid.user() == OWN;
            let text = if own {
                own_copy(text_message("Here"))
            } else {
                text_message("Here").encode_to_vec()
            };
            let (session, answer) = self.devices[&jid].answer(&ciphertext, &padded(text), &mut self.rng);
            self.sessions.insert(jid.clone(), session);
            self.say(&jid, answer);
        }
    }

    /// A message of a device leaves for us.
    fn say(&mut self, device: &Jid, sealed: Ciphertext) {
        let own = device.user() == OWN;
        let id = MessageId::generate(NOW.as_secs(), device.user(), &mut self.rng);
        let enc = Node::new("enc").attr("v", "2").attr("type", sealed.kind.as_str());
        let incoming = Node::new("message")
            .attr("id", id.as_str())
            .attr("from", device)
            .attr("type", "text")
            .attr("t", NOW.as_secs())
            .attr_opt("recipient", own.then(peer))
            .with_child(enc.with_bytes(sealed.bytes));
        self.send(&incoming);
    }
}

/// Our own phone is asked for by its hidden id.
fn by_number(jid: &Jid) -> Jid {
    if jid.is_lid() && jid.user() != OWN_LID {
        return jid.clone();
    }
    let user = if jid.is_lid() { OWN } else { jid.user() };
    Jid::new(user, Space::User).with_device(jid.device())
}

fn user(subject: &Subject) -> UserAnswer {
    let (jid, asked) = match subject {
        Subject::Phone(digits) => (Jid::new(digits.clone(), Space::User), Some(digits.clone())),
        Subject::User(jid) => (jid.clone(), None),
    };
    let ids = match jid.user() {
        OWN | OWN_LID => vec![0, OWN_DEVICE],
        PEER => PEER_DEVICES.to_vec(),
        _ => vec![0],
    };
    let listed = |id| ListedDevice {
        id,
        key_index: (id != 0).then_some(1),
        hosted: false,
    };
    UserAnswer {
        jid: Some(jid),
        contact: asked.map(|asked| Contact {
            registered: true,
            asked,
        }),
        devices: Some(Ok(ids.into_iter().map(listed).collect())),
        ..UserAnswer::default()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn three_devices_get_a_message_each() {
        let mut sender = super::Sender::new();
        let (_, bytes) = sender.send();
        assert!(bytes > 3 * super::TEXT.len());
    }
}
