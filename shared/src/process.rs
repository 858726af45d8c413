//! What a process of Fanfare has when it begins to work: its database, its broker, time, chance and its own life.
//!
//! Made at one place, from settings; a test or a simulation makes its own.

use crate::broker::{Broker, BrokerError};
use crate::clock::Clock;
use crate::config::Common;
use crate::lifecycle::Lifecycle;
use crate::metrics::Role;
use crate::random::Randomness;
use crate::seal::Sealer;
use crate::store::{Store, StoreError};
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
    /// until the process is cut: the last thing to be watched is the stop itself.
    pub async fn start(
        role: Role,
        common: &Common,
        sealer: Option<Sealer>,
    ) -> Result<(Self, Metrics), StartError> {
        let (clock, randomness) = (Clock::system(), Randomness::system());
        let limit =
            telemetry::init_logs(&common.log, common.log_format, clock).map_err(StartError::Telemetry)?;
        let metrics = Metrics::install(role).map_err(StartError::Telemetry)?;
        let metrics = metrics.guarded(common.metrics_token.clone());
        let life = Lifecycle::with_signals()?;
        // Ends with the process, as late as may be.
        tokio::spawn(limit.run(life.hard().clone()));
        // The address first: it is the cheapest mistake to find.
        let address = telemetry::listen(common.metrics_addr).await;
        let address = address.map_err(StartError::Telemetry)?;
        let tracer = Tracer::start(&common.tracing, role.job(), clock, &randomness);
        let tracer = tracer.map_err(StartError::Telemetry)?;
        let store = Store::connect(&common.database, sealer, clock).await?;
        let broker = Broker::connect(&common.amqp, clock, &randomness).await?;
        let health = health(clock, &store, &broker);
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

    /// Closes what it was connected to.
    pub async fn close(self) {
        self.tracer.close().await;
        self.broker.close().await;
        self.store.close();
    }
}

fn health(clock: Clock, store: &Store, broker: &Broker) -> Health {
    let health = Health::new(clock);
    let (store, broker) = (store.clone(), broker.clone());
    health.check("database", move || {
        let store = store.clone();
        async move { store.ping().await.map_err(|error| error.to_string()) }
    });
    health.check("broker", move || {
        let ready = broker.is_ready();
        async move {
            if ready {
                Ok(())
            } else {
                Err("not connected, or out of memory or disk".to_owned())
            }
        }
    });
    health
}
