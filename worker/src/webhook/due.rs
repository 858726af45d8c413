//! The rows that are due: leased and handed to their endpoints' tasks.
//!
//! Owns how many rows are in memory. Must not know what an attempt is.

use std::sync::Arc;
use std::time::Duration;

use shared::store::{Store, StoreError, deliveries, webhooks};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::attempt::count_dead;
use super::endpoint::Dispatch;
use super::endpoints::Endpoints;
use super::registry::Registry;

/// Rows that may be in memory.
pub(super) const IN_MEMORY_MAX: u32 = 256;

/// Rows that one look leases at most.
const BATCH: u32 = 64;

/// How often due rows are looked for.
const TICK: Duration = Duration::from_millis(500);

/// Rows of one endpoint that one look leases at most: what it may have under way.
const SHARE: u32 = 16;
const _: () = assert!(SHARE as usize == super::endpoint::IN_FLIGHT_MAX);

/// How often rows are counted, for the metrics and against the limit.
const COUNT_EVERY: Duration = Duration::from_secs(15);

/// How long a row of an endpoint that just went away is put off.
const AWAY: Duration = Duration::from_secs(5);

/// Leases due rows until `stop`. An endpoint for which more than `pending_max` wait is disabled.
pub(super) async fn run(
    store: Store,
    mut endpoints: Endpoints,
    registry: Registry,
    pending_max: u32,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(usize::try_from(IN_MEMORY_MAX).unwrap_or(1)));
    let around = &registry.around;
    let mut next_count = around.clock.now();
    loop {
        let more = match work(&store, &mut endpoints, &registry, &room).await {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(%error, "due webhook deliveries can't be read; trying again");
                false
            }
        };
        if around.clock.now() >= next_count {
            next_count = around.clock.now() + COUNT_EVERY;
            if let Err(error) = review(&store, pending_max).await {
                tracing::warn!(%error, "webhook deliveries could not be counted");
            }
        }
        if more {
            tokio::task::yield_now().await;
            if stop.is_cancelled() {
                return;
            }
            continue;
        }
        let pause = around
            .backoff
            .next_end(around.clock.now())
            .map_or(TICK, |end| end.min(TICK));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Leases as many rows as there is room for; whether there may be more.
async fn work(
    store: &Store,
    endpoints: &mut Endpoints,
    registry: &Registry,
    room: &Arc<Semaphore>,
) -> Result<bool, StoreError> {
    let free = u32::try_from(room.available_permits())
        .unwrap_or(u32::MAX)
        .min(BATCH);
    if free == 0 {
        return Ok(false);
    }
    let around = &registry.around;
    let resting = around.backoff.now(around.clock.now());
    let rows = deliveries::lease_due(store, free, SHARE.min(free), &resting, around.attempts.lease).await?;
    if rows.is_empty() {
        return Ok(false);
    }
    // An endpoint that gave its full share may have more.
    let more = rows.len() >= usize::try_from(SHARE.min(free)).unwrap_or(usize::MAX);
    let snapshot = endpoints.now().await?;
    for delivery in rows {
        let Some(target) = snapshot.find(delivery.webhook) else {
            // Deleted or disabled a moment ago: then the row is gone, or is not leased again.
            deliveries::put_off(store, &delivery, AWAY).await?;
            continue;
        };
        // Only this loop takes permits, so the room that was there is there.
        let Ok(permit) = room.clone().try_acquire_owned() else {
            break;
        };
        let dispatch = Dispatch::Retry {
            target: target.clone(),
            delivery,
            permit,
        };
        registry.dispatch(target.id, dispatch).await;
    }
    Ok(more)
}

/// Counts the rows, and disables endpoints for which too many wait: one that fails for ever would fill the database.
async fn review(store: &Store, pending_max: u32) -> Result<(), StoreError> {
    let pending = deliveries::count_pending(store).await?;
    let dead = deliveries::count_dead(store).await?;
    // Counts far below 2^52: exact as floating point.
    metrics::gauge!("fanfare_webhook_pending").set(pending.iter().map(|(_, rows)| rows).sum::<i64>() as f64);
    metrics::gauge!("fanfare_webhook_dead").set(dead as f64);
    for (id, _) in pending.iter().filter(|(_, rows)| *rows > i64::from(pending_max)) {
        let why = format!("more than {pending_max} deliveries waited for it");
        let given_up = webhooks::disable(store, *id, &why).await?;
        count_dead(given_up);
        tracing::warn!(webhook.id = %id, given_up, "webhook endpoint disabled: too many deliveries wait for it");
    }
    Ok(())
}
