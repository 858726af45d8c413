//! Group commit: the many small writes of all running sessions, gathered into few transactions.
//!
//! One task, one connection, one transaction in flight; what arrives meanwhile makes the next batch. Each
//! [`Write`] is fenced by the epoch of its shard inside the transaction: a stale one fails alone. A write that
//! the database refuses fails alone too: its batch is undone and done again one by one. Writes are committed in the
//! order they were handed over.
//!
//! An answer is final. Success comes only when the write is durable. A failure comes only when the write can't become
//! durable any more: what is read behind an answer is not older than what the answer was about.

mod backend;
mod batch;
mod change;
mod statements;

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use change::{KeyChange, QueueChange, RecipientChange, RecipientKey, SessionChange, Write};

use self::backend::Backend;
use self::batch::{Batch, Outcome};
use self::statements::Statements;
use super::server::Server;
use super::{Store, StoreError};
use crate::outbox::Wake;
use crate::seal::{Place, Sealer};

/// Most writes of one transaction.
pub const BATCH_MAX: usize = 500;
/// Most writes that wait for the next transaction; more wait at the door.
pub const WAITING_MAX: usize = 4_096;
/// After this a transaction counts as failed and its connection is dropped.
pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// First and longest pause between tries to connect.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Why a write is not known to be durable.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommitError {
    /// The shard has another owner: drop all that is in memory of it, and send nothing.
    #[error("the shard has another owner")]
    Fenced,
    /// The database can't be reached or broke off: the write is durable or never will be, and nobody knows which.
    /// Drop what is in memory of the session and load it again.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The database refused the write; nothing of it is stored. A mistake of ours.
    #[error("the database refused a write: {0}")]
    Refused(String),
}

/// The door to group commit. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Committer {
    queue: mpsc::Sender<Entry>,
    sealer: std::sync::Arc<Sealer>,
}

/// A write that was handed over.
#[derive(Debug)]
pub struct Submitted(oneshot::Receiver<Result<(), CommitError>>);

impl Submitted {
    /// Waits until the write is durable.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn durable(self) -> Result<(), CommitError> {
        self.0.await.map_err(|_| stopped())?
    }
}

fn stopped() -> CommitError {
    CommitError::Unavailable("the committer has stopped".into())
}

/// A write, sealed and waiting, and whom to tell. Without a write, who wants to know that those before it are over.
struct Entry {
    write: Option<Write>,
    answer: oneshot::Sender<Result<(), CommitError>>,
}

impl Committer {
    /// Starts the task. It ends when the last clone of the committer is dropped, with all writes answered.
    /// `wake` is told of shards with new events.
    ///
    /// # Errors
    /// [`StoreError::Seal`] if the store has no key to seal with.
    pub fn start(store: &Store, wake: Wake) -> Result<(Self, JoinHandle<()>), StoreError> {
        let sealer = store
            .sealer
            .clone()
            .ok_or(StoreError::Seal(crate::seal::SealError::BadKey))?;
        let (queue, entries) = mpsc::channel(WAITING_MAX);
        let task = Task {
            server: store.server(),
            entries,
            wake,
            connection: None,
        };
        Ok((Self { queue, sealer }, tokio::spawn(task.run())))
    }

    /// Makes a write durable. Returns when it is. Of several writes made at the same time, none comes first:
    /// where their order matters, hand them over by [`Committer::submit`].
    ///
    /// Cancel safety: a caller that goes away leaves it open whether the write is done.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit(&self, write: Write) -> Result<(), CommitError> {
        self.submit(write).await?.durable().await
    }

    /// Hands a write over: what is handed over first is committed first, or together. Waits only when too many
    /// wait already.
    ///
    /// # Errors
    /// [`CommitError::Unavailable`] if the committer has stopped.
    pub async fn submit(&self, mut write: Write) -> Result<Submitted, CommitError> {
        self.seal(&mut write);
        self.hand_over(Some(write)).await
    }

    /// Waits until everything that was handed over before is durable, or can't become durable any more. What is read
    /// afterwards is not older than any of it. Costs the database nothing.
    ///
    /// # Errors
    /// [`CommitError::Unavailable`] if the committer has stopped.
    pub async fn settled(&self) -> Result<(), CommitError> {
        self.hand_over(None).await?.durable().await
    }

    async fn hand_over(&self, write: Option<Write>) -> Result<Submitted, CommitError> {
        let (answer, done) = oneshot::channel();
        self.queue
            .send(Entry { write, answer })
            .await
            .map_err(|_| stopped())?;
        Ok(Submitted(done))
    }

    /// Sealing costs microseconds per value and is done here, on the caller's thread, not in the one task.
    fn seal(&self, write: &mut Write) {
        for key in &mut write.keys {
            if let Some(value) = &mut key.value {
                let place = Place {
                    session: write.session,
                    kind: key.kind.0,
                    name: &key.name,
                };
                *value = self.sealer.seal(place, value).into();
            }
        }
    }
}

struct Task {
    server: Server,
    entries: mpsc::Receiver<Entry>,
    wake: Wake,
    connection: Option<Connection>,
}

