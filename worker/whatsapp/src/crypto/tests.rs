use bytes::{Bytes, BytesMut};
use prost::Message as _;
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::Value as Json;

use super::cert::{CertError, Link};
use super::transport::TAG_BYTES;
use super::*;
use crate::frame::{self, FrameReader, HEADER};
use crate::proto::{HandshakeMessage, handshake_message};
use crate::server::symmetric::{Pattern, Symmetric};
use crate::server::{Hello, Responder, Resumption};
use crate::signal::curve::{KeyPair, PrivateKey, PublicKey};
use crate::test_vectors::{bytes, bytes32, vector};
use crate::time::Timestamp;

mod independent;

const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);

struct Keys {
    client: KeyPair,
    client_ephemeral: KeyPair,
    server: KeyPair,
    server_ephemeral: KeyPair,
    root: PublicKey,
    chain: Vec<u8>,
    payload: Vec<u8>,
}

/// The keys of the vectors.
fn keys() -> Keys {
    let xx = vector("noise.xx");
    let pair = |name| KeyPair::from_private(PrivateKey::new(bytes32(&xx[name])));
    Keys {
        client: pair("client_static_priv"),
        client_ephemeral: pair("client_ephemeral_priv"),
        server: pair("server_static_priv"),
        server_ephemeral: pair("server_ephemeral_priv"),
        root: PublicKey::new(bytes32(&vector("cert.chain")["root_pub"])),
        chain: bytes(&xx["cert_chain"]),
        payload: bytes(&xx["client_payload"]),
    }
}

impl Keys {
    fn responder(&self, resumption: Resumption) -> Responder {
        Responder::new(self.server.clone(), self.chain.clone(), resumption)
    }

    fn initiator(&self) -> (Initiator, Vec<u8>) {
        Initiator::with_ephemeral(self.client.clone(), self.client_ephemeral.clone())
    }

    fn resumer(&self) -> (Resumer, Vec<u8>) {
        Resumer::with_ephemeral(
            self.client.clone(),
            self.server.public(),
            &self.payload,
            self.client_ephemeral.clone(),
        )
        .unwrap()
    }

    /// The operation that a vector's step names, as the client does it.
    fn step(&self, state: &mut Symmetric, step: &str) -> Option<Vec<u8>> {
        let (operation, what) = step.split_once('(').unwrap();
        let what = what.split(')').next().unwrap();
        let mut sealed = None;
        match (operation, what) {
            ("MixHash", "client ephemeral") => state.mix_hash(self.client_ephemeral.public().as_bytes()),
            ("MixHash", "server ephemeral") => state.mix_hash(self.server_ephemeral.public().as_bytes()),
            ("MixHash", "server static") => state.mix_hash(self.server.public().as_bytes()),
            ("MixKey", tokens) => {
                let own = if tokens.starts_with('e') {
                    &self.client_ephemeral
                } else {
                    &self.client
                };
                let theirs = if tokens.ends_with('e') {
                    &self.server_ephemeral
                } else {
                    &self.server
                };
                state.mix_agreement(own.private(), theirs.public()).unwrap();
            }
            ("EncryptAndHash", "server static") => {
                sealed = Some(state.encrypt_and_hash(self.server.public().as_bytes()));
            }
            ("EncryptAndHash", "client static") => {
                sealed = Some(state.encrypt_and_hash(self.client.public().as_bytes()));
            }
            ("EncryptAndHash", "cert chain") => sealed = Some(state.encrypt_and_hash(&self.chain)),
            ("EncryptAndHash", "client payload") => sealed = Some(state.encrypt_and_hash(&self.payload)),
            other => panic!("unknown step {other:?}"),
        }
        sealed
    }
}

/// Goes through every step of a vector and compares the whole state after each. Gives what was encrypted.
fn run_steps(vector: &Json, pattern: Pattern) -> Vec<Vec<u8>> {
    let keys = keys();
    let mut state = Symmetric::new(pattern);
    let mut sealed = Vec::new();
    for (at, step) in vector["steps"].as_array().unwrap().iter().enumerate() {
        let name = step["after"].as_str().unwrap();
        if at > 0 {
            sealed.extend(keys.step(&mut state, name));
        }
        let (hash, chaining_key, key, counter) = state.parts();
        assert_eq!(hash, &bytes32(&step["h"]), "h after {name}");
        assert_eq!(chaining_key, &bytes32(&step["ck"]), "ck after {name}");
        assert_eq!(
            key,
            &step["k"].as_str().map_or([0; 32], |_| bytes32(&step["k"])),
            "k after {name}"
        );
        assert_eq!(u64::from(counter), step["n"].as_u64().unwrap(), "n after {name}");
    }
    sealed
}

