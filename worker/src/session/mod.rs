//! The session role: sessions, their queues and their connections.
//!
//! The one place where the product's words (tokens, queues, recipients) and WhatsApp's (jids, receipts) meet.

mod actor;
pub mod content;
mod errand;
mod gather;
mod inbound;
mod intake;
mod jobs;
mod keys;
mod mail;
mod meter;
pub mod pacer;
pub mod qr;
pub mod queues;
pub mod settings;
mod shards;
mod supervisor;

use std::sync::Arc;

use shared::broker::Broker;
use shared::id::WorkerId;
use shared::lease::{Leases, Timing};
use shared::lifecycle::Lifecycle;
use shared::outbox::{self, Wake};
use shared::store::commit::Committer;
use shared::store::{Store, StoreError, leases};
use shared::telemetry::Health;

pub use settings::Settings;

use self::actor::Surroundings;
use self::pacer::Cap;
use self::shards::Ground;
use self::supervisor::Starts;

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
    let wake = Wake::new();
    let (committer, _) = Committer::start(&store, wake.clone())?;
    let around = Surroundings {
        store: store.clone(),
        committer,
        whatsapp: Arc::new(settings.whatsapp),
        pace: settings.pace,
        cap: Arc::new(Cap::new(settings.cap)),
    };
    let backlog = outbox::watch(store.clone(), life.soft().clone());
    let (leases, events, _) = Leases::start(store, worker, timing);
    let ground = Ground {
        around: Arc::new(around),
        broker,
        wake,
        starts: Arc::new(Starts::default()),
        doors: Arc::default(),
        leases,
        health,
    };
    let unroutable = shards::run_unroutable(ground.clone(), life.soft().clone());
    tokio::join!(shards::run(ground, events, life), unroutable, backlog);
    Ok(())
}
