//! Gathers the writes of all running sessions for group commit.
//!
//! One task, one transaction in flight; what arrives meanwhile makes the next batch. Writes are committed in the order
//! they were handed over. Owns who is told of what; what a batch is, is the store's.

use shared::clock::Clock;
use shared::metrics::labels::CommitFailure;
use shared::metrics::list;
use shared::store::commit::{BATCH_MAX, CommitError, GroupCommit, SealedWrite, Write, WriteSealer};
use shared::store::{Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::wake::Wake;

/// The way to group commit. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Committer {
    queue: mpsc::Sender<Entry>,
    sealer: WriteSealer,
}

/// A write, sealed and waiting, and whom to tell. Without a write, who wants to know that those before it are over.
#[derive(Debug)]
struct Entry {
    write: Option<SealedWrite>,
    answer: oneshot::Sender<Result<(), CommitError>>,
}

impl Committer {
    /// Starts the task. It ends when the last clone of the committer is dropped, with all writes answered.
    /// `wake` is told of shards with new events.
    ///
    /// # Errors
    /// [`StoreError::Seal`] if the store has no key to seal with.
    pub(crate) fn start(
        store: &Store,
        wake: Wake,
        clock: Clock,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        let sealer = WriteSealer::new(store)?;
        let (queue, entries) = mpsc::channel(WAITING_MAX);
        let task = Task {
            commits: GroupCommit::new(store),
            entries,
            wake,
            clock,
        };
        Ok((Self { queue, sealer }, tokio::spawn(task.run())))
    }

    /// Makes a write durable. Returns when it is. What is polled first is committed first, or together. Waits longer only
    /// when too many wait already.
    ///
    /// Cancel safety: a caller that goes away leaves it open whether the write is done.
    pub(crate) async fn commit(&self, write: Write) -> Result<(), CommitError> {
        // Sealed here, on the caller's thread, not in the one task.
        self.hand_over(Some(self.sealer.seal(write))).await
    }

    /// Waits until everything that was handed over before is durable, or can't become durable any more. What is read
    /// afterwards is not older than any of it. Costs the database nothing.
    ///
    /// # Errors
    /// [`CommitError::Unavailable`] if the committer has stopped.
    pub(crate) async fn settled(&self) -> Result<(), CommitError> {
        self.hand_over(None).await
    }

    async fn hand_over(&self, write: Option<SealedWrite>) -> Result<(), CommitError> {
        let stopped = || CommitError::Unavailable("the committer has stopped".into());
        let (answer, done) = oneshot::channel();
        let entry = Entry { write, answer };
        self.queue.send(entry).await.map_err(|_| stopped())?;
        done.await.map_err(|_| stopped())?
    }
}

struct Task {
    commits: GroupCommit,
    entries: mpsc::Receiver<Entry>,
    wake: Wake,
    clock: Clock,
}

impl Task {
    async fn run(mut self) {
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        loop {
            if self.entries.recv_many(&mut waiting, BATCH_MAX).await == 0 {
                return;
            }
            let (mut writes, mut answers, mut bystanders) = (Vec::new(), Vec::new(), Vec::new());
            for Entry { write, answer } in waiting.drain(..) {
                match write {
                    Some(write) => {
                        writes.push(write);
                        answers.push(answer);
                    }
                    None => bystanders.push(answer),
                }
            }
            if !writes.is_empty() {
                self.commit(&writes, answers).await;
            }
            for answer in bystanders {
                let _ = answer.send(Ok(()));
            }
        }
    }

    /// Commits a batch and answers each of its writes.
    async fn commit(
        &mut self,
        writes: &[SealedWrite],
        answers: Vec<oneshot::Sender<Result<(), CommitError>>>,
    ) {
        list::COMMIT_WRITES.record(writes.len() as f64);
        let started = self.clock.now();
        let results = self.commits.commit(writes).await;
        list::COMMIT.record((self.clock.now() - started).as_secs_f64());
        for ((write, result), answer) in writes.iter().zip(results).zip(answers) {
            if result.is_ok() && !write.events.is_empty() {
                self.wake.shard(write.fence.shard);
            }
            if let Err(error) = &result {
                let why = match error {
                    CommitError::Fenced => CommitFailure::Fenced,
                    CommitError::Unavailable(_) => CommitFailure::Unavailable,
                    CommitError::Refused(_) => CommitFailure::Refused,
                };
                list::COMMITS_FAILED.of(why).increment(1);
            }
            // A caller that is gone drops its memory of the session anyway.
            let _ = answer.send(result);
        }
    }
}

/// Most writes that wait for the next transaction; who brings more waits too.
const WAITING_MAX: usize = 4_096;

#[cfg(test)]
mod tests;
