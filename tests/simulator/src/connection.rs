//! One socket: WebSocket, frames, handshake, encryption. Hands stanzas to the world and writes what it says.
//!
//! A peer that sends rubbish ends its own connection and nothing else. What is read waits for room in the world's queue,
//! what is written for the peer; neither waits for the other.
//!
//! Facts: docs/PROTOCOL.md, "Frames" and "Noise".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use whatsapp::binary;
use whatsapp::crypto::{Opener, Sealer, Transport};
use whatsapp::frame;
use whatsapp::proto::ClientPayload;
use whatsapp::server::{Accepted, ClientFrames, FrameError, Hello, Responder, Resumption};
use whatsapp::signal::curve::KeyPair;

use crate::clock::Clock;
use crate::seed::Seed;
use crate::world::{ConnId, Input, OUTBOUND_QUEUE, Opening, Outbound, OutboundQueue};

/// Where clients connect.
pub const PATH: &str = "/ws/chat";
/// Largest frame that a client may send.
const MAX_FRAME_BYTES: usize = 4 * 1024 * 1024;
/// Largest WebSocket message that a client may send: one frame, or several small ones.
const MAX_MESSAGE_BYTES: usize = MAX_FRAME_BYTES + 64 * 1024;
/// How long the handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// What a client is told first leaves this long after its handshake. Clients change to the keys of the transport some
/// moments after their last message of the handshake, and some lose what comes before (Baileys up to 7.0.0-rc.9). A real
/// server is further away than this.
pub const FIRST_STANZA_AFTER: Duration = Duration::from_millis(50);
/// How long a peer may take to read what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the socket stays open after the end of a stream was told. A real server drops TCP then, without a close frame;
/// clients that look at the end of the socket first miss what they were told if it comes sooner.
pub const END_AFTER: Duration = Duration::from_millis(100);
/// What is no ciphertext of anybody's.
const RUBBISH: [u8; 48] = [0x33; 48];
/// Stanzas are gathered up to this size before they are written.
const WRITE_BATCH_BYTES: usize = 64 * 1024;

/// What all connections share.
pub struct Context {
    /// The time.
    pub clock: Clock,
    /// The seed.
    pub seed: Seed,
    /// The server's static key.
    pub static_keys: KeyPair,
    /// The certificate chain for it.
    pub chain: Vec<u8>,
    /// What to do with clients that resume.
    pub resumption: Resumption,
    /// The world.
    pub inputs: mpsc::Sender<Input>,
}

