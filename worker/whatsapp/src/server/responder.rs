//! The server's side of the handshake, for the simulator: takes XX, resumes with IK, and falls back.

use prost::Message as _;
use rand::CryptoRng;

use super::symmetric::{Pattern, Symmetric, public_key};
use crate::crypto::{HandshakeError, Transport};
use crate::proto::{HandshakeMessage, handshake_message as message};
use crate::signal::curve::{KeyPair, PublicKey};

/// What to do with clients that resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// Take them.
    Accept,
    /// Make them fall back to a full handshake.
    Refuse,
}

/// A server that waits for a client's hello.
pub struct Responder {
    static_keys: KeyPair,
    chain: Vec<u8>,
    resumption: Resumption,
}

/// A client's hello has been answered.
pub enum Hello {
    /// A full handshake: send `server_hello`, then wait for the client's last message.
    Full {
        /// Payload of the server's first frame.
        server_hello: Vec<u8>,
        /// Boxed: it holds keys and is moved between tasks.
        await_finish: Box<AwaitFinish>,
    },
    /// A resumed one: send `server_hello`, and the channel is open.
    Resumed {
        /// Payload of the server's first frame.
        server_hello: Vec<u8>,
        /// The client and its channel.
        accepted: Box<Accepted>,
    },
}

/// A server that has sent its hello and waits for the client's last message.
pub struct AwaitFinish {
    state: Symmetric,
    ephemeral: KeyPair,
}

/// A client that proved its static key.
pub struct Accepted {
    /// Its static key.
    pub client_static: PublicKey,
    /// The encoded `ClientPayload`.
    pub client_payload: Vec<u8>,
    /// The channel.
    pub transport: Transport,
}

impl Responder {
    /// A server with this static key and the certificate chain for it ([`crate::server::cert::issue`]).
    #[must_use]
    pub const fn new(static_keys: KeyPair, chain: Vec<u8>, resumption: Resumption) -> Self {
        Self {
            static_keys,
            chain,
            resumption,
        }
    }

    /// Takes the payload of the client's first frame. A resumption that is refused, or was made for another
    /// server key, is answered with a fallback; its payload comes again with the last message.
    ///
    /// # Errors
    /// If the message is broken.
    pub fn read_client_hello<R: CryptoRng + ?Sized>(
        self,
        client_hello: &[u8],
        rng: &mut R,
    ) -> Result<Hello, HandshakeError> {
        self.read_with_ephemeral(client_hello, KeyPair::generate(rng))
    }

    pub(crate) fn read_with_ephemeral(
        self,
        bytes: &[u8],
        ephemeral: KeyPair,
    ) -> Result<Hello, HandshakeError> {
        let hello = parse(bytes)?
            .client_hello
            .ok_or(HandshakeError::Malformed("no client hello"))?;
        let client_ephemeral = public_key(hello.ephemeral.as_deref(), "client ephemeral key")?;
        let (Some(sealed_key), Some(sealed_payload)) = (&hello.r#static, &hello.payload) else {
            return self.answer_full(Pattern::Xx, &client_ephemeral, ephemeral);
        };
        if self.resumption == Resumption::Accept
            && let Ok(resumed) = self.resume(&client_ephemeral, sealed_key, sealed_payload, &ephemeral)
        {
            return Ok(resumed);
        }
        self.answer_full(Pattern::XxFallback, &client_ephemeral, ephemeral)
    }

    fn answer_full(
        self,
        pattern: Pattern,
        client_ephemeral: &PublicKey,
        ephemeral: KeyPair,
    ) -> Result<Hello, HandshakeError> {
        let mut state = Symmetric::new(pattern);
        state.mix_hash(client_ephemeral.as_bytes());
        state.mix_hash(ephemeral.public().as_bytes());
        state.mix_agreement(ephemeral.private(), client_ephemeral)?;
        let sealed_static = state.encrypt_and_hash(self.static_keys.public().as_bytes());
        state.mix_agreement(self.static_keys.private(), client_ephemeral)?;
        let sealed_chain = state.encrypt_and_hash(&self.chain);
        let server_hello = encode_hello(&ephemeral, Some(sealed_static), sealed_chain);
        Ok(Hello::Full {
            server_hello,
            await_finish: Box::new(AwaitFinish { state, ephemeral }),
        })
    }

    fn resume(
        &self,
        client_ephemeral: &PublicKey,
        sealed_key: &[u8],
        sealed_payload: &[u8],
        ephemeral: &KeyPair,
    ) -> Result<Hello, HandshakeError> {
        let mut state = Symmetric::new(Pattern::Ik);
        state.mix_hash(self.static_keys.public().as_bytes());
        state.mix_hash(client_ephemeral.as_bytes());
        state.mix_agreement(self.static_keys.private(), client_ephemeral)?;
        let client_static = state.decrypt_key(sealed_key, "client static key")?;
        state.mix_agreement(self.static_keys.private(), &client_static)?;
        let client_payload = state.decrypt_and_hash(sealed_payload, "client payload")?;

        state.mix_hash(ephemeral.public().as_bytes());
        state.mix_agreement(ephemeral.private(), client_ephemeral)?;
        state.mix_agreement(ephemeral.private(), &client_static)?;
        let sealed_chain = state.encrypt_and_hash(&self.chain);
        let accepted = Accepted {
            client_static,
            client_payload,
            transport: state.split_responder(),
        };
        Ok(Hello::Resumed {
            server_hello: encode_hello(ephemeral, None, sealed_chain),
            accepted: Box::new(accepted),
        })
    }
}

impl AwaitFinish {
    /// Takes the payload of the client's second frame.
    ///
    /// # Errors
    /// If the message is broken or does not decrypt.
    pub fn read_client_finish(mut self, client_finish: &[u8]) -> Result<Accepted, HandshakeError> {
        let finish = parse(client_finish)?
            .client_finish
            .ok_or(HandshakeError::Malformed("no client finish"))?;
        let sealed_key = finish
            .r#static
            .ok_or(HandshakeError::Malformed("no client static key"))?;
        let sealed_payload = finish
            .payload
            .ok_or(HandshakeError::Malformed("no client payload"))?;
        let client_static = self.state.decrypt_key(&sealed_key, "client static key")?;
        self.state
            .mix_agreement(self.ephemeral.private(), &client_static)?;
        let client_payload = self.state.decrypt_and_hash(&sealed_payload, "client payload")?;
        Ok(Accepted {
            client_static,
            client_payload,
            transport: self.state.split_responder(),
        })
    }
}

fn parse(bytes: &[u8]) -> Result<HandshakeMessage, HandshakeError> {
    HandshakeMessage::decode(bytes).map_err(|_| HandshakeError::Malformed("no handshake message"))
}

fn encode_hello(ephemeral: &KeyPair, sealed_static: Option<Vec<u8>>, sealed_chain: Vec<u8>) -> Vec<u8> {
    let hello = message::ServerHello {
        ephemeral: Some(ephemeral.public().to_bytes().to_vec().into()),
        r#static: sealed_static.map(Into::into),
        payload: Some(sealed_chain.into()),
        ..Default::default()
    };
    HandshakeMessage {
        server_hello: Some(hello),
        ..Default::default()
    }
    .encode_to_vec()
}
