//! The client's side of the handshake.

use prost::Message as _;
use rand::CryptoRng;

use super::cert;
use super::error::HandshakeError;
use super::transport::Transport;
use crate::proto::{HandshakeMessage, handshake_message as message};
use crate::server::symmetric::{Pattern, Symmetric, public_key};
use crate::signal::curve::{KeyPair, PublicKey};
use crate::time::Timestamp;

/// A client that has sent its hello (XX) and waits for the server's.
pub struct Initiator {
    state: Symmetric,
    static_keys: KeyPair,
    ephemeral: KeyPair,
}

impl Initiator {
    /// Begins; also gives the payload of the first frame.
    pub fn start<R: CryptoRng + ?Sized>(static_keys: KeyPair, rng: &mut R) -> (Self, Vec<u8>) {
        Self::with_ephemeral(static_keys, KeyPair::generate(rng))
    }

    pub(super) fn with_ephemeral(static_keys: KeyPair, ephemeral: KeyPair) -> (Self, Vec<u8>) {
        let hello = message::ClientHello {
            ephemeral: Some(ephemeral.public().to_bytes().to_vec().into()),
            ..Default::default()
        };
        (
            Self::after_hello(Pattern::Xx, static_keys, ephemeral),
            encode_hello(hello),
        )
    }

    fn after_hello(pattern: Pattern, static_keys: KeyPair, ephemeral: KeyPair) -> Self {
        let mut state = Symmetric::new(pattern);
        state.mix_hash(ephemeral.public().as_bytes());
        Self {
            state,
            static_keys,
            ephemeral,
        }
    }

    /// Takes the server's hello and checks that its key is certified under `root` at the time `now`.
    ///
    /// # Errors
    /// If the message is broken, or the server is not who it should be.
    pub fn read_server_hello(
        self,
        server_hello: &[u8],
        root: &PublicKey,
        now: Timestamp,
    ) -> Result<Verified, HandshakeError> {
        self.read_parsed(&parse_server_hello(server_hello)?, root, now)
    }

    fn read_parsed(
        mut self,
        hello: &message::ServerHello,
        root: &PublicKey,
        now: Timestamp,
    ) -> Result<Verified, HandshakeError> {
        let server_ephemeral = public_key(hello.ephemeral.as_deref(), "server ephemeral key")?;
        let sealed_static = hello
            .r#static
            .as_deref()
            .ok_or(HandshakeError::Malformed("no server static key"))?;
        let sealed_chain = hello
            .payload
            .as_deref()
            .ok_or(HandshakeError::Malformed("no certificate"))?;
        self.state.mix_hash(server_ephemeral.as_bytes());
        self.state
            .mix_agreement(self.ephemeral.private(), &server_ephemeral)?;
        let server_static = self.state.decrypt_key(sealed_static, "server static key")?;
        self.state
            .mix_agreement(self.ephemeral.private(), &server_static)?;
        let chain = self.state.decrypt_and_hash(sealed_chain, "certificate")?;
        cert::verify(&chain, root, &server_static, now)?;
        let sealed_key = self.state.encrypt_and_hash(self.static_keys.public().as_bytes());
        self.state
            .mix_agreement(self.static_keys.private(), &server_ephemeral)?;
        Ok(Verified {
            state: self.state,
            sealed_key,
            server_static,
        })
    }
}

/// The server has proved who it is; what is left is to say who we are.
pub struct Verified {
    state: Symmetric,
    /// Our static key as it goes into the last message.
    sealed_key: Vec<u8>,
    server_static: PublicKey,
}

impl Verified {
    /// The server's static key, with which a later connection can resume.
    #[must_use]
    pub const fn server_static(&self) -> &PublicKey {
        &self.server_static
    }

    /// Ends the handshake: the payload of the second frame, which carries the encoded `ClientPayload`, and
    /// the channel.
    #[must_use]
    pub fn finish(mut self, client_payload: &[u8]) -> (Vec<u8>, Transport) {
        let payload = self.state.encrypt_and_hash(client_payload);
        let finish = message::ClientFinish {
            r#static: Some(self.sealed_key.into()),
            payload: Some(payload.into()),
            ..Default::default()
        };
        let bytes = HandshakeMessage {
            client_finish: Some(finish),
            ..Default::default()
        }
        .encode_to_vec();
        (bytes, self.state.split_initiator())
    }
}

