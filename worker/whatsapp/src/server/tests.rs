use bytes::{Bytes, BytesMut};
use prost::Message as _;
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::Value as Json;

use super::responder::{AwaitFinish, Hello, Responder, Resumption};
use super::symmetric::{Pattern, Symmetric};
use crate::crypto::cert::{CertError, Link};
use crate::crypto::primitives::Primitives;
use crate::crypto::{HandshakeError, Initiator, Sealer, Transport};
use crate::frame::{self, FrameReader, HEADER};
use crate::proto::{HandshakeMessage, handshake_message};
use crate::signal::curve::{KeyPair, PrivateKey, PublicKey};
use crate::testing::{bytes, bytes32, vector};
use crate::time::Timestamp;

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
        Initiator::with_ephemeral(self.client.clone(), self.client_ephemeral.private().clone())
    }

    fn finish(&self, client: Initiator, server_hello: &[u8]) -> Result<(Vec<u8>, Transport), HandshakeError> {
        client.finish(server_hello, &self.root, NOW, &self.payload)
    }

    /// The server's answer to a client's hello that begins a full handshake.
    fn answer_full(&self, client_hello: &[u8], resumption: Resumption) -> (Vec<u8>, Box<AwaitFinish>) {
        let hello = self
            .responder(resumption)
            .read_with_ephemeral(client_hello, self.server_ephemeral.clone());
        match hello.unwrap() {
            Hello::Full {
                server_hello,
                await_finish,
            } => (server_hello, await_finish),
            Hello::Resumed { .. } => panic!("a full handshake"),
        }
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
        from.sealer.seal(&mut frame, 0).unwrap();
        assert_eq!(to.opener.open(BytesMut::from(&frame[..])).unwrap()[..], [7; 40]);
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

    let (server_hello, await_finish) = keys.answer_full(&client_hello, Resumption::Accept);
    assert_eq!(server_hello, bytes(&xx["server_hello"]));

    let (client_finish, mut client) = keys.finish(client, &server_hello).unwrap();
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
        assert_eq!(server.opener.open(payload).unwrap(), plaintext);
    }
}

#[test]
fn channel_keys_are_those_of_the_vectors() {
    let keys = keys();
    let (client, hello) = keys.initiator();
    let (server_hello, _) = keys.answer_full(&hello, Resumption::Accept);
    let (_, transport) = keys.finish(client, &server_hello).unwrap();
    assert_keys(&vector("noise.xx"), transport);
}

/// A client that resumes, as ours does not: Noise IK as the specification has it.
fn resuming(keys: &Keys) -> snow::HandshakeState {
    let primitives = Primitives {
        static_keys: keys.client.clone(),
        ephemeral: keys.client_ephemeral.private().clone(),
    };
    let pattern = "Noise_IK_25519_AESGCM_SHA256".parse().unwrap();
    snow::Builder::with_resolver(pattern, Box::new(primitives))
        .prologue(&HEADER)
        .unwrap()
        .local_private_key(keys.client.private().as_bytes())
        .unwrap()
        .remote_public_key(keys.server.public().as_bytes())
        .unwrap()
        .build_initiator()
        .unwrap()
}

#[test]
fn resumption_is_that_of_the_vector_on_both_sides() {
    let (ik, keys) = (vector("noise.ik"), keys());
    let (mut client, mut buffer) = (resuming(&keys), [0; 1000]);
    let len = client.write_message(&keys.payload, &mut buffer).unwrap();
    let mut parts = Bytes::copy_from_slice(&buffer[..len]);
    let hello = handshake_message::ClientHello {
        ephemeral: Some(parts.split_to(32)),
        r#static: Some(parts.split_to(48)),
        payload: Some(parts),
        ..Default::default()
    };
    let client_hello = HandshakeMessage {
        client_hello: Some(hello),
        ..Default::default()
    }
    .encode_to_vec();
    assert_eq!(client_hello, bytes(&ik["client_hello"]));

    let responder = keys.responder(Resumption::Accept);
    let hello = responder.read_with_ephemeral(&client_hello, keys.server_ephemeral.clone());
    let Ok(Hello::Resumed {
        server_hello,
        mut accepted,
    }) = hello
    else {
        panic!("resumed")
    };
    assert_eq!(server_hello, bytes(&ik["server_hello"]));
    assert_eq!(accepted.client_payload, keys.payload);
    assert_eq!(accepted.client_static, *keys.client.public());

    let hello = HandshakeMessage::decode(&server_hello[..])
        .unwrap()
        .server_hello
        .unwrap();
    let message = [&hello.ephemeral.unwrap()[..], &hello.payload.unwrap()].concat();
    let len = client.read_message(&message, &mut buffer).unwrap();
    assert_eq!(buffer[..len], keys.chain);
    let (up, down) = client.dangerously_get_raw_split();
    assert_channel(&mut Transport::new(&up, &down), &mut accepted.transport);
    assert_keys(&ik, Transport::new(&up, &down));
}

