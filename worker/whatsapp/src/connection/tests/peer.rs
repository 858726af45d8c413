//! The server's end of the wire: handshake, frames, and a phone that links devices.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message as _;
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    binary::{self, Node},
    connection::{ClientVersion, Config},
    crypto::Transport,
    device::AdvSecret,
    frame,
    jid::Jid,
    proto::ClientPayload,
    server::adv::{self, DeviceDetails, Hosting},
    server::cert::{self, Validity},
    server::{AwaitFinish, ClientFrames, Hello, Responder, Resumption},
    signal::curve::{KeyPair, PublicKey},
    time::Timestamp,
};

/// When the tests play.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// The keys of a server, which outlive its connections.
#[derive(Clone)]
pub(crate) struct ServerKeys {
    root: KeyPair,
    intermediate: KeyPair,
    server: KeyPair,
}

/// A server's end of one connection.
pub(crate) struct Peer {
    keys: ServerKeys,
    rng: StdRng,
    reader: ClientFrames,
    stage: Stage,
    /// What the client said about itself.
    pub(crate) payload: Option<ClientPayload>,
    /// Its static key.
    pub(crate) client_noise: Option<PublicKey>,
    /// Bytes for the client.
    pub(crate) outbox: VecDeque<Bytes>,
}

enum Stage {
    AwaitHello,
    AwaitFinish(Box<AwaitFinish>),
    Open(Box<Transport>),
    /// Between two stages.
    Moving,
}

impl ServerKeys {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut pair = || KeyPair::generate(&mut rng);
        Self {
            root: pair(),
            intermediate: pair(),
            server: pair(),
        }
    }

    /// Settings of a client that believes this server.
    pub(crate) fn config(&self) -> Config {
        Config {
            root_key: *self.root.public(),
            ..Config::whatsapp(ClientVersion::KNOWN)
        }
    }
}

impl Peer {
    pub(crate) fn new(keys: &ServerKeys) -> Self {
        Self {
            keys: keys.clone(),
            rng: StdRng::seed_from_u64(99),
            reader: ClientFrames::new(1 << 20),
            stage: Stage::AwaitHello,
            payload: None,
            client_noise: None,
            outbox: VecDeque::new(),
        }
    }

    /// Takes what the client wrote; gives the stanzas in it. Panics on anything that is not the protocol.
    pub(crate) fn receive(&mut self, bytes: Bytes) -> Vec<Node> {
        self.reader.push(bytes);
        let mut nodes = Vec::new();
        while let Some(frame) = self.reader.next().unwrap() {
            self.stage = match std::mem::replace(&mut self.stage, Stage::Moving) {
                Stage::AwaitHello => self.hello(&frame),
                Stage::AwaitFinish(stage) => {
                    let accepted = stage.read_client_finish(&frame).unwrap();
                    self.payload = Some(ClientPayload::decode(&accepted.client_payload[..]).unwrap());
                    self.client_noise = Some(accepted.client_static);
                    Stage::Open(Box::new(accepted.transport))
                }
                Stage::Open(mut transport) => {
                    nodes.push(binary::decode(transport.opener.open(frame).unwrap()).unwrap());
                    Stage::Open(transport)
                }
                Stage::Moving => unreachable!("stages do not re-enter"),
            };
        }
        nodes
    }

    /// Queues a stanza for the client.
    pub(crate) fn send(&mut self, node: &Node) {
        let Stage::Open(transport) = &mut self.stage else {
            panic!("no channel yet")
        };
        let mut out = Vec::new();
        frame::write_node(node, &mut transport.sealer, &mut out).unwrap();
        self.outbox.push_back(out.into());
    }

    /// Queues a frame for the client that authenticates, whatever is in it.
    pub(crate) fn send_plaintext(&mut self, plaintext: &[u8]) {
        let Stage::Open(transport) = &mut self.stage else {
            panic!("no channel yet")
        };
        let mut out = Vec::new();
        let write = |buffer: &mut Vec<u8>| buffer.extend_from_slice(plaintext);
        frame::write_sealed(&mut transport.sealer, &mut out, write).unwrap();
        self.outbox.push_back(out.into());
    }

    fn hello(&mut self, hello: &[u8]) -> Stage {
        let validity = Validity {
            not_before: NOW - Duration::from_secs(3_600),
            not_after: NOW + Duration::from_secs(100 * 86_400),
        };
        let keys = &self.keys;
        let chain = cert::issue(
            &keys.root,
            &keys.intermediate,
            keys.server.public(),
            validity,
            &mut self.rng,
        );
        let responder = Responder::new(keys.server.clone(), chain, Resumption::Refuse);
        let Hello::Full {
            server_hello,
            await_finish,
        } = responder.read_client_hello(hello, &mut self.rng).unwrap()
        else {
            panic!("a full handshake")
        };
        let mut framed = Vec::new();
        frame::write(&server_hello, &mut framed);
        self.outbox.push_back(framed.into());
        Stage::AwaitFinish(await_finish)
    }
}

/// An account's phone.
pub(crate) struct Phone {
    pub(crate) identity: KeyPair,
    rng: StdRng,
}

impl Phone {
    pub(crate) fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        Self {
            identity: KeyPair::generate(&mut rng),
            rng,
        }
    }

    /// What the phone vouches with, made from the secret that it scanned or derived.
    pub(crate) fn vouch(&mut self, companion: &PublicKey, secret: &AdvSecret) -> Bytes {
        let details = DeviceDetails {
            raw_id: 5,
            timestamp: NOW.as_secs(),
            key_index: 1,
            hosting: Hosting::Own,
        };
        adv::issue(&self.identity, companion, secret, details, &mut self.rng)
    }

    pub(crate) fn rng(&mut self) -> &mut StdRng {
        &mut self.rng
    }
}

pub(crate) fn own_jid() -> Jid {
    "15551230001:11@s.whatsapp.net".parse().unwrap()
}

pub(crate) fn own_lid() -> Jid {
    "100000000000001:11@lid".parse().unwrap()
}

pub(crate) fn pair_device(refs: &[&str]) -> Node {
    let refs = refs
        .iter()
        .map(|text| Node::new("ref").with_slice(text.as_bytes()));
    server_iq("set", "pair-1")
        .attr("xmlns", "md")
        .with_child(Node::new("pair-device").with_children(refs))
}

pub(crate) fn pair_success(container: Bytes) -> Node {
    let success = Node::new("pair-success")
        .with_child(Node::new("device-identity").with_bytes(container))
        .with_child(Node::new("biz").attr("name", "Ann"))
        .with_child(Node::new("platform").attr("name", "android"))
        .with_child(Node::new("device").attr("jid", own_jid()).attr("lid", own_lid()));
    server_iq("set", "pair-2").attr("xmlns", "md").with_child(success)
}

pub(crate) fn success() -> Node {
    Node::new("success")
        .attr("t", NOW.as_secs())
        .attr("lid", own_lid())
}

pub(crate) fn server_iq(kind: &str, id: &str) -> Node {
    Node::new("iq")
        .attr("from", Jid::SERVER)
        .attr("type", kind)
        .attr("id", id)
}

/// An empty result of a client's question.
pub(crate) fn result_of(request: &Node) -> Node {
    server_iq("result", &request.attr_str("id").unwrap())
}

/// Settings ready to share.
pub(crate) fn shared(config: Config) -> Arc<Config> {
    Arc::new(config)
}