/// A client that resumes (IK): it knows the server's static key and has sent its payload in the first
/// message.
pub struct Resumer {
    state: Symmetric,
    static_keys: KeyPair,
    ephemeral: KeyPair,
}

/// What a server made of a resumption.
pub enum Resumed {
    /// Accepted; nothing more is sent.
    Open(Box<Transport>),
    /// Refused: the payload of the first message is lost and goes into [`Verified::finish`].
    Refused(Box<Verified>),
}

impl Resumer {
    /// Begins; also gives the payload of the first frame.
    ///
    /// # Errors
    /// If the server's key can't be used.
    pub fn start<R: CryptoRng + ?Sized>(
        static_keys: KeyPair,
        server_static: &PublicKey,
        client_payload: &[u8],
        rng: &mut R,
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        Self::with_ephemeral(static_keys, server_static, client_payload, KeyPair::generate(rng))
    }

    pub(super) fn with_ephemeral(
        static_keys: KeyPair,
        server_static: &PublicKey,
        client_payload: &[u8],
        ephemeral: KeyPair,
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        let mut state = Symmetric::new(Pattern::Ik);
        state.mix_hash(server_static.as_bytes());
        state.mix_hash(ephemeral.public().as_bytes());
        state.mix_agreement(ephemeral.private(), server_static)?;
        let sealed_key = state.encrypt_and_hash(static_keys.public().as_bytes());
        state.mix_agreement(static_keys.private(), server_static)?;
        let payload = state.encrypt_and_hash(client_payload);
        let hello = message::ClientHello {
            ephemeral: Some(ephemeral.public().to_bytes().to_vec().into()),
            r#static: Some(sealed_key.into()),
            payload: Some(payload.into()),
            ..Default::default()
        };
        Ok((
            Self {
                state,
                static_keys,
                ephemeral,
            },
            encode_hello(hello),
        ))
    }

    /// Takes the server's hello. The certificate is checked in both cases.
    ///
    /// # Errors
    /// If the message is broken, or the server is not who it should be.
    pub fn read_server_hello(
        mut self,
        server_hello: &[u8],
        server_static: &PublicKey,
        root: &PublicKey,
        now: Timestamp,
    ) -> Result<Resumed, HandshakeError> {
        let hello = parse_server_hello(server_hello)?;
        if hello.r#static.is_some() {
            let fallback = Initiator::after_hello(Pattern::XxFallback, self.static_keys, self.ephemeral);
            return Ok(Resumed::Refused(Box::new(
                fallback.read_parsed(&hello, root, now)?,
            )));
        }
        let server_ephemeral = public_key(hello.ephemeral.as_deref(), "server ephemeral key")?;
        let sealed_chain = hello
            .payload
            .as_deref()
            .ok_or(HandshakeError::Malformed("no certificate"))?;
        self.state.mix_hash(server_ephemeral.as_bytes());
        self.state
            .mix_agreement(self.ephemeral.private(), &server_ephemeral)?;
        self.state
            .mix_agreement(self.static_keys.private(), &server_ephemeral)?;
        let chain = self.state.decrypt_and_hash(sealed_chain, "certificate")?;
        cert::verify(&chain, root, server_static, now)?;
        Ok(Resumed::Open(Box::new(self.state.split_initiator())))
    }
}

fn encode_hello(hello: message::ClientHello) -> Vec<u8> {
    HandshakeMessage {
        client_hello: Some(hello),
        ..Default::default()
    }
    .encode_to_vec()
}

fn parse_server_hello(bytes: &[u8]) -> Result<message::ServerHello, HandshakeError> {
    HandshakeMessage::decode(bytes)
        .map_err(|_| HandshakeError::Malformed("no handshake message"))?
        .server_hello
        .ok_or(HandshakeError::Malformed("no server hello"))
}
