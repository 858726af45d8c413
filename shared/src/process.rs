//! What a process of Fanfare has when it begins to work: its database, its broker, time, chance and its own life.
//!
//! Made at one place, from settings; a test or a simulation makes its own.

mod notify;

use std::time::Duration;

use crate::broker::{Broker, BrokerError};
use crate::clock::Clock;
use crate::config::Common;
use crate::lifecycle::Lifecycle;
use crate::metrics::Role;
use crate::random::Randomness;
use crate::seal::Sealer;
use crate::store::{SCHEMA_VERSION, Store, StoreError};
use crate::survey::{self, Surveyor};
use crate::telemetry::{self, Health, Metrics, Tracer};

/// What a process lends to all that runs in it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Process {
    /// The database.
    pub store: Store,
    /// The broker.
    pub broker: Broker,
    /// The time.
    pub clock: Clock,
    /// Where chance comes from.
    pub randomness: Randomness,
    /// Its signals and tasks.
    pub life: Lifecycle,
    /// How it is.
    pub health: Health,
    /// Who is told what it did for which trace.
    pub tracer: Tracer,
}

/// Why a process does not start; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The logs, the metrics or their address can't be set up.
    #[error("{0}")]
    Telemetry(String),
    /// Signals can't be listened to.
    #[error("signals can't be listened to: {0}")]
    Signals(#[from] std::io::Error),
    /// The database is away, or not the one that is needed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker is away, or not as it should be.
    #[error("{source}; {}", source.advice())]
    Broker {
        /// What it said.
        #[from]
        source: BrokerError,
    },
}

impl Process {
    /// Starts to log, to count and to listen to signals, connects, and serves health and metrics on their own address
    /// until the process is cut: the last thing to be watched is the stop itself. Told to end, it drains for `drain` first.
    pub async fn start(
        role: Role,
        common: &Common,
        sealer: Option<Sealer>,
        drain: Duration,
    ) -> Result<(Self, Metrics), StartError> {
        let (clock, randomness) = (Clock::system(), Randomness::system());
        let limit =
            telemetry::init_logs(&common.log, common.log_format, clock).map_err(StartError::Telemetry)?;
        let metrics = Metrics::install(role).map_err(StartError::Telemetry)?;
        let metrics = metrics.guarded(common.metrics_token.clone());
        let life = Lifecycle::with_signals(drain)?;
        // Ends with the process, as late as may be.
        tokio::spawn(limit.run(life.hard().clone()));
        // The address first: it is the cheapest mistake to find.
        let address = telemetry::listen(common.metrics_addr).await;
        let address = address.map_err(StartError::Telemetry)?;
        let tracer = Tracer::start(&common.tracing, role.job(), clock, &randomness);
        let tracer = tracer.map_err(StartError::Telemetry)?;
        let store = Store::connect(&common.database, sealer, clock).await?;
        let broker = Broker::connect(&common.amqp, clock, &randomness).await?;
        let health = health(clock, &store, &broker, &life);
        let serve = telemetry::serve(address, metrics.clone(), health.clone(), life.hard().clone());
        // Ends with the process, which does not wait for it.
        tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "health and metrics are not served on their own address any more");
            }
        });
        let surveyor = Surveyor {
            store: store.clone(),
            broker: broker.clone(),
            clock,
            shards: common.amqp.shard_ids().collect(),
            every: common.survey,
            once: metrics.once(),
        };
        life.spawn(surveyor.run(randomness.clone(), life.soft().clone()));
        life.spawn(survey::watch_database(store.clone(), life.soft().clone()));
        let process = Self {
            store,
            broker,
            clock,
            randomness,
            life,
            health,
            tracer,
        };
        Ok((process, metrics))
    }

    /// It takes work from now on: whoever started it is told so, and that it lives, for as long as it does.
    pub fn started(&self) {
        // Ends with the process: the stop itself is watched too.
        tokio::spawn(notify::run(self.health.clone(), self.life.clone()));
    }

    /// Closes what it was connected to.
    pub async fn close(self) {
        notify::stopping();
        self.tracer.close().await;
        self.broker.close().await;
        self.store.close();
    }
}

fn health(clock: Clock, store: &Store, broker: &Broker, life: &Lifecycle) -> Health {
    let health = Health::new(clock);
    let draining = life.draining().clone();
    health.check("draining", move || {
        let told = draining.is_cancelled();
        async move {
            match told {
                true => Err("the process was told to end, and is to get no more work".to_owned()),
                false => Ok(()),
            }
        }
    });
    let pinged = store.clone();
    health.check("database", move || {
        let store = pinged.clone();
        async move { store.ping().await.map_err(|error| error.to_string()) }
    });
    let (old, new) = (store.clone(), store.clone());
    health.check("migrations", move || {
        let store = old.clone();
        async move { lacking(store.check_schema().await) }
    });
    health.notice("migrations", move || {
        let store = new.clone();
        async move { overtaken(store.check_schema().await) }
    });
    let broker = broker.clone();
    health.check("broker", move || {
        let trouble = broker.trouble();
        async move { trouble.map_or(Ok(()), Err) }
    });
    health
}

/// A database that went back in time, or another one. What is no answer is told by the database's own check.
fn lacking(checked: Result<(), StoreError>) -> Result<(), String> {
    match checked {
        Err(StoreError::Schema { found, needed }) if found < needed => Err(format!(
            "the schema has version {found}, this release needs {needed}; run fanfare-api migrate"
        )),
        _ => Ok(()),
    }
}

/// One release runs beside the next, so this is no reason to stop.
fn overtaken(checked: Result<(), StoreError>) -> Result<(), String> {
    match checked {
        Err(StoreError::Schema { found, .. }) if found > SCHEMA_VERSION => Err(format!(
            "the schema has version {found}, this release knows {SCHEMA_VERSION}; go on with the upgrade: once it ends, this \
             process does not start again"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestBroker, TestDatabase};

    #[tokio::test]
    async fn readiness_names_what_is_missing() {
        let (database, broker) = (TestDatabase::new().await, TestBroker::new(1).await);
        let connected = Broker::connect(broker.config(), Clock::system(), &Randomness::seeded(1)).await;
        let (broker, life) = (connected.unwrap(), Lifecycle::new());
        let health = health(Clock::system(), database.store(), &broker, &life);
        assert_eq!(health.not_ready().await, Vec::<String>::new());
        let older =
            "UPDATE migration SET version = -version WHERE version = (SELECT max(version) FROM migration)";
        database.query(older).await;
        let told = health.not_ready().await;
        assert!(
            told.len() == 1 && told[0].starts_with("migrations: the schema has version"),
            "{told:?}"
        );
        database
            .query("INSERT INTO migration (version, name, checksum) SELECT 9999, 'newer', ''")
            .await;
        assert_eq!(health.not_ready().await, Vec::<String>::new());
        let told = health.degradations().await;
        assert!(
            told.len() == 1 && told[0].contains("has version 9999"),
            "{told:?}"
        );
        broker.close().await;
        let told = health.not_ready().await;
        assert!(
            told.len() == 1 && told[0].starts_with("broker: publishing: "),
            "{told:?}"
        );
        life.stop();
        let told = health.not_ready().await;
        assert!(told.len() == 2 && told[0].starts_with("draining: "), "{told:?}");
    }
}
