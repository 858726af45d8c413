//! Group commit: the many small writes of all running sessions, many of them in one transaction.
//!
//! Owns the connection that they go over, one transaction at a time. Each [`Write`] is fenced by the epoch of its
//! shard inside the transaction: a stale one fails alone. A write that the database refuses fails alone too: its batch
//! is undone and done again one by one. Knows nothing of who gathers the writes.
//!
//! An answer is final. Success comes only when the write is durable. A failure comes only when the write can't become
//! durable any more: what is read behind an answer is not older than what the answer was about.

mod backend;
mod batch;
mod change;
mod chats;
mod columns;
mod hidden;
mod joined;
mod labels;
mod people;
mod polls;
mod received;
mod received_polls;
mod sealed;
mod statements;
mod states;

use std::fmt;
use std::time::Duration;

pub use change::{
    KeyChange, QueueChange, RecipientChange, RecipientKey, SendRejection, SessionChange, Write,
};
pub use sealed::{SealedWrite, WriteSealer};

use self::backend::Backend;
use self::batch::{Batch, Outcome};
use self::joined::Joined;
use self::statements::Statements;
use super::server::Server;
use super::{Store, StoreError};
use crate::clock::Clock;

/// Most writes of one transaction.
pub const BATCH_MAX: usize = 500;
/// After this a transaction counts as failed and its connection is dropped.
pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// Plans are made anew whenever the number of transactions has doubled, from the first of these to the last. In a table without
/// rows one index is as good as another, and nobody tells the server that it has grown before the first vacuum does.
const PLANS_FROM: u64 = 8;
const PLANS_TO: u64 = 65_536;
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

/// The connection of group commit; made when first needed, and anew when it broke.
pub struct GroupCommit {
    server: Server,
    clock: Clock,
    connection: Option<Connection>,
    joined: Joined,
}

impl fmt::Debug for GroupCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupCommit")
    }
}

struct Connection {
    client: tokio_postgres::Client,
    backend: Backend,
    statements: Statements,
    /// How many transactions it carried out.
    carried_out: u64,
}

impl GroupCommit {
    /// Not connected yet.
    pub fn new(store: &Store) -> Self {
        Self {
            server: store.server(),
            clock: store.clock,
            connection: None,
            joined: Joined::default(),
        }
    }

    /// Commits writes, in one transaction unless the database refuses one of them; answers each in their order.
    pub async fn commit(&mut self, writes: &[SealedWrite]) -> Vec<Result<(), CommitError>> {
        match self.attempt(writes).await {
            // The refused write is one of them: each for itself, in order, so that the others succeed.
            Err(StoreError::Refused(_)) if writes.len() > 1 => {
                let mut results = Vec::with_capacity(writes.len());
                for write in writes {
                    let alone = self.attempt(std::slice::from_ref(write)).await;
                    results.extend(spread(alone, 1));
                }
                results
            }
            result => spread(result, writes.len()),
        }
    }

    /// One transaction. Any failure but a refusal costs the connection, since its state is unknown: all of the
    /// transaction may be on the wire. It is over, one way or the other, when this returns.
    async fn attempt(&mut self, writes: &[SealedWrite]) -> Result<Vec<Outcome>, StoreError> {
        let mut joined = std::mem::take(&mut self.joined);
        let connection = self.connected().await?;
        let batch = Batch::new(writes);
        let attempt = connection.carry_out(&batch, &mut joined);
        let result = match tokio::time::timeout(COMMIT_TIMEOUT, attempt).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Unavailable("a commit timed out".into())),
        };
        let backend = connection.backend;
        self.joined = joined;
        if !matches!(result, Ok(_) | Err(StoreError::Refused(_))) {
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
                        tracing::warn!(%error, "can't tell yet what became of a commit; asking again");
                        self.connection = None;
                    }
                },
                Err(error) => tracing::warn!(%error, "can't tell yet what became of a commit; asking again"),
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
            let deadline = self.clock.now() + COMMIT_TIMEOUT;
            let mut pause = RECONNECT.0;
            self.connection = loop {
                match connect(&self.server).await {
                    Ok(connection) => break Some(connection),
                    Err(error) if self.clock.now() + pause >= deadline => return Err(error),
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

impl Connection {
    async fn carry_out(
        &mut self,
        batch: &Batch<'_>,
        joined: &mut Joined,
    ) -> Result<Vec<Outcome>, StoreError> {
        if self.carried_out.is_power_of_two() && (PLANS_FROM..=PLANS_TO).contains(&self.carried_out) {
            self.client.batch_execute("DISCARD PLANS").await?;
        }
        let outcomes = batch.run(&mut self.client, &self.statements, joined).await?;
        self.carried_out += 1;
        Ok(outcomes)
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
        carried_out: 0,
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
