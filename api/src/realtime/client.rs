//! One client: what waits for it, within its limit, and how it is let go when it is too slow.
//!
//! Must not know where events come from.

use shared::event::socket::Dropped;
use shared::metrics::labels::SocketDrop;
use shared::metrics::list;
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use socketioxide::SendError;
use socketioxide::SocketError;
use socketioxide::extract::SocketRef;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::watching::Place;

/// What a packet takes beside its data, reckoned against a client's limit.
const PACKET_BYTES: usize = 128;
/// Pause before the transport is offered again what it had no room for.
const FULL_PAUSE: Duration = Duration::from_millis(20);

/// Something to emit, shared by all who get it.
#[derive(Debug)]
pub(super) struct Packet {
    /// The event's name.
    pub(super) name: Cow<'static, str>,
    /// Its argument.
    pub(super) data: Box<RawValue>,
}

impl Packet {
    fn bytes(&self) -> usize {
        self.name.len() + self.data.get().len() + PACKET_BYTES
    }
}

/// A client that was let in. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The rooms that it asked for when it came.
    rooms: Vec<String>,
    /// Most bytes that may wait for it.
    backlog: usize,
    waiting: AtomicUsize,
    queue: mpsc::UnboundedSender<Arc<Packet>>,
    /// The other end, until the client is served.
    queued: Mutex<Option<mpsc::UnboundedReceiver<Arc<Packet>>>>,
    /// More waited than its limit.
    slow: CancellationToken,
    gone: CancellationToken,
    _place: Place,
}

impl Client {
    pub(super) fn new(place: Place, rooms: Vec<String>, backlog: usize) -> Self {
        // Not bounded by count: its bytes are.
        let (queue, queued) = mpsc::unbounded_channel();
        Self(Arc::new(Inner {
            rooms,
            backlog,
            waiting: AtomicUsize::new(0),
            queue,
            queued: Mutex::new(Some(queued)),
            slow: CancellationToken::new(),
            gone: CancellationToken::new(),
            _place: place,
        }))
    }

    /// The rooms that it asked for when it came.
    pub(super) fn rooms(&self) -> &[String] {
        &self.0.rooms
    }

    /// Puts something up for the client. One that has too much waiting already gets nothing any more.
    pub(super) fn offer(&self, packet: &Arc<Packet>) {
        let bytes = packet.bytes();
        if self.0.slow.is_cancelled() {
            return;
        }
        if self.0.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > self.0.backlog {
            self.0.slow.cancel();
            return;
        }
        // Who is gone gets nothing.
        let _ = self.0.queue.send(packet.clone());
    }

    /// The connection has ended.
    pub(super) fn close(&self) {
        self.0.gone.cancel();
    }

    /// Gives the client what is put up for it, until it is gone or too slow.
    pub(super) async fn serve(self, socket: SocketRef) {
        let queued = self
            .0
            .queued
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut queued) = queued else {
            return;
        };
        let give = async {
            while let Some(packet) = queued.recv().await {
                let given = given(&socket, &packet.name, &packet.data).await;
                self.0.waiting.fetch_sub(packet.bytes(), Ordering::Relaxed);
                if given.is_break() {
                    return;
                }
            }
        };
        let slow = tokio::select! {
            biased;
            () = self.0.gone.cancelled() => false,
            () = self.0.slow.cancelled() => true,
            () = give => false,
        };
        if slow {
            drop(queued);
            self.let_go(socket).await;
        }
    }

    /// Tells the client why, as soon as it can be told anything, and ends its connection. One that takes nothing is cut off
    /// by the transport, which misses its answer to a ping.
    async fn let_go(&self, socket: SocketRef) {
        list::SOCKETS_DROPPED.of(SocketDrop::Slow).increment(1);
        tracing::info!("a socket.io client took its events too slowly and is let go");
        socket.leave_all();
        let farewell = async {
            let told = Dropped {
                reason: "slow",
                message: "more events waited for this client than SOCKET_BACKLOG allows; some were dropped: connect again",
            };
            if given(&socket, "dropped", &told).await.is_break() {
                return;
            }
            while let Err(SocketError::InternalChannelFull) = socket.clone().disconnect() {
                tokio::time::sleep(FULL_PAUSE).await;
            }
        };
        tokio::select! {
            () = self.0.gone.cancelled() => {}
            () = farewell => {}
        }
    }
}

/// Emits as soon as the transport has room; breaks when it is closed.
async fn given<T: Serialize + ?Sized>(socket: &SocketRef, name: &str, data: &T) -> ControlFlow<()> {
    loop {
        match socket.emit(name, data) {
            Ok(()) => return ControlFlow::Continue(()),
            Err(SendError::Socket(SocketError::InternalChannelFull)) => tokio::time::sleep(FULL_PAUSE).await,
            Err(SendError::Socket(SocketError::Closed)) => return ControlFlow::Break(()),
            Err(SendError::Serialize(error)) => {
                tracing::error!(%error, "an event can't be written for socket.io");
                return ControlFlow::Continue(());
            }
        }
    }
}
