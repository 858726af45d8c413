//! Which shards this worker owns: a registry of live workers, shards divided among them by rendezvous hashing,
//! and leases that are renewed at each tick and end by this process's own clock before the database's.
//!
//! A shard that another worker should have is handed over: [`LeaseEvent::Release`] asks the owner to stop what
//! runs for it and call [`Leases::release`]. Knows nothing of sessions.

mod keeper;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, timeout_at};

pub use keeper::assign;

use self::keeper::Keeper;
use crate::id::{ShardId, WorkerId};
use crate::store::{Fence, Store};

/// Most lease events that wait to be taken. There are at most two per shard, so none waits long.
const EVENTS_MAX: usize = 256;
/// Most commands that wait for the next turn of the loop.
const COMMANDS_MAX: usize = 256;
/// Connections of the loop alone: a renewal that waited for one behind large jobs would end all leases.
const CONNECTIONS: usize = 2;

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
pub struct Lease {
    fence: Fence,
    deadline: Arc<Deadline>,
    busy: Arc<AtomicUsize>,
}

/// Something of a shard has work in hand, as long as this lives.
#[derive(Debug)]
pub struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A moment that moves on: nanoseconds behind `origin`, 0 when over.
#[derive(Debug)]
struct Deadline {
    origin: Instant,
    nanos: AtomicU64,
}

impl Lease {
    /// A lease that lasts until `deadline` unless extended. Public for tests of what acts under a lease.
    pub fn new(fence: Fence, deadline: Instant) -> Self {
        let origin = Instant::now();
        let lease = Self {
            fence,
            deadline: Arc::new(Deadline {
                origin,
                nanos: AtomicU64::new(0),
            }),
            busy: Arc::default(),
        };
        lease.extend(deadline);
        lease
    }

    /// What writes for the shard must carry.
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// The shard.
    pub fn shard(&self) -> ShardId {
        self.fence.shard
    }

    /// Whether anything may still be sent for the shard. Ask right before each send.
    pub fn is_live(&self, now: Instant) -> bool {
        self.deadline.nanos.load(Ordering::Acquire) != 0 && now < self.deadline()
    }

    /// Until when it lasts if not renewed.
    pub fn deadline(&self) -> Instant {
        self.deadline.origin + Duration::from_nanos(self.deadline.nanos.load(Ordering::Acquire))
    }

    /// Says that something of the shard has work in hand: shards without are handed over first.
    pub fn busy(&self) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(&self.busy))
    }

    fn is_idle(&self) -> bool {
        self.busy.load(Ordering::Relaxed) == 0
    }

    /// Ends the lease for all of its clones.
    pub fn end(&self) {
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
pub enum LeaseEvent {
    /// A shard is ours now.
    Gained(Lease),
    /// A shard is to be handed over: finish what is in hand, stop, and call [`Leases::release`].
    Release(ShardId),
    /// A shard is not ours any more: its lease ended, or another worker has it. Drop all that runs for it.
    Lost(ShardId),
}

/// The loop that keeps the leases. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leases {
    commands: mpsc::Sender<Command>,
}

enum Command {
    Release(ShardId, oneshot::Sender<()>),
    Leave(oneshot::Sender<()>),
}

impl Leases {
    /// Starts the loop. It ends when the last clone is dropped, or after [`Leases::leave`]; leases that are not
    /// given back then run out by themselves.
    pub fn start(
        store: Store,
        worker: WorkerId,
        timing: Timing,
    ) -> (Self, mpsc::Receiver<LeaseEvent>, JoinHandle<()>) {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        // The URL was read before, so it can be read again; if not, sharing is better than no leases.
        let store = store.apart(CONNECTIONS).unwrap_or(store);
        let keeper = Keeper::new(store, worker, timing);
        let task = tokio::spawn(run(keeper, timing, inbox, sender));
        (Self { commands }, events, task)
    }

    /// Gives a shard back after [`LeaseEvent::Release`] (or at any time). Its lease ends at once; another
    /// worker can take it when this returns.
    pub async fn release(&self, shard: ShardId) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Release(shard, done)).await.is_ok() {
            // The loop is gone only when the process ends.
            let _ = wait.await;
        }
    }

    /// Takes this worker off the list: every shard gets a [`LeaseEvent::Release`]. Returns when all are
    /// given back or have run out.
    pub async fn leave(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Leave(done)).await.is_ok() {
            // The loop is gone only when the process ends.
            let _ = wait.await;
        }
    }
}

/// One turn per tick, command or ended lease. Cancelled nowhere; ends with its senders or after leaving.
async fn run(
    mut keeper: Keeper,
    timing: Timing,
    mut commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<LeaseEvent>,
) {
    let mut ticks = tokio::time::interval(timing.tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left: Option<oneshot::Sender<()>> = None;
    loop {
        let end = keeper
            .next_deadline()
            .unwrap_or_else(|| Instant::now() + timing.ttl);
        tokio::select! {
            _ = ticks.tick() => {
                // A tick that hangs is cut when the first lease ends, so that its end is told in time.
                match timeout_at(end, keeper.tick()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(error = %error, "can't renew the leases"),
                    Err(_) => tracing::warn!("renewing the leases timed out"),
                }
            }
            () = tokio::time::sleep_until(end) => {}
            command = commands.recv() => match command {
                None => return,
                // Cut when the next lease ends, as ticks are; the row runs out instead.
                Some(Command::Release(shard, done)) => {
                    if timeout_at(end, keeper.release(shard)).await.is_err() {
                        tracing::warn!(shard.id = shard.get(), "giving the shard back timed out; its lease runs out");
                    }
                    let _ = done.send(());
                }
                Some(Command::Leave(done)) => {
                    if timeout_at(end, keeper.leave()).await.is_err() {
                        tracing::warn!("leaving the list of workers timed out; the entry runs out");
                    }
                    left = Some(done);
                }
            },
        }
        keeper.expire(Instant::now());
        for event in keeper.take_events() {
            if events.send(event).await.is_err() {
                return;
            }
        }
        if keeper.has_left() {
            if let Some(done) = left.take() {
                let _ = done.send(());
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests;
