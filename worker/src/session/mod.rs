//! The session role: sessions, their queues and their connections.
//!
//! The one place where the product's words (tokens, queues, recipients) and WhatsApp's (jids, receipts) meet.

pub(crate) mod actor;
pub mod content;
pub(crate) mod errand;
pub(crate) mod gather;
mod inbound;
mod keys;
pub(crate) mod mail;
pub(crate) mod meter;
pub mod pacer;
pub mod qr;
pub mod queues;
pub mod settings;

use std::sync::Arc;

use shared::broker::Broker;
use shared::id::WorkerId;
use shared::lifecycle::Lifecycle;
use shared::store::{Store, StoreError, leases};
use shared::telemetry::Health;

pub use settings::Settings;

use self::actor::Surroundings;
use self::pacer::Cap;
use crate::shard::committer::Committer;
use crate::shard::lease::Timing;
use crate::shard::leases::Leases;
use crate::shard::relay::{self, Wake};
use crate::shard::supervisor::Starts;
use crate::shard::{self, Ground};
use shared::clock::Clock;

/// Runs the role until the soft stop, then hands every shard over.
///
/// # Errors
/// [`StoreError`], at the start only: later the role waits for what is away.
pub async fn run(
    (store, broker): (Store, Broker),
    settings: Settings,
    worker: WorkerId,
    timing: Timing,
    (life, health): (Lifecycle, Health),
) -> Result<(), StoreError> {
    leases::ensure_shards(&store, settings.shards).await?;
    let clock = Clock::system();
    let wake = Wake::new();
    let (committer, _) = Committer::start(&store, wake.clone(), clock)?;
    let around = Surroundings {
        store: store.clone(),
        committer,
        whatsapp: Arc::new(settings.whatsapp),
        pace: settings.pace,
        cap: Arc::new(Cap::new(settings.cap)),
    };
    let backlog = relay::watch(store.clone(), clock, life.soft().clone());
    let (leases, events, _) = Leases::start(store, worker, timing, clock);
    let ground = Ground {
        around: Arc::new(around),
        broker,
        wake,
        starts: Arc::new(Starts::default()),
        doors: Arc::default(),
        leases,
        health,
    };
    let unroutable = shard::run_unroutable(ground.clone(), life.soft().clone());
    tokio::join!(shard::run(ground, events, life), unroutable, backlog);
    Ok(())
}
