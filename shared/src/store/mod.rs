//! The database: all SQL of the product, and nothing else.
//!
//! Functions are grouped by what they speak of; each has its SQL text beside it, beginning with its name, so
//! that `pg_stat_statements` reads like the code. Records are checked again when read. What belongs to a
//! session is written under the epoch of its shard ([`Fence`]); the many small writes of running sessions go
//! through [`commit::GroupCommit`]. Knows nothing of the broker.
//!
//! All that asks the database fails with [`StoreError::Unavailable`] when it can't be reached. What else a function
//! fails with, it says.

pub mod chats;
pub mod client_version;
pub mod commit;
pub mod deliveries;
mod error;
pub mod idempotency;
pub mod keys;
pub mod leases;
pub mod media;
mod migrate;
pub mod outbox;
pub mod outlook;
pub mod polls;
pub mod previews;
pub mod proxies;
pub mod queues;
pub mod received;
pub mod recipients;
pub mod requests;
pub mod reseal;
pub mod retries;
pub mod schedules;
mod server;
pub mod sessions;
pub mod survey;
mod traces;
pub mod uploads;
pub mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tracing::level_filters::LevelFilter;

pub use error::StoreError;
pub(crate) use error::violates;
pub use leases::Fence;
pub use migrate::{Migration, SCHEMA_VERSION};
pub use server::CONNECT_TIMEOUT;

use self::server::Server;
use crate::clock::Clock;
use crate::config;
use crate::metrics::labels::{Transaction, TransactionEnd};
use crate::metrics::list;
use crate::seal::{SealError, Sealer};

/// After this the server gives up a statement of ours (migrations excepted).
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);
/// Logs of tokio-postgres that show what is stored, and how much of them passes: statements with their parameters, and
/// notices of the server.
pub const TELLTALE_LOGS: [(&str, LevelFilter); 3] = [
    ("tokio_postgres::query", LevelFilter::OFF),
    ("tokio_postgres::simple_query", LevelFilter::OFF),
    ("tokio_postgres::connection", LevelFilter::WARN),
];
/// After this the server undoes a transaction whose client says nothing. A worker that is stopped in the middle
/// of one would else hold its lease rows, and nobody could take its shards.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// The database of the deployment. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    server: Server,
    sealer: Option<Arc<Sealer>>,
    clock: Clock,
}

