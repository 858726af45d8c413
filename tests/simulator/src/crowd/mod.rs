//! The simulated devices: contacts, and the phones of accounts. They decrypt and encrypt for real.
//!
//! Each device belongs to one shard, a task that owns its ratchets and its inbox; the world talks to shards by jobs and
//! hears from them by [`Output`]s, both over bounded channels. The crowd knows nothing of connections or stanzas.

mod device;
mod groups;
mod inbox;
mod job;
mod output;
mod placeholder;
mod receive;
mod send;
mod shard;
mod tally;
mod texts;
mod votes;

use std::collections::VecDeque;

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

pub use inbox::{MAX_INBOX, MAX_OUTBOX, ReceiptSeen, Received, Sent};
pub use job::{
    Ballots, Delivery, Devices, GroupCopy, Job, Proof, ReceiptIn, RetryIn, SendInGroup, SendText, Tampering,
    ToCompanion, Vote,
};
pub use output::{Copy, GroupMessageOut, MessageOut, Output, PastWanted, ReceiptOut, RetryOut};
pub use placeholder::{Has, Placeholder};
pub use tally::{Tally, sum};

use self::shard::Shard;
use crate::clock::Clock;
use crate::number::Number;
use crate::seed::Seed;

/// Jobs that wait for one shard.
pub const JOB_QUEUE: usize = 4096;
/// Outputs of all shards that wait for the world.
pub const OUTPUT_QUEUE: usize = 4096;

/// The world's end of all shards. Never waits: what a full shard can't take is kept here, in order, and the world takes
/// nothing more from connections until it is gone.
pub struct Crowd {
    shards: Vec<ShardQueue>,
}

/// The world's end of one shard.
struct ShardQueue {
    jobs: mpsc::Sender<Job>,
    waiting: VecDeque<Job>,
}

impl Crowd {
    /// Starts `shards` tasks on `tasks`; they end when the crowd is dropped.
    #[must_use]
    pub fn start(
        seed: &Seed,
        shards: usize,
        tasks: &TaskTracker,
        clock: Clock,
    ) -> (Self, mpsc::Receiver<Output>) {
        let (outputs, heard) = mpsc::channel(OUTPUT_QUEUE);
        let shards = (0..shards.max(1))
            .map(|index| {
                let (jobs, inbox) = mpsc::channel(JOB_QUEUE);
                tasks.spawn(Shard::new(seed.clone(), index, outputs.clone(), clock).run(inbox));
                ShardQueue {
                    jobs,
                    waiting: VecDeque::new(),
                }
            })
            .collect();
        (Self { shards }, heard)
    }

    /// Gives `who`'s shard a job.
    pub fn give(&mut self, who: Number, job: Job) {
        let shard = (who.get() % self.shards.len() as u64) as usize;
        self.shards[shard].give(job);
    }

    /// Asks all shards for their counts. Each answers after what it was given before.
    pub fn tally(&mut self) -> Vec<oneshot::Receiver<Tally>> {
        self.shards
            .iter_mut()
            .map(|shard| {
                let (answer, tally) = oneshot::channel();
                shard.give(Job::Tally(answer));
                tally
            })
            .collect()
    }

    /// Whether nothing waits for a full shard.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.shards.iter().all(|shard| shard.waiting.is_empty())
    }

    /// Waits until a full shard has room and gives it what waits. Cancel safe. Never returns if nothing waits.
    pub async fn clear(&mut self) {
        let Some(shard) = self.shards.iter_mut().find(|shard| !shard.waiting.is_empty()) else {
            return std::future::pending().await;
        };
        let Ok(first) = shard.jobs.reserve().await else {
            return shard.waiting.clear();
        };
        if let Some(job) = shard.waiting.pop_front() {
            first.send(job);
        }
        while let Some(job) = shard.waiting.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(job)) = shard.jobs.try_send(job) {
                return shard.waiting.push_front(job);
            }
        }
    }
}

impl ShardQueue {
    fn give(&mut self, job: Job) {
        if !self.waiting.is_empty() {
            return self.waiting.push_back(job);
        }
        if let Err(mpsc::error::TrySendError::Full(job)) = self.jobs.try_send(job) {
            self.waiting.push_back(job);
        }
    }
}
