//! What a shard's owner does: keeps its lease, takes its jobs in, runs its sessions, publishes its events.
//!
//! Must not know what a session does with a job.

mod backlog;
mod intake;
mod owner;
mod relay;
mod stray;
mod supervisor;
mod worker;

use std::sync::Arc;

use shared::id::WorkerId;
use shared::process::Process;
use shared::store::{StoreError, leases};

use self::worker::{Starts, Worker};
use crate::committer::Committer;
use crate::lease::Timing;
use crate::lease::leases::Leases;
use crate::media::Files;
use crate::scheduler::Scheduler;
use crate::session::Settings;
use crate::session::cap::Cap;
use crate::session::surroundings::Surroundings;
use crate::version::{self, Keeper};
use crate::wake::Wake;

/// Runs the role until the soft stop, then hands every shard over. Whatever it knows of the world outside, time and
/// chance included, comes in by `process`.
///
/// # Errors
/// [`StoreError`], at the start only: later the role waits for what is away.
pub async fn run(
    process: Process,
    settings: Settings,
    worker: WorkerId,
    timing: Timing,
) -> Result<(), StoreError> {
    let Process {
        store,
        broker,
        clock,
        randomness,
        life,
        health,
        tracer,
    } = process;
    leases::ensure_shards(&store, settings.shards).await?;
    let files = Files::new(settings.media).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let start = version::Start {
        settings: settings.version,
        whatsapp: settings.whatsapp,
    };
    let (mut keeper, versions) = Keeper::new(store.clone(), clock, randomness.fork(), health.clone(), start);
    // Boxed: a fetch is large, and seldom.
    Box::pin(keeper.begin()).await;
    let keeping = Box::pin(keeper.run(life.soft().clone()));
    let wake = Wake::new();
    let (committer, _) = Committer::start(&store, wake.clone(), clock)?;
    let scheduler = Scheduler::new(store.clone(), broker.clone(), clock).run(life.soft().clone());
    let (leases, events, _) = Leases::start(store.clone(), worker, timing, clock);
    let worker = Worker {
        broker: broker.clone(),
        wake,
        starts: Arc::new(Starts::new(clock, randomness.fork())),
        slots: Arc::default(),
        leases,
        health,
        around: Arc::new(Surroundings {
            store,
            broker,
            committer,
            clock,
            randomness,
            versions,
            pace: settings.pace,
            cap: Arc::new(Cap::new(settings.cap, clock)),
            rate_limit: settings.rate_limit,
            attempts: settings.attempts,
            look_ups: settings.look_ups,
            files,
            keep_bytes: settings.keep_bytes,
            limits: settings.limits,
            tracer,
        }),
    };
    let unroutable = stray::run_unroutable(worker.clone(), life.soft().clone());
    tokio::join!(owner::run(worker, events, life), unroutable, keeping, scheduler);
    Ok(())
}
