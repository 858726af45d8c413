//! How many transactions that store jobs a worker has at a time.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::backlog::Size;

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

/// Transactions of small sends that a worker has at a time.
const SMALL_AT_ONCE: usize = 4;
/// Transactions of large sends that a worker has at a time.
const LARGE_AT_ONCE: usize = 2;
