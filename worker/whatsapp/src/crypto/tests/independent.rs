//! Our handshakes with those of an independent implementation.

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use rand::{SeedableRng as _, rngs::StdRng};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{BoxedCryptoResolver, CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};

use super::super::Initiator;
use super::{NOW, keys};
use crate::frame::HEADER;
use crate::proto::{HandshakeMessage, handshake_message};
use crate::server::{Hello, Resumption};
use crate::signal::curve::KeyPair;

/// SHA-256 that leaves the transcript hash as it is when nothing is mixed in: the one difference of
/// WhatsApp's XX.
#[derive(Default)]
struct SkipsEmpty {
    inputs: Vec<Vec<u8>>,
}

impl Hash for SkipsEmpty {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.inputs.clear();
    }

    fn input(&mut self, data: &[u8]) {
        self.inputs.push(data.to_vec());
    }

    fn result(&mut self, out: &mut [u8]) {
        use sha2::{Digest as _, Sha256};
        match &self.inputs[..] {
            [hash, nothing] if hash.len() == 32 && nothing.is_empty() => out[..32].copy_from_slice(hash),
            inputs => out[..32].copy_from_slice(&Sha256::digest(inputs.concat())),
        }
    }
}

struct Resolver(DefaultResolver);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        self.0.resolve_rng()
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        self.0.resolve_dh(choice)
    }

    fn resolve_hash(&self, _: &HashChoice) -> Option<Box<dyn Hash>> {
        Some(Box::new(SkipsEmpty::default()))
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        self.0.resolve_cipher(choice)
    }
}

fn snow_builder<'a>(pattern: &str, static_keys: &'a KeyPair) -> snow::Builder<'a> {
    let params = format!("Noise_{pattern}_25519_AESGCM_SHA256").parse().unwrap();
    let builder = if pattern == "XX" {
        let resolver: BoxedCryptoResolver = Box::new(Resolver(DefaultResolver));
        snow::Builder::with_resolver(params, resolver)
    } else {
        snow::Builder::new(params)
    };
    builder
        .prologue(&HEADER)
        .unwrap()
        .local_private_key(static_keys.private().as_bytes())
        .unwrap()
}

/// What an independent implementation's message looks like as parts: ephemeral key, encrypted static key if
/// there, payload.
fn parts(message: &[u8], has_static: bool) -> (Bytes, Option<Bytes>, Bytes) {
    let mut rest = Bytes::copy_from_slice(message);
    let ephemeral = rest.split_to(32);
    let sealed_key = has_static.then(|| rest.split_to(48));
    (ephemeral, sealed_key, rest)
}

#[test]
fn independent_initiator_resumes_with_our_responder() {
    let keys = keys();
    let mut theirs = snow_builder("IK", &keys.client)
        .remote_public_key(keys.server.public().as_bytes())
        .unwrap()
        .build_initiator()
        .unwrap();
    let mut buffer = [0; 1000];
    let len = theirs.write_message(b"payload", &mut buffer).unwrap();
    let (ephemeral, r#static, payload) = parts(&buffer[..len], true);
    let hello = handshake_message::ClientHello {
        ephemeral: Some(ephemeral),
        r#static,
        payload: Some(payload),
        ..Default::default()
    };
    let hello = HandshakeMessage {
        client_hello: Some(hello),
        ..Default::default()
    }
    .encode_to_vec();
    let mut rng = StdRng::seed_from_u64(1);
    let answer = keys
        .responder(Resumption::Accept)
        .read_client_hello(&hello, &mut rng)
        .unwrap();
    let Hello::Resumed {
        server_hello,
        mut accepted,
    } = answer
    else {
        panic!("resumed")
    };
    assert_eq!(accepted.client_payload, b"payload");
    let hello = HandshakeMessage::decode(&server_hello[..])
        .unwrap()
        .server_hello
        .unwrap();
    let message = [&hello.ephemeral.unwrap()[..], &hello.payload.unwrap()].concat();
    let len = theirs.read_message(&message, &mut buffer).unwrap();
    assert_eq!(buffer[..len], keys.chain);
    let mut theirs = theirs.into_transport_mode().unwrap();
    let len = theirs.write_message(b"up", &mut buffer).unwrap();
    assert_eq!(
        accepted.transport.open(BytesMut::from(&buffer[..len])).unwrap()[..],
        b"up"[..]
    );
    let mut down = b"down".to_vec();
    accepted.transport.seal(&mut down, 0).unwrap();
    let len = theirs.read_message(&down, &mut buffer).unwrap();
    assert_eq!(buffer[..len], b"down"[..]);
}

#[test]
fn independent_responder_takes_our_full_handshake() {
    let keys = keys();
    let mut theirs = snow_builder("XX", &keys.server).build_responder().unwrap();
    let (client, client_hello) = Initiator::start(keys.client.clone(), &mut StdRng::seed_from_u64(1));
    let hello = HandshakeMessage::decode(&client_hello[..])
        .unwrap()
        .client_hello
        .unwrap();
    let mut buffer = [0; 1000];
    assert_eq!(theirs.read_message(&hello.ephemeral.unwrap(), &mut buffer), Ok(0));
    let len = theirs.write_message(&keys.chain, &mut buffer).unwrap();
    let (ephemeral, r#static, payload) = parts(&buffer[..len], true);
    let hello = handshake_message::ServerHello {
        ephemeral: Some(ephemeral),
        r#static,
        payload: Some(payload),
        ..Default::default()
    };
    let hello = HandshakeMessage {
        server_hello: Some(hello),
        ..Default::default()
    }
    .encode_to_vec();
    let (finish, mut transport) = client
        .read_server_hello(&hello, &keys.root, NOW)
        .unwrap()
        .finish(b"payload");
    let finish = HandshakeMessage::decode(&finish[..])
        .unwrap()
        .client_finish
        .unwrap();
    let message = [&finish.r#static.unwrap()[..], &finish.payload.unwrap()].concat();
    let len = theirs.read_message(&message, &mut buffer).unwrap();
    assert_eq!(buffer[..len], b"payload"[..]);
    assert_eq!(
        theirs.get_remote_static().unwrap(),
        keys.client.public().as_bytes()
    );
    let mut theirs = theirs.into_transport_mode().unwrap();
    let mut up = b"up".to_vec();
    transport.seal(&mut up, 0).unwrap();
    let len = theirs.read_message(&up, &mut buffer).unwrap();
    assert_eq!(buffer[..len], b"up"[..]);
    let len = theirs.write_message(b"down", &mut buffer).unwrap();
    assert_eq!(
        transport.open(BytesMut::from(&buffer[..len])).unwrap()[..],
        b"down"[..]
    );
}
