//! The WebSocket: opening it, and both its directions in one poll.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{self, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use futures_util::{Sink, Stream};
use tokio::{io::AsyncWrite as _, net::TcpStream, time::timeout};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderValue, header::ORIGIN},
        protocol::WebSocketConfig,
    },
};

use super::{
    large,
    route::{self, RouteError},
    tls,
};
use crate::connection::{CloseReason, Config};

/// An open WebSocket with what still has to be written to it.
pub(super) struct Socket {
    stream: Box<WebSocketStream<MaybeTlsStream<TcpStream>>>,
    unwritten: VecDeque<Bytes>,
    unflushed: bool,
    /// The rest of a message that is written around the stream's buffer.
    large: Option<Bytes>,
}

/// Why a socket could not be opened or is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    #[error("address or origin is not valid: {0}")]
    BadAddress(String),
    #[error("the system's certificates can't be read: {0}")]
    Certificates(io::Error),
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    #[error(transparent)]
    NoWay(#[from] RouteError),
    #[error(transparent)]
    WebSocket(Box<tungstenite::Error>),
    #[error("closed by the server")]
    Closed,
}

impl From<SocketError> for CloseReason {
    /// Why there is no connection.
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::NoWay(RouteError::Proxy { .. }) => Self::ProxyFailed(error.to_string()),
            other => Self::ConnectFailed(other.to_string()),
        }
    }
}

impl Socket {
    /// Opens TCP, TLS if the address says `wss`, and the WebSocket.
    pub(super) async fn connect(config: &Config) -> Result<Self, SocketError> {
        let bad = |error: &dyn std::fmt::Display| SocketError::BadAddress(error.to_string());
        let mut request = config
            .url
            .as_str()
            .into_client_request()
            .map_err(|error| bad(&error))?;
        let origin = HeaderValue::from_str(&config.origin).map_err(|error| bad(&error))?;
        request.headers_mut().insert(ORIGIN, origin);
        let connector = match request.uri().scheme_str() {
            Some("wss") => Connector::Rustls(tls::config().map_err(SocketError::Certificates)?),
            _ => Connector::Plain,
        };
        let uri = request.uri().clone();
        let host = uri.host().ok_or_else(|| bad(&"no host"))?.to_owned();
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("wss") => 443,
            _ => 80,
        });
        // The futures of the way there, TLS and upgrade are large and short-lived: boxed, they weigh on no idle session.
        let connecting = Box::pin(async move {
            let tcp = route::connect(config.proxy.as_deref(), &host, port).await?;
            client_async_tls_with_config(request, tcp, Some(buffers()), Some(connector))
                .await
                .map_err(|error| SocketError::WebSocket(Box::new(error)))
        });
        let (stream, _) = timeout(config.timing.connect, connecting)
            .await
            .map_err(|_| too_late(config))??;
        Ok(Self {
            stream: Box::new(stream),
            unwritten: VecDeque::new(),
            unflushed: false,
            large: None,
        })
    }

    /// Queues frames, each as a message of its own. They leave while [`Self::poll`] is polled.
    pub(super) fn write(&mut self, frames: impl IntoIterator<Item = Bytes>) {
        self.unwritten.extend(frames);
    }

    /// Frames that have not been handed to the operating system.
    pub(super) fn unwritten(&self) -> usize {
        self.unwritten.len()
    }

    /// Writes what it can; then, if `reading`, waits for bytes. Dropping the wait loses nothing.
    pub(super) fn poll(
        &mut self,
        cx: &mut task::Context<'_>,
        reading: Reading,
    ) -> Poll<Result<Bytes, SocketError>> {
        let broken = match self.poll_write(cx) {
            Poll::Ready(Err(error)) => Some(error),
            // Reading may write too, and must not do so in the middle of a message.
            Poll::Pending if self.large.is_some() => return Poll::Pending,
            _ => None,
        };
        if reading == Reading::Yes
            && let Poll::Ready(read) = self.poll_read(cx)
        {
            // A peer that has hung up may have said why before.
            return Poll::Ready(read);
        }
        broken.map_or(Poll::Pending, |error| Poll::Ready(Err(error)))
    }

    fn poll_read(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<Bytes, SocketError>> {
        loop {
            match ready!(Pin::new(&mut *self.stream).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => return Poll::Ready(Ok(bytes)),
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Err(SocketError::Closed)),
                // Pings are answered below us; text means nothing here.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(SocketError::WebSocket(Box::new(error)))),
            }
        }
    }

    /// Writes everything and says goodbye, but waits no longer than `patience`.
    pub(super) async fn finish(mut self, patience: Duration) {
        let goodbye = async {
            std::future::poll_fn(|cx| self.poll_write(cx)).await?;
            self.stream
                .close(None)
                .await
                .map_err(|error| SocketError::WebSocket(Box::new(error)))
        };
        // The connection is over either way.
        let _ = timeout(patience, goodbye).await;
    }

    /// Writes the rest of a large message, with nothing else in between.
    fn poll_large(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), SocketError>> {
        while let Some(rest) = &mut self.large {
            let socket = Pin::new(self.stream.get_mut());
            let written = ready!(socket.poll_write(cx, rest)).map_err(|error| failed(error.into()))?;
            if written == 0 {
                return Poll::Ready(Err(SocketError::Closed));
            }
            rest.advance(written);
            if rest.is_empty() {
                self.large = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), SocketError>> {
        loop {
            ready!(self.poll_large(cx))?;
            let Some(next) = self.unwritten.front() else { break };
            let is_large = next.len() > WRITE_BUFFER_BYTES;
            let mut stream = Pin::new(&mut *self.stream);
            if is_large && self.unflushed {
                ready!(stream.poll_flush(cx)).map_err(failed)?;
                self.unflushed = false;
                continue;
            }
            ready!(stream.as_mut().poll_ready(cx)).map_err(failed)?;
            match self.unwritten.pop_front() {
                Some(frame) if is_large => self.large = Some(large::message(&frame)),
                Some(frame) => stream.start_send(Message::Binary(frame)).map_err(failed)?,
                None => break,
            }
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut *self.stream).poll_flush(cx)).map_err(failed)?;
            self.unflushed = false;
            // A burst must not weigh on the idle session after it.
            self.unwritten.shrink_to(KEPT_QUEUE_SLOTS);
        }
        Poll::Ready(Ok(()))
    }
}