/// Whether a client's channel has the keys of a vector.
fn assert_keys(vector: &Json, mut client: Transport) {
    let (up, down) = (
        bytes32(&vector["key_client_to_server"]),
        bytes32(&vector["key_server_to_client"]),
    );
    assert_channel(&mut client, &mut Transport::new(&down, &up));
}

/// Both directions work, twice.
fn assert_channel(client: &mut Transport, server: &mut Transport) {
    let pass = |from: &mut Transport, to: &mut Transport| {
        let mut frame = vec![7; 40];
        from.seal(&mut frame, 0).unwrap();
        assert_eq!(to.open(BytesMut::from(&frame[..])).unwrap()[..], [7; 40]);
    };
    for _ in 0..2 {
        pass(client, server);
        pass(server, client);
    }
}

#[test]
fn every_step_of_the_handshakes_is_that_of_the_vectors() {
    run_steps(&vector("noise.xx"), Pattern::Xx);
    run_steps(&vector("noise.ik"), Pattern::Ik);
    let fallback = vector("noise.xxfallback");
    let sealed = run_steps(&fallback, Pattern::XxFallback);
    let names = [
        "enc_server_static",
        "enc_cert",
        "enc_client_static",
        "enc_payload",
    ];
    assert_eq!(sealed, names.map(|name| bytes(&fallback[name])));
}

#[test]
fn full_handshake_is_that_of_the_vector_on_both_sides() {
    let (xx, keys) = (vector("noise.xx"), keys());
    assert_eq!(HEADER[..], bytes(&xx["prologue"]));
    let (client, client_hello) = keys.initiator();
    let mut first = frame::connection_header(None);
    frame::write(&client_hello, &mut first);
    assert_eq!(first, bytes(&xx["frame_client_hello"]));

    let responder = keys.responder(Resumption::Accept);
    let hello = responder
        .read_with_ephemeral(&client_hello, keys.server_ephemeral.clone())
        .unwrap();
    let Hello::Full {
        server_hello,
        await_finish,
    } = hello
    else {
        panic!("full handshake")
    };
    assert_eq!(server_hello, bytes(&xx["server_hello"]));

    let verified = client.read_server_hello(&server_hello, &keys.root, NOW).unwrap();
    assert_eq!(verified.server_static(), keys.server.public());
    let (client_finish, mut client) = verified.finish(&keys.payload);
    assert_eq!(client_finish, bytes(&xx["client_finish"]));

    let accepted = await_finish.read_client_finish(&client_finish).unwrap();
    assert_eq!(accepted.client_static, *keys.client.public());
    assert_eq!(accepted.client_payload, keys.payload);
    let mut server = accepted.transport;

    let plaintext = bytes(&xx["transport_plaintext"]);
    let assert_frame = |sealer: &mut Sealer, name: &str| {
        let mut out = Vec::new();
        frame::write_sealed(sealer, &mut out, |out| out.extend_from_slice(&plaintext)).unwrap();
        assert_eq!(out, bytes(&xx[name]), "{name}");
    };
    assert_frame(&mut client.sealer, "frame_up_0");
    assert_frame(&mut client.sealer, "frame_up_1");
    assert_frame(&mut server.sealer, "frame_down_0");
    for name in ["frame_up_0", "frame_up_1"] {
        let mut reader = FrameReader::new(1000);
        reader.push(Bytes::from(bytes(&xx[name])));
        let payload = reader.next().unwrap().unwrap();
        assert_eq!(server.open(payload).unwrap(), plaintext);
    }
}

#[test]
fn channel_keys_are_those_of_the_vectors() {
    let keys = keys();
    let (client, hello) = keys.initiator();
    let hello = keys
        .responder(Resumption::Accept)
        .read_with_ephemeral(&hello, keys.server_ephemeral.clone())
        .unwrap();
    let Hello::Full { server_hello, .. } = hello else {
        panic!("full handshake")
    };
    let (_, transport) = client
        .read_server_hello(&server_hello, &keys.root, NOW)
        .unwrap()
        .finish(&keys.payload);
    assert_keys(&vector("noise.xx"), transport);
}