/// What the connections of a pool do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connections {
    /// A task has them.
    pub used: usize,
    /// They wait for a task.
    pub idle: usize,
    /// Tasks that wait for one.
    pub awaited: usize,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Prepares a pool; connects when first used. Without a sealer, functions that seal or open fail.
    ///
    /// # Errors
    /// [`StoreError::Url`].
    pub fn new(
        database: &config::Database,
        sealer: Option<Sealer>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let server = Server::read(database.url.expose())?;
        Ok(Self {
            pool: pool(&server, database.pool_size)?,
            server,
            sealer: sealer.map(Arc::new),
            clock,
        })
    }

    /// The same database with so many connections of its own: for what must not wait until others are done.
    ///
    /// # Errors
    /// [`StoreError::Url`].
    pub fn apart(&self, connections: usize) -> Result<Self, StoreError> {
        Ok(Self {
            pool: pool(&self.server, connections)?,
            ..self.clone()
        })
    }

    /// [`Store::new`], and refuses a database whose schema is not this program's.
    ///
    /// # Errors
    /// [`StoreError::Url`], [`StoreError::Schema`], [`StoreError::Unavailable`].
    pub async fn connect(
        database: &config::Database,
        sealer: Option<Sealer>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let store = Self::new(database, sealer, clock)?;
        match store.check_schema().await {
            Ok(()) => Ok(store),
            // Nothing has worked yet, so the setting is as likely to be wrong as the server to be down.
            Err(StoreError::Unavailable(why)) => Err(StoreError::Unavailable(format!(
                "{why}; is PostgreSQL running, and are address, user and password in DATABASE_URL right?"
            ))),
            Err(error) => Err(error),
        }
    }

    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.client().await?.simple_query("SELECT 1").await?;
        Ok(())
    }

    /// What the connections of the pool do.
    pub fn connections(&self) -> Connections {
        let status = self.pool.status();
        Connections {
            used: status.size.saturating_sub(status.available),
            idle: status.available,
            awaited: status.waiting,
        }
    }

    /// What time the database's clock shows.
    pub async fn clock(&self) -> Result<time::OffsetDateTime, StoreError> {
        Ok(self
            .query_one("SELECT clock_timestamp()", &[])
            .await?
            .try_get(0)?)
    }

    /// Closes the pool: later calls fail.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Seals and opens values at rest.
    ///
    /// # Errors
    /// [`StoreError::Seal`] if this process has no key.
    pub fn sealer(&self) -> Result<&Sealer, StoreError> {
        self.sealer.as_deref().ok_or(StoreError::Seal(SealError::BadKey))
    }

    pub(crate) async fn client(&self) -> Result<Object, StoreError> {
        Ok(self.pool.get().await?)
    }

    /// Runs a statement that each connection prepares once.
    pub(crate) async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query(&statement, parameters).await?)
    }

    /// [`Store::query`], for at most one row.
    pub(crate) async fn query_opt(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.query(sql, parameters).await?.pop())
    }

    /// [`Store::query`], for exactly one row.
    pub(crate) async fn query_one(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, StoreError> {
        let row = self.query_opt(sql, parameters).await?;
        row.ok_or(StoreError::Corrupt("no row where one must be"))
    }

    /// [`Store::query`], for a statement that answers no rows; returns how many it changed.
    pub(crate) async fn execute(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.execute(&statement, parameters).await?)
    }

    /// Begins a named transaction; the name is the label of its metric.
    pub(crate) async fn begin(&self, name: &'static str) -> Result<Tx, StoreError> {
        // Guarded before the word is out: a caller that goes away meanwhile must not put a connection with an open
        // transaction back into the pool, where others would write into it and never commit.
        let tx = Tx {
            client: Some(self.client().await?),
            name,
            clock: self.clock,
            started: self.clock.now(),
        };
        tx.batch_execute("BEGIN").await?;
        Ok(tx)
    }

    /// The server, for a connection outside the pool (the committer's).
    pub(crate) fn server(&self) -> Server {
        self.server.clone()
    }
}

/// Connections that are made when first needed.
fn pool(server: &Server, size: usize) -> Result<Pool, StoreError> {
    let config = server.configured(&format!(
        "-c statement_timeout={} -c idle_in_transaction_session_timeout={}",
        STATEMENT_TIMEOUT.as_millis(),
        IDLE_TIMEOUT.as_millis()
    ));
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    Pool::builder(Manager::from_config(config, server.tls(), recycling))
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CONNECT_TIMEOUT))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .build()
        .map_err(|e| StoreError::Url(e.to_string()))
}

/// A transaction of its own connection. Dropped without [`Tx::commit`], it takes the connection with it: the
/// server then rolls back.
pub(crate) struct Tx {
    client: Option<Object>,
    name: &'static str,
    clock: Clock,
    started: Instant,
}

impl Tx {
    /// Makes the transaction durable.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.end("COMMIT", TransactionEnd::Committed).await
    }

    /// Undoes the transaction and keeps the connection.
    pub(crate) async fn rollback(self) -> Result<(), StoreError> {
        self.end("ROLLBACK", TransactionEnd::RolledBack).await
    }

    async fn end(mut self, verb: &str, end: TransactionEnd) -> Result<(), StoreError> {
        self.batch_execute(verb).await?;
        self.measure(end);
        // Only now it goes back to the pool.
        self.client = None;
        Ok(())
    }
}

impl Tx {
    fn measure(&self, end: TransactionEnd) {
        let took = (self.clock.now() - self.started).as_secs_f64();
        list::TRANSACTION.of((Transaction(self.name), end)).record(took);
    }
}

impl std::ops::Deref for Tx {
    type Target = Object;
    fn deref(&self) -> &Object {
        // Unwrap safety: `client` is taken only at the end of `end`, which consumes the guard.
        #[allow(clippy::unwrap_used)]
        self.client.as_ref().unwrap()
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            self.measure(TransactionEnd::Dropped);
            drop(Object::take(client));
        }
    }
}

#[cfg(test)]
mod tests;