/// Nothing came of it in time; behind a proxy nobody knows whose fault that is, and the proxy is what can be looked at.
fn too_late(config: &Config) -> SocketError {
    let patience = config.timing.connect;
    match &config.proxy {
        Some(proxy) => SocketError::NoWay(RouteError::Proxy {
            proxy: proxy.to_string(),
            problem: format!("gave no connection within {patience:?}"),
        }),
        None => SocketError::TimedOut(patience),
    }
}

fn failed(error: tungstenite::Error) -> SocketError {
    SocketError::WebSocket(Box::new(error))
}

/// Whether to take more bytes from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Take them.
    Yes,
    /// Let them wait in the operating system: enough is under way.
    No,
}

/// Small buffers: an idle session is mostly these.
fn buffers() -> WebSocketConfig {
    let mut config = WebSocketConfig::default();
    config.read_buffer_size = READ_BUFFER_BYTES;
    config.write_buffer_size = WRITE_BUFFER_BYTES;
    config.max_message_size = Some(MAX_MESSAGE_BYTES);
    config.max_frame_size = Some(MAX_MESSAGE_BYTES);
    config
}

/// Bytes read from the socket at a time. A longer message is read into a buffer of its length and this, which stays.
const READ_BUFFER_BYTES: usize = 2 * 1_024;
/// Bytes gathered before they are handed to the operating system. The buffer grows to what it held once, which is this
/// and a message more; so longer messages than this go around it.
const WRITE_BUFFER_BYTES: usize = 2 * 1_024;
/// Longest WebSocket message taken. Frames of the protocol have their own limit and ignore message boundaries.
const MAX_MESSAGE_BYTES: usize = 17 << 20;
/// Slots of the write queue that stay allocated.
const KEPT_QUEUE_SLOTS: usize = 16;
