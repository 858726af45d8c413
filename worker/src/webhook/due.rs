//! The rows that are due: leased and handed to their endpoints' tasks.
//!
//! Owns how many rows are in memory. Must not know what an attempt is.

use std::sync::Arc;
use std::time::Duration;

use shared::store::deliveries;
use shared::store::{Store, StoreError};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::endpoint::Order;
use super::endpoints::Endpoints;
use super::hub::Hub;

/// Rows that may be in memory.
pub const IN_MEMORY_MAX: u32 = 256;

/// Rows that one look leases at most.
const BATCH: u32 = 64;

/// How often due rows are looked for.
const TICK: Duration = Duration::from_millis(500);

/// Rows of one endpoint that one look leases at most: what it may have under way.
const SHARE: u32 = 16;
const _: () = assert!(SHARE as usize == super::endpoint::IN_FLIGHT_MAX);

/// How often rows are counted for the metrics.
const COUNT_EVERY: Duration = Duration::from_secs(15);

/// How long a row of an endpoint that just went away is put off.
const AWAY: Duration = Duration::from_secs(5);

/// Leases due rows until `stop`. `lease` is how long a row is ours.
pub async fn run(store: Store, mut endpoints: Endpoints, hub: Hub, lease: Duration, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(usize::try_from(IN_MEMORY_MAX).unwrap_or(1)));
    let mut next_count = Instant::now();
    loop {
        let more = match work(&store, &mut endpoints, &hub, lease, &room).await {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(%error, "due webhook deliveries can't be read; trying again");
                false
            }
        };
        if Instant::now() >= next_count {
            next_count = Instant::now() + COUNT_EVERY;
            count(&store).await;
        }
        if more {
            tokio::task::yield_now().await;
            if stop.is_cancelled() {
                return;
            }
            continue;
        }
        let pause = hub
            .rests()
            .next_end(Instant::now())
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
    hub: &Hub,
    lease: Duration,
    room: &Arc<Semaphore>,
) -> Result<bool, StoreError> {
    let free = u32::try_from(room.available_permits())
        .unwrap_or(u32::MAX)
        .min(BATCH);
    if free == 0 {
        return Ok(false);
    }
    let resting = hub.rests().now(Instant::now());
    let rows = deliveries::lease_due(store, (free, SHARE.min(free)), &resting, lease).await?;
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
        let order = Order::Again {
            target: target.clone(),
            delivery,
            permit,
        };
        hub.order(target.id, order).await;
    }
    Ok(more)
}

async fn count(store: &Store) {
    match deliveries::count_open(store).await {
        Ok((pending, dead)) => {
            // Counts far below 2^52: exact as floating point.
            metrics::gauge!("fanfare_webhook_pending").set(pending as f64);
            metrics::gauge!("fanfare_webhook_dead").set(dead as f64);
        }
        Err(error) => tracing::debug!(%error, "webhook deliveries could not be counted"),
    }
}
