//! The client's side of the handshake: Noise XX on `snow`, in WhatsApp's protobufs.

use prost::Message as _;
use rand::CryptoRng;
use snow::{Builder, HandshakeState};
use thiserror::Error;
use zeroize::Zeroizing;

use super::cert::{self, CertError};
use super::primitives::Primitives;
use super::transport::{TAG_BYTES, Transport};
use crate::frame;
use crate::proto::{HandshakeMessage, handshake_message as message};
use crate::signal::curve::{KeyPair, PrivateKey, PublicKey};
use crate::time::Timestamp;

/// A handshake failed; the connection is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// The message is no handshake message, or lacks a part.
    #[error("handshake message is not valid: {0}")]
    Malformed(&'static str),
    /// A key of the peer is one that must not be used.
    #[error("peer's key is not usable")]
    BadKey,
    /// A part does not decrypt: the peer has other keys, or somebody changed the message.
    #[error("handshake message does not decrypt: {0}")]
    Undecryptable(&'static str),
    /// The server did not prove that it is WhatsApp.
    #[error("server's certificate is refused")]
    Certificate(#[from] CertError),
}

/// A client that has sent its hello and waits for the server's.
pub struct Initiator(HandshakeState);

impl Initiator {
    /// Begins; also gives the payload of the first frame.
    pub fn start<R: CryptoRng + ?Sized>(static_keys: KeyPair, rng: &mut R) -> (Self, Vec<u8>) {
        let mut ephemeral = Zeroizing::new([0; KEY_BYTES]);
        rng.fill_bytes(&mut ephemeral[..]);
        Self::with_ephemeral(static_keys, PrivateKey::new(*ephemeral))
    }

    pub(crate) fn with_ephemeral(static_keys: KeyPair, ephemeral: PrivateKey) -> (Self, Vec<u8>) {
        // Unwrap safety: nothing comes from outside; name and buffer fit, and each primitive is there.
        #[allow(clippy::unwrap_used)]
        let (state, ephemeral) = begin(static_keys, ephemeral).unwrap();
        let hello = message::ClientHello {
            ephemeral: Some(ephemeral.into()),
            ..Default::default()
        };
        let hello = HandshakeMessage {
            client_hello: Some(hello),
            ..Default::default()
        };
        (Self(state), hello.encode_to_vec())
    }

    /// Takes the server's hello and checks that its key is certified under `root` at the time `now`; only then says who
    /// we are. Gives the payload of the second frame, which carries the encoded `ClientPayload`, and the channel.
    ///
    /// # Errors
    /// If the message is broken, or the server is not who it should be.
    pub fn finish(
        mut self,
        server_hello: &[u8],
        root: &PublicKey,
        now: Timestamp,
        client_payload: &[u8],
    ) -> Result<(Vec<u8>, Transport), HandshakeError> {
        let sealed = noise_message(server_hello)?;
        let mut chain = vec![0; sealed.len()];
        let len = self.0.read_message(&sealed, &mut chain)?;
        let server_static = self.0.get_remote_static().and_then(<[u8]>::first_chunk);
        let server_static = server_static.ok_or(HandshakeError::Malformed("no server static key"))?;
        cert::verify(&chain[..len], root, &PublicKey::new(*server_static), now)?;

        let mut sealed_key = vec![0; SEALED_KEY_BYTES + client_payload.len() + TAG_BYTES];
        self.0.write_message(client_payload, &mut sealed_key)?;
        let sealed_payload = sealed_key.split_off(SEALED_KEY_BYTES);
        let finish = message::ClientFinish {
            r#static: Some(sealed_key.into()),
            payload: Some(sealed_payload.into()),
            ..Default::default()
        };
        let finish = HandshakeMessage {
            client_finish: Some(finish),
            ..Default::default()
        };
        let keys = Zeroizing::new(self.0.dangerously_get_raw_split());
        Ok((finish.encode_to_vec(), Transport::new(&keys.0, &keys.1)))
    }
}

impl From<snow::Error> for HandshakeError {
    fn from(error: snow::Error) -> Self {
        match error {
            snow::Error::Dh => Self::BadKey,
            snow::Error::Decrypt => Self::Undecryptable("server hello"),
            _ => Self::Malformed("server hello does not fit"),
        }
    }
}

/// The state after the first message, and the ephemeral key that is all of it.
fn begin(static_keys: KeyPair, ephemeral: PrivateKey) -> Result<(HandshakeState, Vec<u8>), snow::Error> {
    let private = static_keys.private().clone();
    let primitives = Primitives {
        static_keys,
        ephemeral,
    };
    let mut state = Builder::with_resolver(PATTERN.parse()?, Box::new(primitives))
        .prologue(&frame::HEADER)?
        .local_private_key(private.as_bytes())?
        .build_initiator()?;
    // `snow` wants room for a tag that the first message does not have.
    let mut hello = vec![0; KEY_BYTES + TAG_BYTES];
    let len = state.write_message(&[], &mut hello)?;
    hello.truncate(len);
    Ok((state, hello))
}

/// The server's hello as one message of Noise. Its parts have fixed lengths, or one could run into the next.
fn noise_message(server_hello: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    let hello = HandshakeMessage::decode(server_hello)
        .map_err(|_| HandshakeError::Malformed("no handshake message"))?
        .server_hello
        .ok_or(HandshakeError::Malformed("no server hello"))?;
    let ephemeral = hello.ephemeral.filter(|key| key.len() == KEY_BYTES);
    let sealed_static = hello.r#static.filter(|key| key.len() == SEALED_KEY_BYTES);
    let ephemeral = ephemeral.ok_or(HandshakeError::Malformed("server ephemeral key"))?;
    let sealed_static = sealed_static.ok_or(HandshakeError::Malformed("server static key"))?;
    let sealed_chain = hello.payload.ok_or(HandshakeError::Malformed("no certificate"))?;
    Ok([ephemeral, sealed_static, sealed_chain].concat())
}

const PATTERN: &str = "Noise_XX_25519_AESGCM_SHA256";
const KEY_BYTES: usize = 32;
const SEALED_KEY_BYTES: usize = KEY_BYTES + TAG_BYTES;
