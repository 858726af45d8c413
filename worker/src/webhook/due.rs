//! The rows that are due: leased and handed to their endpoints' tasks.
//!
//! Must not know what an attempt is.

use std::sync::Arc;
use std::time::Duration;

use shared::metrics::labels::DisabledFor;
use shared::metrics::list;
use shared::store::deliveries::{self, upkeep};
use shared::store::{Store, StoreError, webhooks};
use tokio_util::sync::CancellationToken;

use super::endpoint::Dispatch;
use super::endpoints::{Endpoints, Snapshot};
use super::registry::Registry;
use super::room::{Room, SHARE};

/// Rows that one look leases at most.
const BATCH: u32 = 64;

/// How often due rows are looked for.
const TICK: Duration = Duration::from_millis(500);

/// How often rows are counted, for the metrics and against the limit.
const COUNT_EVERY: Duration = Duration::from_secs(15);

/// How long a row of an endpoint that just went away is put off.
const AWAY: Duration = Duration::from_secs(5);

/// Leases due rows until `stop`. An endpoint for which more than `pending_max` wait is disabled.
pub(super) async fn run(
    store: Store,
    endpoints: Endpoints,
    registry: Registry,
    pending_max: u32,
    stop: CancellationToken,
) {
    let room = Room::new();
    let around = &registry.around;
    let mut next_count = around.clock.now();
    let mut known = Known {
        endpoints,
        snapshot: Arc::default(),
    };
    loop {
        let more = match work(&store, &mut known, &registry, &room).await {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(%error, "due webhook deliveries can't be read; trying again");
                false
            }
        };
        if around.clock.now() >= next_count {
            next_count = around.clock.now() + COUNT_EVERY;
            if let Err(error) = review(&store, pending_max).await {
                tracing::warn!(%error, "webhook deliveries could not be counted; trying again");
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
            () = room.freed() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// The endpoints, and what was known of them last.
struct Known {
    endpoints: Endpoints,
    snapshot: Arc<Snapshot>,
}

impl Known {
    /// The endpoints as they are now. The rows of those that were changed may be tried at once.
    async fn now(&mut self, registry: &Registry) -> Result<Arc<Snapshot>, StoreError> {
        let now = self.endpoints.now().await?;
        if !Arc::ptr_eq(&now, &self.snapshot) {
            for id in now.changed_since(&self.snapshot) {
                registry.around.backoff.end(id);
            }
            self.snapshot = now.clone();
        }
        Ok(now)
    }
}

/// Leases as many rows as there is room for; whether there may be more.
async fn work(
    store: &Store,
    known: &mut Known,
    registry: &Registry,
    room: &Room,
) -> Result<bool, StoreError> {
    let free = room.free().min(BATCH);
    if free == 0 {
        return Ok(false);
    }
    let around = &registry.around;
    known.now(registry).await?;
    let mut resting = around.backoff.now(around.clock.now());
    resting.extend(room.sated());
    let rows = deliveries::lease_due(store, free, SHARE.min(free), &resting, around.attempts.lease).await?;
    if rows.is_empty() {
        return Ok(false);
    }
    // An endpoint that gave its full share may have more.
    let more = rows.len() >= usize::try_from(SHARE.min(free)).unwrap_or(usize::MAX);
    // Again, since one may have been enabled in between.
    let snapshot = known.now(registry).await?;
    for delivery in rows {
        let Some(target) = snapshot.find(delivery.webhook) else {
            // Deleted or disabled a moment ago: then the row is gone, or is not leased again.
            deliveries::put_off(store, &delivery, AWAY).await?;
            continue;
        };
        // Only this loop takes places, so the room that was there is there.
        let Some(place) = room.take(delivery.webhook) else {
            break;
        };
        let dispatch = Dispatch::Retry {
            target: target.clone(),
            delivery: Box::new(delivery),
            place,
        };
        registry.dispatch(target.id, dispatch).await;
    }
    Ok(more)
}

/// Disables endpoints for which too many wait: one that fails for ever would fill the database.
async fn review(store: &Store, pending_max: u32) -> Result<(), StoreError> {
    let pending = upkeep::count_pending(store).await?;
    let too_many = |one: &&upkeep::Pending| one.is_answerable && one.deliveries > i64::from(pending_max);
    for one in pending.iter().filter(too_many) {
        let why = format!("more than {pending_max} deliveries waited for it");
        webhooks::disable(store, one.webhook, &why).await?;
        list::WEBHOOKS_DISABLED.of(DisabledFor::TooMany).increment(1);
        tracing::warn!(
            webhook.id = %one.webhook, waiting = one.deliveries,
            "webhook endpoint disabled: too many deliveries wait for it"
        );
    }
    Ok(())
}