#[test]
fn resumption_is_that_of_the_vector_on_both_sides() {
    let (ik, keys) = (vector("noise.ik"), keys());
    let (client, client_hello) = keys.resumer();
    assert_eq!(client_hello, bytes(&ik["client_hello"]));
    let responder = keys.responder(Resumption::Accept);
    let hello = responder
        .read_with_ephemeral(&client_hello, keys.server_ephemeral.clone())
        .unwrap();
    let Hello::Resumed {
        server_hello,
        mut accepted,
    } = hello
    else {
        panic!("resumed")
    };
    assert_eq!(server_hello, bytes(&ik["server_hello"]));
    assert_eq!(accepted.client_payload, keys.payload);
    assert_eq!(accepted.client_static, *keys.client.public());
    let resumed = client
        .read_server_hello(&server_hello, keys.server.public(), &keys.root, NOW)
        .unwrap();
    let Resumed::Open(mut transport) = resumed else {
        panic!("open")
    };
    assert_channel(&mut transport, &mut accepted.transport);
    let (client, _) = keys.resumer();
    match client
        .read_server_hello(&server_hello, keys.server.public(), &keys.root, NOW)
        .unwrap()
    {
        Resumed::Open(transport) => assert_keys(&ik, *transport),
        Resumed::Refused(_) => panic!("open"),
    }
}

#[test]
fn refused_resumption_falls_back_to_a_full_handshake() {
    let keys = keys();
    let (client, client_hello) = keys.resumer();
    let responder = keys.responder(Resumption::Refuse);
    let hello = responder
        .read_with_ephemeral(&client_hello, keys.server_ephemeral.clone())
        .unwrap();
    let Hello::Full {
        server_hello,
        await_finish,
    } = hello
    else {
        panic!("fallback")
    };
    let resumed = client
        .read_server_hello(&server_hello, keys.server.public(), &keys.root, NOW)
        .unwrap();
    let Resumed::Refused(verified) = resumed else {
        panic!("refused")
    };
    let (client_finish, transport) = verified.finish(&keys.payload);
    let finish = HandshakeMessage::decode(&client_finish[..])
        .unwrap()
        .client_finish
        .unwrap();
    let fallback = vector("noise.xxfallback");
    assert_eq!(
        finish.r#static.unwrap()[..],
        bytes(&fallback["enc_client_static"])
    );
    assert_eq!(finish.payload.unwrap()[..], bytes(&fallback["enc_payload"]));
    assert_keys(&fallback, transport);
    assert_eq!(
        await_finish
            .read_client_finish(&client_finish)
            .unwrap()
            .client_payload,
        keys.payload
    );
}

#[test]
fn resumption_for_another_server_key_falls_back_too() {
    let mut rng = StdRng::seed_from_u64(1);
    let keys = keys();
    let old = KeyPair::generate(&mut rng);
    let (_, client_hello) = Resumer::start(keys.client.clone(), old.public(), b"payload", &mut rng).unwrap();
    let hello = keys
        .responder(Resumption::Accept)
        .read_client_hello(&client_hello, &mut rng)
        .unwrap();
    assert!(matches!(hello, Hello::Full { .. }));
}

fn server_hello() -> (Keys, Initiator, handshake_message::ServerHello) {
    let keys = keys();
    let (client, client_hello) = keys.initiator();
    let hello = keys
        .responder(Resumption::Accept)
        .read_with_ephemeral(&client_hello, keys.server_ephemeral.clone());
    let Ok(Hello::Full { server_hello, .. }) = hello else {
        panic!("full handshake")
    };
    let parsed = HandshakeMessage::decode(&server_hello[..])
        .unwrap()
        .server_hello
        .unwrap();
    (keys, client, parsed)
}

fn read_altered(alter: impl FnOnce(&mut handshake_message::ServerHello)) -> HandshakeError {
    let (keys, client, mut hello) = server_hello();
    alter(&mut hello);
    let bytes = HandshakeMessage {
        server_hello: Some(hello),
        ..Default::default()
    }
    .encode_to_vec();
    client
        .read_server_hello(&bytes, &keys.root, NOW)
        .err()
        .expect("altered hello is refused")
}

fn flip(field: &mut Option<Bytes>) {
    let mut bytes = field.take().unwrap().to_vec();
    bytes[0] ^= 1;
    *field = Some(bytes.into());
}

