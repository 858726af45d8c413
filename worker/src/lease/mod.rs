//! The right to act for a shard, and what happens to it.
//!
//! A lease ends by this process's own clock before it ends in the database. Knows nothing of how it is kept.

mod keeper;
pub(crate) mod leases;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use shared::id::ShardId;
use shared::store::Fence;
use tokio::time::Instant;

/// The times of leases. The defaults were measured: a crash is taken over within `ttl`, a join balances in
/// about one `tick` per shard.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a lease lasts without renewal.
    pub ttl: Duration,
    /// How often it is renewed.
    pub tick: Duration,
    /// How long before its end its owner stops acting on it.
    pub margin: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            ttl: seconds(10),
            tick: seconds(1),
            margin: seconds(2),
        }
    }
}

/// The right to act for a shard: the fence its writes carry, and how long it may act on its own clock. Cheap to
/// clone; all clones end together.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    fence: Fence,
    deadline: Arc<Deadline>,
    busy: Arc<AtomicUsize>,
}

/// Something of a shard has work in hand, as long as this lives.
#[derive(Debug)]
pub(crate) struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The shard has another owner: nothing of it may be done any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fenced;

/// A moment that moves on: nanoseconds behind `origin`, 0 when over.
#[derive(Debug)]
struct Deadline {
    origin: Instant,
    nanos: AtomicU64,
}

impl Lease {
    /// A lease of now that lasts until `deadline` unless extended.
    pub(crate) fn new(fence: Fence, now: Instant, deadline: Instant) -> Self {
        let lease = Self {
            fence,
            deadline: Arc::new(Deadline {
                origin: now,
                nanos: AtomicU64::new(0),
            }),
            busy: Arc::default(),
        };
        lease.extend(deadline);
        lease
    }

    pub(crate) fn fence(&self) -> Fence {
        self.fence
    }

    pub(crate) fn shard(&self) -> ShardId {
        self.fence.shard
    }

    /// Whether anything may still be sent for the shard. Ask right before each send.
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.deadline.nanos.load(Ordering::Acquire) != 0 && now < self.deadline()
    }

    /// Refuses to go on once it is over.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Fenced> {
        if self.is_live(now) { Ok(()) } else { Err(Fenced) }
    }

    /// Until when it lasts if not renewed.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline.origin + Duration::from_nanos(self.deadline.nanos.load(Ordering::Acquire))
    }

    /// Says that something of the shard has work in hand: shards without are handed over first.
    pub(crate) fn busy(&self) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(&self.busy))
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.busy.load(Ordering::Relaxed) == 0
    }

    /// Ends the lease for all of its clones.
    pub(crate) fn end(&self) {
        self.deadline.nanos.store(0, Ordering::Release);
    }

    pub(crate) fn extend(&self, deadline: Instant) {
        let nanos = deadline
            .saturating_duration_since(self.deadline.origin)
            .as_nanos();
        self.deadline
            .nanos
            .store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Release);
    }
}

/// What happens to this worker's shards.
#[derive(Clone, Debug)]
pub(crate) enum LeaseEvent {
    /// A shard is ours now.
    Gained(Lease),
    /// A shard is to be handed over: finish what is in hand, stop, and call `Leases::release`.
    Release(ShardId),
    /// A shard is not ours any more: its lease ended, or another worker has it. Drop all that runs for it.
    Lost(ShardId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_by_the_clock_or_by_word_for_all_clones() {
        let now = Instant::now();
        let fence = Fence {
            shard: ShardId::new(1).unwrap(),
            epoch: shared::id::Epoch::new(1),
        };
        let lease = Lease::new(fence, now, now + Duration::from_secs(5));
        let clone = lease.clone();
        assert!(clone.is_live(now + Duration::from_secs(4)));
        assert!(!clone.is_live(now + Duration::from_secs(6)));
        lease.extend(now + Duration::from_secs(20));
        assert!(clone.is_live(now + Duration::from_secs(6)));
        lease.end();
        assert!(!clone.is_live(now));
    }
}
