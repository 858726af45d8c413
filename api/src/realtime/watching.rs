//! How many clients watch: the feed of events is open while there are any, and there is room for so many.

use shared::metrics::labels::SocketDrop;
use shared::metrics::list;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Longest that a client waits for the feed to open.
pub(super) const OPENING_MAX: Duration = Duration::from_secs(10);

/// The clients of this process, and whether events come in for them.
#[derive(Debug)]
pub(super) struct Watching {
    room: Arc<Semaphore>,
    clients: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

/// A client's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    watching: Arc<Watching>,
    _permit: OwnedSemaphorePermit,
}

impl Watching {
    pub(super) fn new(clients: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(clients)),
            clients: watch::Sender::new(0),
            open: watch::Sender::new(false),
        }
    }

    /// A place for one more client, if there is room.
    pub(super) fn place(self: &Arc<Self>) -> Option<Place> {
        let Ok(permit) = self.room.clone().try_acquire_owned() else {
            list::SOCKETS_DROPPED.of(SocketDrop::Full).increment(1);
            return None;
        };
        self.clients.send_modify(|clients| *clients += 1);
        list::SOCKET_CLIENTS.of(()).increment(1.0);
        Some(Place {
            watching: self.clone(),
            _permit: permit,
        })
    }

    /// Waits for the first client.
    pub(super) async fn someone(&self) {
        // The sender is ours, so it does not end.
        let _ = self.clients.subscribe().wait_for(|clients| *clients > 0).await;
    }

    /// Waits until nobody has watched for `long`.
    pub(super) async fn nobody_for(&self, long: Duration) {
        let mut clients = self.clients.subscribe();
        loop {
            let _ = clients.wait_for(|clients| *clients == 0).await;
            let back = clients.wait_for(|clients| *clients > 0);
            if tokio::time::timeout(long, back).await.is_err() {
                return;
            }
        }
    }

    /// Events come in.
    pub(super) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Events do not come in.
    pub(super) fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Waits until events come in; answers whether they do.
    pub(super) async fn opened(&self) -> bool {
        let mut open = self.open.subscribe();
        let opened = open.wait_for(|open| *open);
        tokio::time::timeout(OPENING_MAX, opened)
            .await
            .is_ok_and(|opened| opened.is_ok())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.watching.clients.send_modify(|clients| *clients -= 1);
        list::SOCKET_CLIENTS.of(()).decrement(1.0);
    }
}
