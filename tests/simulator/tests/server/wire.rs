//! The wire of a raw client: socket, handshake, frames and nodes, and the stanzas that nobody has waited for yet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use rand::rngs::StdRng;
use simulator::Handle;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use whatsapp::binary::{self, Node};
use whatsapp::crypto::{Initiator, Transport};
use whatsapp::device::Device;
use whatsapp::frame::{self, FrameReader};
use whatsapp::signal::curve::PublicKey;
use whatsapp::time::Timestamp;

use crate::resumption::Resumer;

const TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp::from_millis(since.as_millis() as u64)
}

/// An encrypted channel to the simulator.
pub(crate) struct Wire {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    frames: FrameReader,
    transport: Transport,
    /// Stanzas that came while another was awaited.
    pub(crate) backlog: VecDeque<Node>,
    pub(crate) was_resumed: bool,
    /// When its last message of the handshake left.
    pub(crate) finished: Instant,
}

impl Wire {
    pub(crate) async fn open(handle: &Handle, device: &Device, payload: &[u8], rng: &mut StdRng) -> Self {
        let mut socket = connect(handle).await;
        let mut frames = FrameReader::new(frame::MAX_PAYLOAD_BYTES);
        let (initiator, hello) = Initiator::start(device.noise.clone(), rng);
        send_first(&mut socket, &hello).await;
        let answer = next_frame(&mut socket, &mut frames).await.unwrap();
        let root = PublicKey::new(handle.root_public_key);
        let (finish, transport) = initiator.finish(&answer, &root, now(), payload).unwrap();
        let finished = Instant::now();
        send_plain(&mut socket, &finish).await;
        Self {
            finished,
            socket,
            frames,
            transport,
            backlog: VecDeque::new(),
            was_resumed: false,
        }
    }

    /// Resumes; ends the handshake as XX if the server wants that.
    pub(crate) async fn resume(
        handle: &Handle,
        device: &Device,
        server: &PublicKey,
        payload: &[u8],
        rng: &mut StdRng,
    ) -> Self {
        let mut socket = connect(handle).await;
        let mut frames = FrameReader::new(frame::MAX_PAYLOAD_BYTES);
        let (resumer, hello) = Resumer::start(&device.noise, server, payload, rng);
        let finished = Instant::now();
        send_first(&mut socket, &hello).await;
        let answer = next_frame(&mut socket, &mut frames).await.unwrap();
        let (transport, finish) = resumer.finish(&answer, payload);
        let was_resumed = finish.is_none();
        if let Some(finish) = finish {
            send_plain(&mut socket, &finish).await;
        }
        Self {
            finished,
            socket,
            frames,
            transport,
            backlog: VecDeque::new(),
            was_resumed,
        }
    }

    pub(crate) async fn send(&mut self, node: &Node) {
        let mut out = Vec::new();
        frame::write_node(node, &mut self.transport.sealer, &mut out).unwrap();
        self.socket.send(WsMessage::Binary(out.into())).await.unwrap();
    }

    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        self.socket
            .send(WsMessage::Binary(Bytes::copy_from_slice(bytes)))
            .await
            .unwrap();
    }

    /// The next stanza; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Node> {
        let read = next_frame(&mut self.socket, &mut self.frames);
        let sealed = tokio::time::timeout(TIMEOUT, read)
            .await
            .expect("a stanza in time")?;
        Some(binary::decode(self.transport.opener.open(sealed).unwrap()).unwrap())
    }

    /// The end of a stream whose reason was told: how long its socket stayed open.
    pub(crate) async fn ended(&mut self) -> Duration {
        let end = self.next().await.expect("the end of the stream");
        assert!(end.is("xmlstreamend"), "{end:?}");
        let told = Instant::now();
        assert!(self.next().await.is_none());
        told.elapsed()
    }

    /// The first stanza that `wanted` accepts; others wait in the backlog.
    pub(crate) async fn expect(&mut self, what: &str, wanted: impl Fn(&Node) -> bool) -> Node {
        if let Some(at) = self.backlog.iter().position(&wanted) {
            return self.backlog.remove(at).unwrap();
        }
        loop {
            let node = self
                .next()
                .await
                .unwrap_or_else(|| panic!("connection ended before {what}"));
            if wanted(&node) {
                return node;
            }
            self.backlog.push_back(node);
        }
    }
}

/// The future of an upgrade is large: boxed, it does not make those of all tests large.
async fn connect(handle: &Handle) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let connecting = Box::pin(tokio_tungstenite::connect_async(&handle.ws_url));
    connecting.await.unwrap().0
}

async fn send_first(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>, hello: &[u8]) {
    let mut out = frame::connection_header(Some(&[1, 2, 3]));
    frame::write(hello, &mut out);
    socket.send(WsMessage::Binary(out.into())).await.unwrap();
}

async fn send_plain(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>, payload: &[u8]) {
    let mut out = Vec::new();
    frame::write(payload, &mut out);
    socket.send(WsMessage::Binary(out.into())).await.unwrap();
}

async fn next_frame(
    socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>,
    frames: &mut FrameReader,
) -> Option<BytesMut> {
    loop {
        if let Some(frame) = frames.next().unwrap() {
            return Some(frame);
        }
        match socket.next().await {
            Some(Ok(WsMessage::Binary(bytes))) => frames.push(bytes),
            Some(Ok(WsMessage::Close(_))) => panic!("the server says goodbye to nobody"),
            Some(Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}