#[test]
fn refused_resumption_falls_back_to_a_full_handshake() {
    let (fallback, keys) = (vector("noise.xxfallback"), keys());
    let client_hello = bytes(&vector("noise.ik")["client_hello"]);
    let (server_hello, await_finish) = keys.answer_full(&client_hello, Resumption::Refuse);
    let hello = HandshakeMessage::decode(&server_hello[..])
        .unwrap()
        .server_hello
        .unwrap();
    assert_eq!(hello.r#static.unwrap()[..], bytes(&fallback["enc_server_static"]));
    assert_eq!(hello.payload.unwrap()[..], bytes(&fallback["enc_cert"]));
    let finish = handshake_message::ClientFinish {
        r#static: Some(bytes(&fallback["enc_client_static"]).into()),
        payload: Some(bytes(&fallback["enc_payload"]).into()),
        ..Default::default()
    };
    let finish = HandshakeMessage {
        client_finish: Some(finish),
        ..Default::default()
    };
    let accepted = await_finish.read_client_finish(&finish.encode_to_vec()).unwrap();
    assert_eq!(accepted.client_payload, keys.payload);
    assert_eq!(accepted.client_static, *keys.client.public());
    let (up, down) = (
        bytes32(&fallback["key_client_to_server"]),
        bytes32(&fallback["key_server_to_client"]),
    );
    let mut server = accepted.transport;
    assert_channel(&mut Transport::new(&up, &down), &mut server);
}

#[test]
fn resumption_for_another_server_key_falls_back_too() {
    let mut keys = keys();
    let client_hello = bytes(&vector("noise.ik")["client_hello"]);
    keys.server = KeyPair::generate(&mut StdRng::seed_from_u64(1));
    keys.answer_full(&client_hello, Resumption::Accept);
}

fn server_hello() -> (Keys, Initiator, handshake_message::ServerHello) {
    let keys = keys();
    let (client, client_hello) = keys.initiator();
    let (server_hello, _) = keys.answer_full(&client_hello, Resumption::Accept);
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
    keys.finish(client, &bytes).expect_err("altered hello is refused")
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
    // A byte moved from one part to the next leaves the message as Noise sees it as it was.
    assert!(matches!(
        read_altered(|hello| {
            let key = hello.r#static.take().unwrap();
            let chain = hello.payload.take().unwrap();
            hello.payload = Some([&key[47..], &chain].concat().into());
            hello.r#static = Some(key.slice(..47));
        }),
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
    let error = keys.finish(client, &client_hello).err();
    assert_eq!(error, Some(HandshakeError::Malformed("no server hello")));
    let (client, _) = keys.initiator();
    let error = keys.finish(client, b"\xff\xff").err();
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
    let error = client.finish(&bytes, stranger.public(), NOW, b"payload").err();
    assert_eq!(
        error,
        Some(HandshakeError::Certificate(CertError::BadSignature(
            Link::Intermediate
        )))
    );
}

#[test]
fn server_with_an_expired_certificate_is_refused() {
    let (keys, client, hello) = server_hello();
    let bytes = HandshakeMessage {
        server_hello: Some(hello),
        ..Default::default()
    }
    .encode_to_vec();
    let late = Timestamp::from_secs(4_000_000_000);
    let error = client.finish(&bytes, &keys.root, late, b"payload").err();
    assert_eq!(
        error,
        Some(HandshakeError::Certificate(CertError::Expired(
            Link::Intermediate
        )))
    );
}
