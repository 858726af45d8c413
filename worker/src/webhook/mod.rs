//! The webhook role: every event to every endpoint that wants it, at least once, under one id.
//!
//! An event comes from the broker and is posted at once. What an endpoint does not take becomes a row and is tried
//! again on a published schedule; the broker's message is acked when each endpoint has taken the event or has its
//! row. The common case costs no write to the database but its share of a note, which many events have together.

mod attempt;
mod backoff;
mod circuit;
mod due;
mod endpoint;
mod endpoints;
mod fanout;
mod journal;
mod pace;
mod payload;
mod registry;
mod request;
mod room;
mod schedule;
mod stores;
mod sweep;

use std::sync::Arc;
use std::time::Duration;

use shared::broker::{BrokerError, QueueName};
use shared::config::{Env, read_seconds};
use shared::egress::Reach;
use shared::event::legacy;
use shared::process::Process;
use shared::store::StoreError;
use shared::subscription::{self, SubscriptionError};

use self::attempt::Attempts;
use self::backoff::Backoff;
use self::circuit::CircuitLimits;
use self::endpoint::Surroundings;
use self::endpoints::Endpoints;
use self::journal::{Journal, Writer};
use self::registry::Registry;
use self::request::Poster;
use self::schedule::Schedule;
use self::sweep::Keep;

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);
const TIMEOUT_MAX: Duration = Duration::from_secs(300);
const CIRCUIT_MAX: Duration = Duration::from_secs(86_400);
const PENDING_MAX_DEFAULT: u32 = 1_000_000;
const PENDING_MAX_MAX: u32 = 100_000_000;
const KEEP_DELIVERED_DEFAULT: u32 = 10_000;
const KEEP_DELIVERED_MAX: u32 = 1_000_000;
const KEEP_DELIVERED_HOURS_DEFAULT: u16 = 24;
const KEEP_DELIVERED_HOURS_MAX: u16 = 720;
const KEEP_QUEUES_DAYS_DEFAULT: u16 = 30;
const KEEP_MESSAGES_DAYS_DEFAULT: u16 = 90;

/// Largest `KEEP_QUEUES_DAYS` and `KEEP_MESSAGES_DAYS`; 0 is for ever.
const KEEP_DAYS_MAX: u16 = 3_650;

/// How long a stop waits for attempts that are under way; their events come again otherwise.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// What the role is told from outside.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `WEBHOOK`: the operator's global webhook.
    global: Option<String>,
    /// `WEBHOOK_ALLOW_PRIVATE`: whether webhooks may go to private and loopback addresses.
    reach: Reach,
    /// `WEBHOOK_TIMEOUT`: longest that one attempt takes, in seconds.
    timeout: Duration,
    /// `WEBHOOK_RETRY_SCHEDULE`: waits between attempts, in seconds, separated by commas.
    schedule: Schedule,
    /// How long a failing endpoint is left alone: `WEBHOOK_CIRCUIT_SECONDS` the first time.
    circuit: CircuitLimits,
    /// `WEBHOOK_PENDING_MAX`: most deliveries that may wait for one endpoint; with more it is disabled.
    pending_max: u32,
    /// `WEBHOOK_KEEP_DELIVERED`: most deliveries of one endpoint that are kept though they were taken at once.
    keep_delivered: u32,
    /// `WEBHOOK_KEEP_DELIVERED_HOURS`: and how long.
    keep_delivered_for: Duration,
    /// `KEEP_QUEUES_DAYS`: how long finished queues and their recipients are kept; for ever if `None`.
    keep_queues: Option<Duration>,
    /// `KEEP_MESSAGES_DAYS`: how long messages that came in are kept; for ever if `None`.
    keep_messages: Option<Duration>,
}

