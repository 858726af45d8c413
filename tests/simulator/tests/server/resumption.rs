//! A client that resumes (Noise IK), as others do: it knows the server's key and says who it is in its first message.

use prost::Message as _;
use rand::rngs::StdRng;
use whatsapp::crypto::Transport;
use whatsapp::proto::{HandshakeMessage, handshake_message as message};
use whatsapp::server::{Pattern, Symmetric};
use whatsapp::signal::curve::{KeyPair, PublicKey};

/// It has sent its hello and waits for the server's.
pub(crate) struct Resumer<'a> {
    keys: &'a KeyPair,
    ephemeral: KeyPair,
    state: Symmetric,
}

impl<'a> Resumer<'a> {
    /// Begins; also gives the payload of the first frame.
    pub(crate) fn start(
        keys: &'a KeyPair,
        server: &PublicKey,
        payload: &[u8],
        rng: &mut StdRng,
    ) -> (Self, Vec<u8>) {
        let ephemeral = KeyPair::generate(rng);
        let mut state = Symmetric::new(Pattern::Ik);
        state.mix_hash(server.as_bytes());
        state.mix_hash(ephemeral.public().as_bytes());
        state.mix_agreement(ephemeral.private(), server).unwrap();
        let sealed_key = state.encrypt_and_hash(keys.public().as_bytes());
        state.mix_agreement(keys.private(), server).unwrap();
        let sealed_payload = state.encrypt_and_hash(payload);
        let hello = message::ClientHello {
            ephemeral: Some(ephemeral.public().to_bytes().to_vec().into()),
            r#static: Some(sealed_key.into()),
            payload: Some(sealed_payload.into()),
            ..Default::default()
        };
        let hello = HandshakeMessage {
            client_hello: Some(hello),
            ..Default::default()
        };
        let resumer = Self {
            keys,
            ephemeral,
            state,
        };
        (resumer, hello.encode_to_vec())
    }

    /// The channel; with the payload of one more frame if the server made it a full handshake.
    pub(crate) fn finish(mut self, server_hello: &[u8], payload: &[u8]) -> (Transport, Option<Vec<u8>>) {
        let hello = HandshakeMessage::decode(server_hello)
            .unwrap()
            .server_hello
            .unwrap();
        let server_ephemeral = PublicKey::parse(&hello.ephemeral.unwrap()).unwrap();
        let (chain, own) = (hello.payload.unwrap(), self.ephemeral.private());
        let Some(sealed_static) = hello.r#static else {
            self.state.mix_hash(server_ephemeral.as_bytes());
            self.state.mix_agreement(own, &server_ephemeral).unwrap();
            self.state
                .mix_agreement(self.keys.private(), &server_ephemeral)
                .unwrap();
            self.state.decrypt_and_hash(&chain, "chain").unwrap();
            return (self.state.split_initiator(), None);
        };
        let mut state = Symmetric::new(Pattern::XxFallback);
        state.mix_hash(self.ephemeral.public().as_bytes());
        state.mix_hash(server_ephemeral.as_bytes());
        state.mix_agreement(own, &server_ephemeral).unwrap();
        let server_static = state.decrypt_key(&sealed_static, "key").unwrap();
        state.mix_agreement(own, &server_static).unwrap();
        state.decrypt_and_hash(&chain, "chain").unwrap();
        let sealed_key = state.encrypt_and_hash(self.keys.public().as_bytes());
        state
            .mix_agreement(self.keys.private(), &server_ephemeral)
            .unwrap();
        let finish = message::ClientFinish {
            r#static: Some(sealed_key.into()),
            payload: Some(state.encrypt_and_hash(payload).into()),
            ..Default::default()
        };
        let finish = HandshakeMessage {
            client_finish: Some(finish),
            ..Default::default()
        };
        (state.split_initiator(), Some(finish.encode_to_vec()))
    }
}
