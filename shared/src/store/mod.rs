//! The database: all SQL of the product, and nothing else.
//!
//! Functions are grouped by what they speak of; each has its SQL text beside it, beginning with its name, so
//! that `pg_stat_statements` reads like the code. Records are checked again when read. What belongs to a
//! session is written under the epoch of its shard ([`Fence`]); the many small writes of running sessions go
//! through [`commit::GroupCommit`]. Knows nothing of the broker.

pub mod commit;
pub mod deliveries;
pub mod idempotency;
pub mod keys;
pub mod leases;
mod migrate;
pub mod outbox;
pub mod queues;
pub mod recipients;
mod server;
pub mod sessions;
pub mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tracing::level_filters::LevelFilter;

pub use leases::Fence;
pub use migrate::{Migration, SCHEMA_VERSION};

use self::server::Server;
use crate::clock::Clock;
use crate::config;
use crate::random::Randomness;
use crate::seal::{SealError, Sealer};

/// How long a call waits for a pooled connection, and for the server to accept a new one.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
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

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached, or broke off. Nothing is known about a write in hand: it may be done or not.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The shard has another owner now: drop all that is in memory of it.
    #[error("the shard has another owner")]
    Fenced,
    /// It refused what it was given. A mistake of ours; trying again won't help.
    #[error("the database refused a write: {0}")]
    Refused(String),
    /// A row breaks our own rules.
    #[error("the database holds a row that it must not: {0}")]
    Corrupt(&'static str),
    /// A credential does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The schema is not the one this program was built with.
    #[error(
        "the database schema is version {found}, this program needs {needed}: run `fanfare-api migrate` of the same release"
    )]
    Schema {
        /// The version found.
        found: i32,
        /// The version needed.
        needed: i32,
    },
    /// A released migration was changed behind our back.
    #[error("migration {0} was applied with another text than this program has")]
    Changed(i32),
    /// The URL is not one of a database.
    #[error("DATABASE_URL is not usable: {0}")]
    Url(String),
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // 22 data exception, 23 constraint violation, 42 wrong SQL. The server's detail text can hold
            // personal data: only the code and the constraint's name are kept.
            Some(db)
                if ["22", "23", "42"]
                    .iter()
                    .any(|class| db.code().code().starts_with(class)) =>
            {
                let rule = db.constraint().or(db.column()).unwrap_or_default();
                tracing::debug!(
                    db.code = db.code().code(),
                    db.rule = rule,
                    "the database refused a statement"
                );
                Self::Refused(format!("{} {rule}", db.code().code()))
            }
            Some(db) => Self::Unavailable(format!("{} {}", db.code().code(), db.message())),
            None => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<deadpool_postgres::PoolError> for StoreError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Whether an error is the violation of a named constraint or unique index.
pub(crate) fn violates(error: &tokio_postgres::Error, constraint: &str) -> bool {
    let db = error.as_db_error();
    db.is_some_and(|db| {
        [SqlState::UNIQUE_VIOLATION, SqlState::FOREIGN_KEY_VIOLATION].contains(db.code())
            && db.constraint() == Some(constraint)
    })
}

/// The database of the deployment. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    server: Server,
    sealer: Option<Arc<Sealer>>,
    clock: Clock,
    randomness: Randomness,
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
    pub fn new(database: &config::Database, sealer: Option<Sealer>) -> Result<Self, StoreError> {
        let server = Server::read(database.url.expose())?;
        Ok(Self {
            pool: pool(&server, database.pool_size)?,
            server,
            sealer: sealer.map(Arc::new),
            clock: Clock::system(),
            randomness: Randomness::system(),
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
    pub async fn connect(database: &config::Database, sealer: Option<Sealer>) -> Result<Self, StoreError> {
        let store = Self::new(database, sealer)?;
        match store.check_schema().await {
            Ok(()) => Ok(store),
            // Nothing has worked yet, so the setting is as likely to be wrong as the server to be down.
            Err(StoreError::Unavailable(why)) => Err(StoreError::Unavailable(format!(
                "{why}; is PostgreSQL running, and are address, user and password in DATABASE_URL right?"
            ))),
            Err(error) => Err(error),
        }
    }

    /// Brings the schema to this program's version; returns the migrations applied now.
    ///
    /// # Errors
    /// [`StoreError::Changed`], [`StoreError::Schema`] (a newer schema), [`StoreError::Unavailable`].
    pub async fn migrate(&self) -> Result<Vec<Migration>, StoreError> {
        migrate::run(self).await
    }

    /// Refuses a schema of another version.
    ///
    /// # Errors
    /// [`StoreError::Schema`], [`StoreError::Unavailable`].
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        migrate::check(self).await
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.client().await?.simple_query("SELECT 1").await?;
        Ok(())
    }

    /// What time the database's clock shows.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn clock(&self) -> Result<time::OffsetDateTime, StoreError> {
        Ok(self
            .client()
            .await?
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

    /// Begins a named transaction; the name is the label of its metric.
    pub(crate) async fn begin(&self, name: &'static str) -> Result<Tx, StoreError> {
        // Guarded before the word is out: a caller that goes away meanwhile must not put a connection with an open
        // transaction back into the pool, where others would write into it and never commit.
        let tx = Tx {
            client: Some(self.client().await?),
            name,
            started: self.clock.now(),
            clock: self.clock,
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
    started: Instant,
    clock: Clock,
}

impl Tx {
    /// Makes the transaction durable.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.end("COMMIT", "committed").await
    }

    /// Undoes the transaction and keeps the connection.
    pub(crate) async fn rollback(self) -> Result<(), StoreError> {
        self.end("ROLLBACK", "rolled_back").await
    }

    async fn end(mut self, verb: &str, outcome: &'static str) -> Result<(), StoreError> {
        self.batch_execute(verb).await?;
        metrics::histogram!("fanfare_transaction_seconds", "name" => self.name, "outcome" => outcome)
            .record((self.clock.now() - self.started).as_secs_f64());
        // Only now it goes back to the pool.
        self.client = None;
        Ok(())
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
            drop(Object::take(client));
        }
    }
}

#[cfg(test)]
mod tests;
