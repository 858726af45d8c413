//! For tests of all crates: a database of their own, made from the migrations, and broker objects of their own
//! under a random prefix. Both go when the value is dropped. Panics with the reason if a service is missing.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

use std::future::Future;
use std::path::Path;

use schemars::Schema;
use serde::Serialize;
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::broker::{Broker, BrokerError};
use crate::clock::Clock;
use crate::config::{Amqp, Database, Secret};
use crate::id::{EventId, JobId, QueueId, ShardId, StanzaIds, Token, WebhookId, WorkerId};
use crate::random::Randomness;
use crate::seal::Sealer;
use crate::store::{Fence, Store, Tx, leases};

/// The key that tests seal with, as `KEY_ENCRYPTION_KEY` takes it.
pub const TEST_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The value of an environment variable that tests need.
///
/// # Panics
/// If it is missing, saying how to get it.
pub fn service_url(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set. Run: deploy/services.sh start && eval \"$(deploy/services.sh env)\"")
    })
}

/// Compares a schema with the one in `docs/schemas`, which foreign publishers read. `UPDATE_SCHEMAS=1` writes it.
///
/// # Panics
/// If the document is not current.
pub fn documented(name: &str, schema: &Schema) {
    in_the_docs(&format!("schemas/{name}.json"), schema);
}

/// Compares what a program makes with a JSON file below `docs`. `UPDATE_SCHEMAS=1` writes it.
///
/// # Panics
/// If the file is not current.
pub fn in_the_docs(name: &str, made: &impl Serialize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/{name}"));
    let text = serde_json::to_string_pretty(made).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, text).unwrap();
    } else {
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == text,
            "docs/{name} is not current; run the test with UPDATE_SCHEMAS=1"
        );
    }
}

/// A sealer with [`TEST_KEY`].
pub fn sealer() -> Sealer {
    TEST_KEY.parse().unwrap()
}

/// A database of one test, made from the migrations.
#[derive(Debug)]
pub struct TestDatabase {
    store: Store,
    database: Database,
    name: String,
}

impl TestDatabase {
    /// Makes it, on the server of `DATABASE_URL`.
    ///
    /// # Panics
    /// If the server is missing.
    pub async fn new() -> Self {
        let url = service_url("DATABASE_URL");
        let name = format!("fanfare_test_{}", Uuid::new_v4().simple());
        admin(&url, &format!("CREATE DATABASE {name}")).await;
        let database = Database {
            url: Secret::new(with_database(&url, &name)),
            pool_size: 4,
        };
        let store = Store::new(&database, Some(sealer()), Clock::system()).unwrap();
        store.migrate().await.unwrap();
        Self {
            store,
            database,
            name,
        }
    }

    /// The store of the database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Its settings, to give to a process or to make another store.
    pub fn config(&self) -> &Database {
        &self.database
    }

    /// The URL of this database where its server is reached by another URL.
    pub fn at(&self, server: &str) -> String {
        with_database(server, &self.name)
    }

    /// A second store on the same database, with its own pool.
    pub fn another_store(&self) -> Store {
        Store::new(&self.database, Some(sealer()), Clock::system()).unwrap()
    }

    /// Makes the lease rows and takes one shard for a worker of that name.
    pub async fn lease(&self, shard: u16, worker: &str) -> Fence {
        leases::ensure_shards(&self.store, shard + 1).await.unwrap();
        let worker = WorkerId::new(worker).unwrap();
        let shard = ShardId::new(shard).unwrap();
        let ttl = std::time::Duration::from_secs(600);
        leases::take(&self.store, &worker, &[shard], ttl).await.unwrap()[0]
    }

    /// Holds all rows of a table, for as long as it takes.
    pub async fn hold(&self, table: &str) -> Held {
        let tx = self.store.begin("test").await.unwrap();
        let sql =
            format!("SET LOCAL idle_in_transaction_session_timeout = 0; SELECT 1 FROM {table} FOR UPDATE");
        tx.batch_execute(&sql).await.unwrap();
        Held(tx)
    }

