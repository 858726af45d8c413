//! What a process shows of itself at intervals, and what one of them shows of the whole deployment.
//!
//! The deployment is looked over by one process at a time: whoever came first has the turn for as long as it prolongs it.
//! Counts that the database must make are so made once, at an interval that grows with what they take, and not by each
//! process at each scrape. What can't be seen just now is not shown: no number is better than an old one.

use std::time::Duration;

use rand::RngExt as _;
use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, QueueName};
use crate::clock::Clock;
use crate::config::SURVEY_BOUNDS;
use crate::id::ShardId;
use crate::metrics::labels::{AnyReason, ConnectionUse, DeadLetterQueue, Shard};
use crate::metrics::{Look, Once, list};
use crate::random::Randomness;
use crate::store::{Store, StoreError, outbox, survey};

/// Looks over the deployment when it is this process's turn.
#[derive(Debug)]
pub(crate) struct Surveyor {
    pub(crate) store: Store,
    pub(crate) broker: Broker,
    pub(crate) clock: Clock,
    /// All shards of the deployment.
    pub(crate) shards: Vec<ShardId>,
    /// From one look to the next, where a look does not take long.
    pub(crate) every: Duration,
    /// Where it is shown.
    pub(crate) once: Once,
}

impl Surveyor {
    /// Looks until stopped, then gives the turn to another process.
    pub(crate) async fn run(self, randomness: Randomness, stop: CancellationToken) {
        let name = format!("{:016x}", randomness.fork().random::<u64>());
        let turn = self.every * TURN;
        while !stop.is_cancelled() {
            let started = self.clock.now();
            match survey::take_turn(&self.store, &name, turn).await {
                Ok(true) => self.once.show(self.look().await),
                Ok(false) | Err(_) => self.once.clear(),
            }
            let pause = ((self.clock.now() - started) * SHARE).clamp(self.every, EVERY_MAX);
            if pause > self.every {
                // The turn must not end before the next look. If the database is away, it does.
                let _ = survey::take_turn(&self.store, &name, pause + turn).await;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.once.clear();
        // If the database is away, the turn runs out.
        let _ = tokio::time::timeout(ANSWER_MAX, survey::give_back(&self.store, &name)).await;
    }

    async fn look(&self) -> Look {
        let mut look = Look::default();
        if let Err(error) = self.look_at_database(&mut look).await {
            // That it is away, others say already.
            if !matches!(error, StoreError::Unavailable(_)) {
                tracing::error!(%error, "what waits in the database can't be counted; metrics of the deployment are missing");
            }
        }
        self.look_at_broker(&mut look).await;
        look
    }

    // Counts far below 2^52: exact as floating point.
    async fn look_at_database(&self, look: &mut Look) -> Result<(), StoreError> {
        let shards = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        let coverage = survey::coverage(&self.store, shards).await?;
        look.set(&list::SHARDS, (), f64::from(shards));
        look.set(&list::SHARDS_UNOWNED, (), coverage.unowned as f64);
        look.set(&list::SESSION_WORKERS, (), coverage.workers as f64);
        let (events, oldest) = outbox::backlog(&self.store).await?;
        let age = oldest.map_or(0.0, |oldest| {
            (self.clock.wall() - oldest).as_seconds_f64().max(0.0)
        });
        look.set(&list::OUTBOX_EVENTS, (), events as f64);
        look.set(&list::OUTBOX_AGE, (), age);
        for (reason, recipients) in survey::recipients_waiting(&self.store).await? {
            look.set(&list::RECIPIENTS_WAITING, AnyReason(reason), recipients as f64);
        }
        let deliveries = survey::deliveries(&self.store).await?;
        look.set(&list::WEBHOOK_PENDING, (), deliveries.pending as f64);
        look.set(&list::WEBHOOK_DEAD, (), deliveries.dead as f64);
        Ok(())
    }

    async fn look_at_broker(&self, look: &mut Look) {
        if !self.broker.is_ready() {
            return;
        }
        for shard in &self.shards {
            if let Ok(depth) = self.broker.depth(&QueueName::Shard(*shard)).await {
                look.set(&list::SHARD_QUEUE, Shard(*shard), f64::from(depth));
            }
        }
        for (queue, label) in [
            (QueueName::DeadJobs, DeadLetterQueue::Jobs),
            (QueueName::DeadWebhooks, DeadLetterQueue::Webhooks),
        ] {
            if let Ok(depth) = self.broker.depth(&queue).await {
                look.set(&list::DEAD_LETTERS, label, f64::from(depth));
            }
        }
        if let Ok(depth) = self.broker.depth(&QueueName::Webhooks).await {
            look.set(&list::WEBHOOK_QUEUE, (), f64::from(depth));
        }
    }
}

/// Shows how this process stands with its database, until stopped.
pub(crate) async fn watch_database(store: Store, stop: CancellationToken) {
    loop {
        let answer = tokio::time::timeout(ANSWER_MAX, store.ping()).await;
        list::DATABASE_UP.set(f64::from(u8::from(matches!(answer, Ok(Ok(()))))));
        let pool = store.connections();
        for (state, connections) in [
            (ConnectionUse::Used, pool.used),
            (ConnectionUse::Idle, pool.idle),
            (ConnectionUse::Awaited, pool.awaited),
        ] {
            list::DATABASE_CONNECTIONS.of(state).set(connections as f64);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PING_EVERY) => {}
        }
    }
}

/// From one look to the next, where a look takes long.
const EVERY_MAX: Duration = SURVEY_BOUNDS.1;
/// A look may take this part of the time.
const SHARE: u32 = 20;
/// So many looks long a turn lasts that is not prolonged.
const TURN: u32 = 3;
/// How often the database is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How long it may take to give one.
const ANSWER_MAX: Duration = Duration::from_secs(3);