/// Why a connection ended. Only for the log.
#[derive(Debug, Error)]
pub enum Ended {
    /// The socket failed, or is not a WebSocket.
    #[error("socket: {0}")]
    Socket(#[from] Box<tungstenite::Error>),
    /// The bytes are no frames.
    #[error("frames: {0}")]
    Frame(#[from] FrameError),
    /// The handshake failed.
    #[error("handshake: {0}")]
    Handshake(#[from] whatsapp::crypto::HandshakeError),
    /// A frame does not decrypt.
    #[error("transport: {0}")]
    Transport(#[from] whatsapp::crypto::NoiseError),
    /// A plaintext is no stanza, or a payload no payload.
    #[error("stanza can't be read")]
    Malformed,
    /// The peer took too long, for the handshake or to read.
    #[error("peer took too long")]
    TimedOut,
    /// The peer went away, or was sent away.
    #[error("closed")]
    Closed,
}

type Reader = SplitStream<WebSocketStream<TcpStream>>;
type Writer = SplitSink<WebSocketStream<TcpStream>, Message>;

/// Serves one socket to its end. Cancellation point: any.
pub async fn serve(socket: TcpStream, conn: ConnId, context: Arc<Context>) -> Ended {
    drop(socket.set_nodelay(true));
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(MAX_MESSAGE_BYTES);
    config.max_frame_size = Some(MAX_MESSAGE_BYTES);
    config.write_buffer_size = 0;
    config.read_buffer_size = 16 * 1024;
    let opened = tokio::time::timeout(HANDSHAKE_TIMEOUT, async {
        let accept = tokio_tungstenite::accept_hdr_async_with_config(socket, check_path, Some(config));
        let (mut writer, mut reader) = accept.await.map_err(Box::new)?.split();
        let mut frames = ClientFrames::new(MAX_FRAME_BYTES);
        let accepted = handshake(&mut writer, &mut reader, &mut frames, conn, &context).await?;
        Ok::<_, Ended>((writer, reader, frames, accepted))
    });
    let (writer, reader, frames, accepted) = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(ended)) => return ended,
        Err(_) => return Ended::TimedOut,
    };
    let Ok(payload) = ClientPayload::decode(accepted.client_payload.as_slice()) else {
        return Ended::Malformed;
    };
    let (sender, queue) = mpsc::channel(OUTBOUND_QUEUE);
    let awaits_room = Arc::new(AtomicBool::new(false));
    let outbound = OutboundQueue {
        sender,
        awaits_room: Arc::clone(&awaits_room),
    };
    let opening = Opening {
        conn,
        noise_key: accepted.client_static,
        payload,
        outbound,
    };
    if context.inputs.send(Input::Open(Box::new(opening))).await.is_err() {
        return Ended::Closed;
    }
    let Transport { sealer, opener } = accepted.transport;
    let reading = read(reader, frames, opener, conn, &context);
    let writing = write(writer, sealer, queue, awaits_room, conn, &context);
    let ended = tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
    };
    // The world may be gone; then nobody needs to know.
    drop(context.inputs.send(Input::Closed(conn)).await);
    ended
}

#[allow(clippy::result_large_err)]
fn check_path(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    if request.uri().path() == PATH {
        return Ok(response);
    }
    let mut refusal = ErrorResponse::new(Some(format!("only {PATH} is served here\n")));
    *refusal.status_mut() = tungstenite::http::StatusCode::NOT_FOUND;
    Err(refusal)
}

async fn handshake(
    writer: &mut Writer,
    reader: &mut Reader,
    frames: &mut ClientFrames,
    conn: ConnId,
    context: &Context,
) -> Result<Accepted, Ended> {
    let mut rng = StdRng::seed_from_u64(context.seed.number_of("ephemeral key", conn));
    let responder = Responder::new(
        context.static_keys.clone(),
        context.chain.clone(),
        context.resumption,
    );
    let hello = next_frame(reader, frames).await?;
    match responder.read_client_hello(&hello, &mut rng)? {
        Hello::Full {
            server_hello,
            await_finish,
        } => {
            send_frame(writer, &server_hello).await?;
            let finish = next_frame(reader, frames).await?;
            Ok(await_finish.read_client_finish(&finish)?)
        }
        Hello::Resumed {
            server_hello,
            accepted,
        } => {
            send_frame(writer, &server_hello).await?;
            Ok(*accepted)
        }
    }
}

async fn read(
    mut reader: Reader,
    mut frames: ClientFrames,
    mut opener: Opener,
    conn: ConnId,
    context: &Context,
) -> Ended {
    let inputs = &context.inputs;
    loop {
        let sealed = match next_frame(&mut reader, &mut frames).await {
            Ok(sealed) => sealed,
            Err(ended) => return ended,
        };
        let at = context.clock.now();
        let plaintext = match opener.open(sealed) {
            Ok(plaintext) => plaintext,
            Err(error) => return Ended::Transport(error),
        };
        let Ok(node) = binary::decode(plaintext) else {
            drop(inputs.send(Input::Malformed(conn)).await);
            return Ended::Malformed;
        };
        if inputs.send(Input::Stanza { conn, node, at }).await.is_err() {
            return Ended::Closed;
        }
    }
}

/// Writes until told to close. The queue's end without a word is a close too. There is never a close frame.
async fn write(
    mut writer: Writer,
    mut sealer: Sealer,
    mut queue: mpsc::Receiver<Outbound>,
    awaits_room: Arc<AtomicBool>,
    conn: ConnId,
    context: &Context,
) -> Ended {
    tokio::time::sleep(FIRST_STANZA_AFTER).await;
    let mut end = None;
    while end.is_none() {
        let Some(mut next) = queue.recv().await else { break };
        let mut batch = Vec::new();
        loop {
            end = match seal(next, &mut sealer, &mut batch, &context.seed) {
                Ok(end) => end,
                Err(error) => return Ended::Transport(error),
            };
            if end.is_some() || batch.len() >= WRITE_BATCH_BYTES {
                break;
            }
            next = match queue.try_recv() {
                Ok(next) => next,
                Err(_) => break,
            };
        }
        if !batch.is_empty() {
            let writing = writer.send(Message::Binary(Bytes::from(batch)));
            match tokio::time::timeout(WRITE_TIMEOUT, writing).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Ended::Socket(Box::new(error)),
                Err(_) => return Ended::TimedOut,
            }
        }
        if queue.is_empty()
            && awaits_room.swap(false, Ordering::SeqCst)
            && context.inputs.send(Input::Writable(conn)).await.is_err()
        {
            return Ended::Closed;
        }
    }
    tokio::time::sleep(end.unwrap_or_default()).await;
    Ended::Closed
}

/// Appends the frame of what is to be written; how long to wait for the end if it is that.
fn seal(
    outbound: Outbound,
    sealer: &mut Sealer,
    batch: &mut Vec<u8>,
    seed: &Seed,
) -> Result<Option<Duration>, whatsapp::crypto::NoiseError> {
    match outbound {
        Outbound::Stanza(plaintext) => {
            frame::write_sealed(sealer, batch, |out| out.extend_from_slice(&plaintext))?;
        }
        Outbound::Bundles(reply) => frame::write_node(&reply.render(seed), sealer, batch)?,
        Outbound::Rubbish => frame::write(&RUBBISH, batch),
        Outbound::Close => return Ok(Some(Duration::ZERO)),
        Outbound::CloseSoon => return Ok(Some(END_AFTER)),
    }
    Ok(None)
}

/// The next whole frame. WebSocket messages that are not binary are ignored.
async fn next_frame(reader: &mut Reader, frames: &mut ClientFrames) -> Result<BytesMut, Ended> {
    loop {
        if let Some(payload) = frames.next()? {
            return Ok(payload);
        }
        match reader.next().await {
            Some(Ok(Message::Binary(bytes))) => frames.push(bytes),
            Some(Ok(Message::Close(_))) | None => return Err(Ended::Closed),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(Ended::Socket(Box::new(error))),
        }
    }
}

async fn send_frame(writer: &mut Writer, payload: &[u8]) -> Result<(), Ended> {
    let mut out = Vec::with_capacity(payload.len() + 3);
    frame::write(payload, &mut out);
    writer.send(Message::Binary(out.into())).await.map_err(Box::new)?;
    Ok(())
}