struct Connection {
    client: tokio_postgres::Client,
    backend: Backend,
    statements: Statements,
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
    async fn commit(&mut self, writes: &[Write], answers: Vec<oneshot::Sender<Result<(), CommitError>>>) {
        metrics::histogram!("fanfare_commit_batch_writes").record(writes.len() as f64);
        let started = std::time::Instant::now();
        let results = match self.attempt(writes).await {
            // The refused write is one of them: each for itself, in order, so that the others succeed.
            Err(StoreError::Refused(_)) if writes.len() > 1 => {
                let mut results = Vec::with_capacity(writes.len());
                for write in writes {
                    let alone = self.attempt(std::slice::from_ref(write)).await;
                    results.push(spread(alone, 1).remove(0));
                }
                results
            }
            result => spread(result, writes.len()),
        };
        metrics::histogram!("fanfare_commit_seconds").record(started.elapsed().as_secs_f64());
        for ((write, result), answer) in writes.iter().zip(results).zip(answers) {
            if result.is_ok() && !write.events.is_empty() {
                self.wake.shard(write.fence.shard);
            }
            // A caller that is gone drops its memory of the session anyway.
            let _ = answer.send(result);
        }
    }

    /// One transaction. Any failure but a refusal costs the connection, since its state is unknown: all of the
    /// transaction may be on the wire. It is over, one way or the other, when this returns.
    async fn attempt(&mut self, writes: &[Write]) -> Result<Vec<Outcome>, StoreError> {
        let connection = self.connected().await?;
        let batch = Batch::new(writes);
        let attempt = batch.run(&mut connection.client, &connection.statements);
        let result = match tokio::time::timeout(COMMIT_TIMEOUT, attempt).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Unavailable("a commit timed out".into())),
        };
        if !matches!(result, Ok(_) | Err(StoreError::Refused(_))) {
            let backend = connection.backend;
            self.connection = None;
            self.end(backend).await;
        }
        result
    }

    /// Ends a backend whose connection is given up, and waits until it is gone: what it was sent, a COMMIT too, it
    /// may still carry out for as long as it lives. Tries for as long as it takes. Whoever waits for the answer holds
    /// a lease that ends first, and a new one has another epoch.
    async fn end(&mut self, backend: Backend) {
        let mut pause = RECONNECT.0;
        loop {
            match self.connected().await {
                Ok(connection) => match backend.end(&connection.client).await {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(%error, "can't tell yet what became of a commit");
                        self.connection = None;
                    }
                },
                Err(error) => tracing::warn!(%error, "can't tell yet what became of a commit"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RECONNECT.1);
        }
    }

    /// The connection, made anew if need be; tries for as long as one commit may take.
    async fn connected(&mut self) -> Result<&mut Connection, StoreError> {
        if self
            .connection
            .as_ref()
            .is_none_or(|connection| connection.client.is_closed())
        {
            let deadline = tokio::time::Instant::now() + COMMIT_TIMEOUT;
            let mut pause = RECONNECT.0;
            self.connection = loop {
                match connect(&self.server).await {
                    Ok(connection) => break Some(connection),
                    Err(error) if tokio::time::Instant::now() + pause >= deadline => return Err(error),
                    Err(_) => tokio::time::sleep(pause).await,
                }
                pause = (pause * 2).min(RECONNECT.1);
            };
        }
        self.connection
            .as_mut()
            .ok_or_else(|| StoreError::Unavailable("not connected".into()))
    }
}

async fn connect(server: &Server) -> Result<Connection, StoreError> {
    match tokio::time::timeout(super::CONNECT_TIMEOUT, connect_now(server)).await {
        Ok(connection) => connection,
        Err(_) => Err(StoreError::Unavailable("connecting timed out".into())),
    }
}

async fn connect_now(server: &Server) -> Result<Connection, StoreError> {
    // Every statement of a batch finds its rows by key. A plan made while a table was small must never turn
    // into a scan of a large one, and planning each time would cost more than running.
    let config = server.configured(&format!(
        "-c statement_timeout={} -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off \
         -c plan_cache_mode=force_generic_plan -c idle_in_transaction_session_timeout={}",
        COMMIT_TIMEOUT.as_millis(),
        super::IDLE_TIMEOUT.as_millis()
    ));
    let (client, connection) = config.connect(server.tls()).await?;
    // Ends by itself when the client is dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(error = %error, "the committer's database connection broke");
        }
    });
    Ok(Connection {
        backend: Backend::of(&client).await?,
        statements: Statements::prepare(&client).await?,
        client,
    })
}

/// Turns the result of a batch into one per write.
fn spread(result: Result<Vec<Outcome>, StoreError>, writes: usize) -> Vec<Result<(), CommitError>> {
    match result {
        Ok(outcomes) => outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Outcome::Durable => Ok(()),
                Outcome::Fenced => Err(CommitError::Fenced),
            })
            .collect(),
        Err(StoreError::Refused(why)) => vec![Err(CommitError::Refused(why)); writes],
        Err(error) => vec![Err(CommitError::Unavailable(error.to_string())); writes],
    }
}

#[cfg(test)]
mod tests;