#[test]
fn altered_server_hello_is_refused() {
    assert!(matches!(
        read_altered(|hello| flip(&mut hello.r#static)),
        HandshakeError::Undecryptable(_)
    ));
    assert!(matches!(
        read_altered(|hello| flip(&mut hello.payload)),
        HandshakeError::Undecryptable(_)
    ));
    assert!(matches!(
        read_altered(|hello| flip(&mut hello.ephemeral)),
        HandshakeError::Undecryptable(_)
    ));
    assert!(matches!(
        read_altered(|hello| hello.r#static = None),
        HandshakeError::Malformed(_)
    ));
    assert!(matches!(
        read_altered(|hello| hello.payload = None),
        HandshakeError::Malformed(_)
    ));
    assert!(matches!(
        read_altered(|hello| hello.ephemeral = None),
        HandshakeError::Malformed(_)
    ));
    let zero = Bytes::from_static(&[0; 32]);
    assert_eq!(
        read_altered(|hello| hello.ephemeral = Some(zero)),
        HandshakeError::BadKey
    );
}

#[test]
fn messages_of_the_wrong_kind_are_refused() {
    let keys = keys();
    let (client, client_hello) = keys.initiator();
    let error = client.read_server_hello(&client_hello, &keys.root, NOW).err();
    assert_eq!(error, Some(HandshakeError::Malformed("no server hello")));
    let (client, _) = keys.initiator();
    let error = client.read_server_hello(b"\xff\xff", &keys.root, NOW).err();
    assert_eq!(error, Some(HandshakeError::Malformed("no handshake message")));
    let mut rng = StdRng::seed_from_u64(1);
    assert!(
        keys.responder(Resumption::Accept)
            .read_client_hello(b"", &mut rng)
            .is_err()
    );
}

#[test]
fn server_under_another_root_is_refused() {
    let (_, client, hello) = server_hello();
    let bytes = HandshakeMessage {
        server_hello: Some(hello),
        ..Default::default()
    }
    .encode_to_vec();
    let stranger = KeyPair::generate(&mut StdRng::seed_from_u64(1));
    let error = client.read_server_hello(&bytes, stranger.public(), NOW).err();
    assert_eq!(
        error,
        Some(HandshakeError::Certificate(CertError::BadSignature(
            Link::Intermediate
        )))
    );
}

#[test]
fn resumed_server_with_an_expired_certificate_is_refused() {
    let keys = keys();
    let (client, client_hello) = keys.resumer();
    let hello = keys
        .responder(Resumption::Accept)
        .read_with_ephemeral(&client_hello, keys.server_ephemeral.clone());
    let Ok(Hello::Resumed { server_hello, .. }) = hello else {
        panic!("resumed")
    };
    let late = Timestamp::from_secs(4_000_000_000);
    let error = client
        .read_server_hello(&server_hello, keys.server.public(), &keys.root, late)
        .err();
    assert_eq!(
        error,
        Some(HandshakeError::Certificate(CertError::Expired(
            Link::Intermediate
        )))
    );
}

#[test]
fn altered_replayed_and_reordered_frames_do_not_open() {
    let (mut client, mut server) = (
        Transport::new(&[1; 32], &[2; 32]),
        Transport::new(&[2; 32], &[1; 32]),
    );
    let mut seal = |text: &[u8]| {
        let mut out = text.to_vec();
        client.seal(&mut out, 0).unwrap();
        out
    };
    let (first, second) = (seal(b"first"), seal(b"second"));
    let mut open = |bytes: &[u8]| server.open(BytesMut::from(bytes));
    assert_eq!(open(&second), Err(NoiseError::Undecryptable));
    let mut altered = first.clone();
    altered[0] ^= 1;
    assert_eq!(open(&altered), Err(NoiseError::Undecryptable));
    assert_eq!(open(&first[..first.len() - 1]), Err(NoiseError::Undecryptable));
    assert_eq!(open(b"short"), Err(NoiseError::Undecryptable));
    assert_eq!(open(&first).unwrap()[..], b"first"[..]);
    assert_eq!(open(&first), Err(NoiseError::Undecryptable));
    assert_eq!(open(&second).unwrap()[..], b"second"[..]);
}

#[test]
fn payload_that_fits_no_frame_is_refused_and_leaves_nothing() {
    let mut transport = Transport::new(&[1; 32], &[2; 32]);
    let mut out = b"before".to_vec();
    let large = vec![0; frame::MAX_PAYLOAD_BYTES - TAG_BYTES + 1];
    let result = frame::write_sealed(&mut transport.sealer, &mut out, |out| {
        out.extend_from_slice(&large)
    });
    assert_eq!(result, Err(NoiseError::TooLarge(frame::MAX_PAYLOAD_BYTES + 1)));
    assert_eq!(out, b"before");
    frame::write_sealed(&mut transport.sealer, &mut out, |out| {
        out.extend_from_slice(&large[1..])
    })
    .unwrap();
}
