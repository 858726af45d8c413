//! What all shards of a worker share.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use shared::broker::Broker;
use shared::clock::Clock;
use shared::telemetry::Health;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use super::backlog::Size;
use crate::lease::leases::Leases;
use crate::session::surroundings::Surroundings;
use crate::wake::Wake;

/// What all shards of a worker share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) around: Arc<Surroundings>,
    pub(crate) broker: Broker,
    pub(crate) wake: Wake,
    pub(crate) starts: Arc<Starts>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) leases: Leases,
    pub(crate) health: Health,
}

/// The places of a worker for transactions that store jobs, over all its shards: fewer than its pool has connections,
/// so that sessions read beside them.
#[derive(Debug)]
pub(crate) struct Slots {
    small: Semaphore,
    large: Semaphore,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            small: Semaphore::new(SMALL_AT_ONCE),
            large: Semaphore::new(LARGE_AT_ONCE),
        }
    }
}

impl Slots {
    /// Waits for a place for a transaction of sends of this size; it is free again when the answer is dropped.
    pub(super) async fn take(&self, size: Size) -> Option<SemaphorePermit<'_>> {
        let slots = match size {
            Size::Small => &self.small,
            Size::Large => &self.large,
        };
        // They are never closed.
        slots.acquire().await.ok()
    }
}

/// Gives sessions their turns to start, over all shards: one at a time, a short while apart, so that neither WhatsApp nor
/// the database sees all sessions at once.
#[derive(Debug)]
pub(crate) struct Starts {
    clock: Clock,
    last: Mutex<(Option<Instant>, StdRng)>,
}

impl Starts {
    /// Nothing started yet.
    pub(crate) fn new(clock: Clock, rng: StdRng) -> Self {
        Self {
            clock,
            last: Mutex::new((None, rng)),
        }
    }

    /// Waits until `due`, then for the worker's turn. Dropped, it takes nothing.
    pub(super) async fn turn(&self, due: Instant) {
        sleep_until(due).await;
        let (last, rng) = &mut *self.last.lock().await;
        if let Some(last) = *last {
            let jitter = rng.random_range(Duration::ZERO..=START_GAP);
            sleep_until(last + START_GAP / 2 + jitter).await;
        }
        *last = Some(self.clock.now());
    }
}

/// Transactions of small sends that a worker has at a time.
const SMALL_AT_ONCE: usize = 4;
/// Transactions of large sends that a worker has at a time.
const LARGE_AT_ONCE: usize = 2;
/// Starts of a worker are this far apart, on average.
const START_GAP: Duration = Duration::from_millis(5);
