//! The listening side of HTTP: how many connections there are, how long each may keep us waiting, and how they end.
//!
//! Must not know any route. How long a body may take is for those who read it (see [`crate::extract`]).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use shared::lifecycle::Lifecycle;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// What connections may take of us.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most connections at a time; more wait in the system's queue until one of these has ended.
    pub connections: usize,
    /// Longest time from a connection's begin, or its last answer, to the end of a request's head. So it is also how
    /// long an idle connection is kept.
    pub head: Duration,
    /// How long a client may take nothing of its answer.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            // Proxies keep idle connections for a minute: they are to be the first to close.
            head: Duration::from_secs(75),
            stall: Duration::from_secs(30),
        }
    }
}

/// Bytes that are read or written of a connection at a time; the head of a request may have no more.
const BUFFER_BYTES: usize = 64 * 1024;
/// Pause after the system had no socket for us.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until the soft stop. Connections live on as tasks of `lifecycle`, each until its request in hand is answered.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, lifecycle: &Lifecycle) {
    let room = Arc::new(Semaphore::new(limits.connections));
    loop {
        let (socket, place) = tokio::select! {
            () = lifecycle.soft().cancelled() => return,
            next = next(&listener, &room) => next,
        };
        let soft = lifecycle.soft().clone();
        let router = router.clone();
        lifecycle.spawn(async move {
            connection(socket, place, router, limits, soft).await;
        });
    }
}

/// The next connection and its place among all.
async fn next(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(place) = room.clone().acquire_owned().await else {
            // Nobody closes the semaphore.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((socket, _)) => return (socket, place),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken; raise the limit of open files if it says so");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

async fn connection(
    socket: TcpStream,
    place: OwnedSemaphorePermit,
    router: Router,
    limits: Limits,
    soft: CancellationToken,
) {
    // Answers are written whole, so nothing is gained by waiting for more of them.
    let _ = socket.set_nodelay(true);
    let service = TowerToHyperService::new(router.map_request(|request: Request<_>| request.map(Body::new)));
    let socket = TokioIo::new(Impatient {
        socket,
        limit: limits.stall,
        stalled: None,
        _place: place,
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(socket, service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = soft.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A socket whose peer has to take what is written to it, sooner or later.
struct Impatient {
    socket: TcpStream,
    limit: Duration,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Its place among all connections, also when it speaks another protocol by now.
    _place: OwnedSemaphorePermit,
}

impl Impatient {
    fn bounded<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.limit;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        stalled
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, into)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.bounded(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