    /// Runs any SQL and returns its first column as texts: for what no function of the store shows.
    pub async fn query(&self, sql: &str) -> Vec<Option<String>> {
        let client = self.store.client().await.unwrap();
        let rows = client.simple_query(sql).await.unwrap();
        let texts = rows.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        });
        texts.collect()
    }
}

/// Rows that nobody else can change.
pub struct Held(Tx);

impl Held {
    /// Lets them go.
    pub async fn release(self) {
        self.0.rollback().await.unwrap();
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        self.store.close();
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let url = service_url("DATABASE_URL");
        aside(async move { admin(&url, &drop).await });
    }
}

/// Broker objects of one test, under a random prefix.
#[derive(Debug)]
pub struct TestBroker {
    broker: Broker,
    config: Amqp,
}

impl TestBroker {
    /// Connects to the broker of `AMQP_URL` and declares a topology with so many shards.
    ///
    /// # Panics
    /// If the broker is missing.
    pub async fn new(shards: u16) -> Self {
        let prefix = format!("test-{}", Uuid::new_v4().simple());
        let config = Amqp {
            url: Secret::new(service_url("AMQP_URL")),
            prefix,
            shards,
        };
        let broker = connect(&config).await.unwrap();
        broker.collect_for_webhooks().await.unwrap();
        Self { broker, config }
    }

    /// The broker.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Its settings, to give to a process or to connect again.
    pub fn config(&self) -> &Amqp {
        &self.config
    }
}

impl TestBroker {
    /// Binds a queue to all events that has little room: what more is published is refused.
    pub async fn narrow_queue(&self, room: i32) -> String {
        self.broker.narrow_queue(room).await
    }

    /// Takes all that waits in a queue.
    pub async fn drain(&self, queue: &str) -> Vec<Vec<u8>> {
        self.broker.drain(queue).await
    }

    /// Deletes a queue.
    pub async fn remove(&self, queue: &str) {
        self.broker.remove(queue).await;
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        let config = self.config.clone();
        aside(async move {
            let broker = connect(&config).await.unwrap();
            broker.delete_topology().await.unwrap();
            broker.close().await;
        });
    }
}

/// Connects to a broker, as a process does.
///
/// # Errors
/// [`BrokerError`].
pub async fn connect(config: &Amqp) -> Result<Broker, BrokerError> {
    Broker::connect(config, Clock::system(), &Randomness::system()).await
}

/// A token that no other test uses.
pub fn token() -> Token {
    Token::new(&format!("t-{}", Uuid::new_v4().simple())).unwrap()
}

/// A job id that no other test uses.
pub fn job_id() -> JobId {
    JobId::new(&Uuid::now_v7().to_string()).unwrap()
}

/// Ids of messages that no other test uses.
pub fn stanza_ids() -> StanzaIds {
    StanzaIds::fresh(&mut rand::rng())
}

/// A queue id that no other test uses.
pub fn queue_id() -> QueueId {
    QueueId::new(Uuid::new_v4())
}

/// An event id that no other test uses.
pub fn event_id() -> EventId {
    EventId::new(Uuid::now_v7())
}

/// A webhook id that no other test uses.
pub fn webhook_id() -> WebhookId {
    WebhookId::new(Uuid::new_v4())
}

/// The URL of another database of the same server.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url
        .split_once('?')
        .map_or((url, None), |(base, query)| (base, Some(query)));
    let server = base.rsplit_once('/').map_or(base, |(server, _)| server);
    match query {
        Some(query) => format!("{server}/{name}?{query}"),
        None => format!("{server}/{name}"),
    }
}

async fn admin(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap_or_else(|error| {
        panic!("DATABASE_URL does not answer ({error}). Run: deploy/services.sh start")
    });
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    drop(client);
    let _ = connection.await;
}

/// Runs a future to its end from a `drop`, on a thread of its own: the test's runtime may be busy or ending.
fn aside(work: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(work);
    });
    // A failed clean-up leaves rubbish behind, but must not hide the test's own failure.
    let _ = thread.join();
}
