//! Which shards this worker owns: a registry of live workers, shards divided among them by rendezvous hashing,
//! and leases that are renewed at each tick and end by this process's own clock before the database's.
//!
//! A shard that another worker should have is handed over: [`LeaseEvent::Release`] asks the owner to stop what
//! runs for it and call [`Leases::release`]. Knows nothing of sessions.

use shared::clock::Clock;
use shared::id::{ShardId, WorkerId};
use shared::store::Store;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, timeout_at};

use super::keeper::Keeper;
use super::{LeaseEvent, Timing};

/// The loop that keeps the leases. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Leases {
    commands: mpsc::Sender<Command>,
}

enum Command {
    Release(ShardId, oneshot::Sender<()>),
    Leave(oneshot::Sender<()>),
}

impl Leases {
    /// Starts the loop. It ends when the last clone is dropped, or after [`Leases::leave`]; leases that are not
    /// given back then run out by themselves.
    pub(crate) fn start(
        store: Store,
        worker: WorkerId,
        timing: Timing,
        clock: Clock,
    ) -> (Self, mpsc::Receiver<LeaseEvent>, JoinHandle<()>) {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        // The URL was read before, so it can be read again; if not, sharing is better than no leases.
        let store = store.apart(CONNECTIONS).unwrap_or(store);
        let keeper = Keeper::new(store, worker, timing, clock);
        let task = tokio::spawn(run(keeper, inbox, sender));
        (Self { commands }, events, task)
    }

    /// Gives a shard back after [`LeaseEvent::Release`] (or at any time). Its lease ends at once; another
    /// worker can take it when this returns.
    pub(crate) async fn release(&self, shard: ShardId) {
        self.ask(|done| Command::Release(shard, done)).await;
    }

    /// Takes this worker off the list: every shard gets a [`LeaseEvent::Release`]. Returns when all are
    /// given back or have run out.
    pub(crate) async fn leave(&self) {
        self.ask(Command::Leave).await;
    }

    async fn ask(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(command(done)).await.is_ok() {
            // The loop is gone only when the process ends.
            let _ = wait.await;
        }
    }
}

/// One turn per tick, command or ended lease. Cancelled nowhere; ends with its senders or after leaving.
async fn run(mut keeper: Keeper, mut commands: mpsc::Receiver<Command>, events: mpsc::Sender<LeaseEvent>) {
    let mut ticks = tokio::time::interval(keeper.timing().tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left: Option<oneshot::Sender<()>> = None;
    loop {
        let end = keeper.next_deadline();
        tokio::select! {
            _ = ticks.tick() => {
                // A tick that hangs is cut when the first lease ends, so that its end is told in time.
                match timeout_at(end, keeper.tick()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(error = %error, "can't renew the leases; trying again until they end"),
                    Err(_) => tracing::warn!("renewing the leases timed out; trying again until they end"),
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
        keeper.expire();
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

/// Most lease events that wait to be taken. There are at most two per shard, so none waits long.
const EVENTS_MAX: usize = 256;
/// Most commands that wait for the next turn of the loop.
const COMMANDS_MAX: usize = 256;
/// Connections of the loop alone: a renewal that waited for one behind large jobs would end all leases.
const CONNECTIONS: usize = 2;