/// Why the role does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database is away, or has no key to open secrets with.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker is away.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The global webhook can't be registered.
    #[error("the global webhook can't be registered: {0}")]
    Global(#[from] SubscriptionError),
    /// The TLS roots of this machine can't be read.
    #[error("the HTTP client can't be set up: {0}")]
    Http(#[from] reqwest::Error),
}

impl Settings {
    /// Reads the section; mistakes are noted in `env`.
    pub fn read(env: &mut Env) -> Self {
        let global: Option<String> = env.optional("WEBHOOK");
        if let Some(Err(error)) = global.as_deref().map(|url| Reach::Anywhere.check(url)) {
            env.problem("WEBHOOK", error);
        }
        let mut circuit = CircuitLimits::default();
        circuit.first = read_seconds(env, "WEBHOOK_CIRCUIT_SECONDS", circuit.first);
        if circuit.first > CIRCUIT_MAX {
            env.problem(
                "WEBHOOK_CIRCUIT_SECONDS",
                format!("must be at most {} seconds", CIRCUIT_MAX.as_secs()),
            );
        }
        circuit.longest = circuit.longest.max(circuit.first);
        let timeout = read_seconds(env, "WEBHOOK_TIMEOUT", TIMEOUT_DEFAULT);
        if timeout.is_zero() || timeout > TIMEOUT_MAX {
            env.problem(
                "WEBHOOK_TIMEOUT",
                format!("must be above 0 and at most {} seconds", TIMEOUT_MAX.as_secs()),
            );
        }
        let schedule: Option<Schedule> = env.optional("WEBHOOK_RETRY_SCHEDULE");
        Self {
            global,
            reach: if env.or("WEBHOOK_ALLOW_PRIVATE", false) {
                Reach::Anywhere
            } else {
                Reach::Public
            },
            timeout,
            schedule: schedule.unwrap_or_default(),
            circuit,
            pending_max: read_pending_max(env),
            keep_delivered: read_keep_delivered(env),
            keep_delivered_for: read_keep_delivered_for(env),
            keep_queues: read_keep_days(env, "KEEP_QUEUES_DAYS", KEEP_QUEUES_DAYS_DEFAULT),
            keep_messages: read_keep_days(env, "KEEP_MESSAGES_DAYS", KEEP_MESSAGES_DAYS_DEFAULT),
        }
    }
}

fn read_pending_max(env: &mut Env) -> u32 {
    let most = env.or("WEBHOOK_PENDING_MAX", PENDING_MAX_DEFAULT);
    if most == 0 || most > PENDING_MAX_MAX {
        env.problem("WEBHOOK_PENDING_MAX", format!("must be 1 to {PENDING_MAX_MAX}"));
    }
    most
}

fn read_keep_delivered(env: &mut Env) -> u32 {
    let most = env.or("WEBHOOK_KEEP_DELIVERED", KEEP_DELIVERED_DEFAULT);
    if most > KEEP_DELIVERED_MAX {
        env.problem(
            "WEBHOOK_KEEP_DELIVERED",
            format!("must be 0 (none) to {KEEP_DELIVERED_MAX}"),
        );
    }
    most
}

fn read_keep_delivered_for(env: &mut Env) -> Duration {
    let hours = env.or("WEBHOOK_KEEP_DELIVERED_HOURS", KEEP_DELIVERED_HOURS_DEFAULT);
    if hours == 0 || hours > KEEP_DELIVERED_HOURS_MAX {
        env.problem(
            "WEBHOOK_KEEP_DELIVERED_HOURS",
            format!("must be 1 to {KEEP_DELIVERED_HOURS_MAX}"),
        );
    }
    Duration::from_secs(3_600 * u64::from(hours))
}

fn read_keep_days(env: &mut Env, name: &'static str, default: u16) -> Option<Duration> {
    let days = env.or(name, default);
    if days > KEEP_DAYS_MAX {
        env.problem(name, format!("must be 0 (for ever) to {KEEP_DAYS_MAX} days"));
    }
    (days > 0).then(|| Duration::from_secs(86_400 * u64::from(days)))
}

/// Delivers events until `stop`, then finishes what is under way for at most `STOP_PATIENCE`.
///
/// # Errors
/// [`StartError`], at the start only: later the role waits for what is away.
pub async fn run(process: Process, settings: Settings) -> Result<(), StartError> {
    let (store, broker) = (&process.store, &process.broker);
    let stop = process.life.soft();
    broker.collect_for_webhooks().await?;
    subscription::set_global(store, broker, settings.global.as_deref(), legacy::EVENT).await?;
    let poster = Poster::new(settings.reach, settings.timeout)?;
    let journal = Arc::new(Journal::new(settings.keep_delivered));
    let mut writer = Writer::new(journal.clone(), store.clone(), process.randomness.fork());
    let attempts = Attempts::new(&process, poster, settings.schedule, settings.timeout, journal);
    let registry = Registry::new(Surroundings {
        attempts: Arc::new(attempts),
        limits: settings.circuit,
        backoff: Backoff::default(),
        clock: process.clock,
    });
    let consumer = broker.consume(&QueueName::Webhooks, fanout::PREFETCH);
    let endpoints = || Endpoints::new(store.clone());
    let fanout = fanout::run(consumer, endpoints(), registry.clone(), stop.clone());
    let keep = Keep {
        queues: settings.keep_queues,
        messages: settings.keep_messages,
        delivered: settings.keep_delivered_for,
    };
    let sweep = sweep::run(store.clone(), keep, process.clock, stop.clone());
    let due = due::run(
        store.clone(),
        endpoints(),
        registry.clone(),
        settings.pending_max,
        stop.clone(),
    );
    let review = subscription::keep_reviewing(store, broker, stop);
    let work = async {
        tokio::join!(fanout, due, sweep, review, writer.run(stop));
        // Nothing is dispatched any more; what is under way is recorded, so that it is not made again.
        registry.close().await;
        writer.write().await;
    };
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_PATIENCE).await;
    };
    tokio::select! {
        () = work => {}
        () = late => tracing::warn!("attempts were still under way at the stop; their events come again"),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
