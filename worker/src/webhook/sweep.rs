//! Forgets what is old, a piece at a time, so that nobody waits for it: finished deliveries, answers kept for an
//! `Idempotency-Key`, and finished queues with their recipients.
//!
//! Several workers may sweep at once: each takes other rows. Must not know what the rows are about.

use std::time::Duration;

use shared::store::{Store, StoreError, deliveries, idempotency, queues};
use tokio_util::sync::CancellationToken;

/// How often old rows are looked for, and how soon after the start.
const EVERY: Duration = Duration::from_secs(600);
const FIRST: Duration = Duration::from_secs(60);

/// Recipients that one transaction removes at most.
const PIECE: u32 = 10_000;

/// Pieces of one kind that one sweep removes at most; what is left is for the next.
const PIECES_MAX: u32 = 1_000;

/// Pause between two pieces: sweeping is not urgent.
const PAUSE: Duration = Duration::from_millis(20);

/// Sweeps until `stop`. Finished queues are kept for `keep_queues`, or for ever.
pub async fn run(store: Store, keep_queues: Option<Duration>, stop: CancellationToken) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = EVERY,
            () = stop.cancelled() => return,
        }
        tokio::select! {
            result = sweep(&store, keep_queues) => match result {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "forgot old rows"),
                Err(error) => tracing::warn!(%error, "old rows could not be forgotten; the next sweep will"),
            },
            // A piece that is cut off is undone, or done.
            () = stop.cancelled() => return,
        }
    }
}

/// One sweep; returns how many rows went.
///
/// # Errors
/// When the database is away.
pub async fn sweep(store: &Store, keep_queues: Option<Duration>) -> Result<u64, StoreError> {
    let mut gone = deliveries::give_up_disabled(store).await?;
    for _ in 0..PIECES_MAX {
        let rows = deliveries::purge(store).await? + idempotency::purge(store).await?;
        gone += rows;
        if rows < u64::from(deliveries::PURGE_MAX.min(idempotency::PURGE_MAX)) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let Some(keep) = keep_queues else {
        return Ok(gone);
    };
    for _ in 0..PIECES_MAX {
        let Some(rows) = queues::forget_finished(store, keep, PIECE).await? else {
            break;
        };
        gone += rows;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(gone)
}
