//! From the broker to the endpoints: each event is given to every endpoint that wants it, and acked when each of
//! them has it or has its row.
//!
//! Owns the broker's messages while they are in memory. Must not know attempts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use serde::Deserialize;
use shared::broker::{Consumer, Delivery};
use shared::event::legacy;
use shared::id::{EventId, Token};
use shared::metrics::list;
use shared::store::webhooks::Dialect;
use shared::trace::TraceContext;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::endpoint::Dispatch;
use super::endpoints::{Endpoints, Snapshot};
use super::payload::Payload;
use super::registry::Registry;

/// Events in memory that are not acked.
pub(super) const PREFETCH: u16 = 512;

/// Most events that share one look at the set of endpoints.
const BATCH_MAX: usize = 256;

/// Most bytes of an event's name.
const NAME_MAX_BYTES: usize = 255;

/// Waits between two tries to learn the endpoints while the database is away.
const LOOK_MIN: Duration = Duration::from_millis(100);
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What is read of an envelope; the rest is the endpoints'.
#[derive(Deserialize)]
struct Envelope<'a> {
    id: EventId,
    #[serde(borrow)]
    event: std::borrow::Cow<'a, str>,
    instance: Instance,
    /// Anybody may publish: without one the order of rows is that of ids.
    #[serde(default)]
    sequence: serde_json::Value,
}

#[derive(Deserialize)]
struct Instance {
    name: Token,
}

/// Consumes events until `stop`, then waits for those in memory as long as its caller lets it.
pub(super) async fn run(
    mut consumer: Consumer,
    mut endpoints: Endpoints,
    registry: Registry,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    loop {
        let batch = tokio::select! {
            batch = next_batch(&mut consumer) => batch,
            () = stop.cancelled() => break,
        };
        let Some(batch) = batch else { break };
        let Some(snapshot) = look(&mut endpoints, &stop).await else {
            break;
        };
        for delivery in batch {
            dispatch(&snapshot, &registry, delivery, &tasks).await;
        }
    }
    consumer.cancel().await;
    // What is not settled by now goes back to the queue when the channel closes.
    tasks.close();
    tasks.wait().await;
    consumer.close().await;
}

/// The next event and those that lie ready behind it. Cancel safe: what is not returned is not taken.
async fn next_batch(consumer: &mut Consumer) -> Option<Vec<Delivery>> {
    let mut batch = vec![consumer.next().await?];
    while batch.len() < BATCH_MAX {
        match consumer.next().now_or_never() {
            Some(Some(delivery)) => batch.push(delivery),
            _ => break,
        }
    }
    Some(batch)
}

/// The endpoints as of now, however long the database is away; `None` after a stop.
async fn look(endpoints: &mut Endpoints, stop: &CancellationToken) -> Option<Arc<Snapshot>> {
    let mut wait = LOOK_MIN;
    loop {
        match endpoints.now().await {
            Ok(snapshot) => return Some(snapshot),
            Err(error) => tracing::warn!(%error, "the webhook endpoints can't be read; trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(LOOK_MAX),
            () = stop.cancelled() => return None,
        }
    }
}

/// Gives one event to its endpoints, in the order of events, and leaves the ack to a task.
async fn dispatch(snapshot: &Snapshot, registry: &Registry, delivery: Delivery, tasks: &TaskTracker) {
    list::WEBHOOK_EVENTS.increment();
    let (payload, seed) = match payloads(&delivery.body, delivery.trace) {
        Ok(payloads) => payloads,
        Err(reason) => {
            list::WEBHOOK_EVENTS_DEAD.increment();
            tracing::error!(reason, "an event can't be read; it goes to the dead letters");
            tasks.spawn(async move {
                if let Err(error) = delivery.dead_letter(reason).await {
                    tracing::warn!(%error, "an unreadable event could not be put away; it comes again");
                }
            });
            return;
        }
    };
    let mut pending = Vec::new();
    for target in snapshot.wanting(&payload.token, &payload.name) {
        let payload = match (target.dialect, &seed) {
            (Dialect::Standard, _) => &payload,
            (Dialect::Seed, Some(seed)) => seed,
            (Dialect::Seed, None) => continue,
        };
        let (settled, done) = oneshot::channel();
        let first = Dispatch::First {
            target: target.clone(),
            payload: payload.clone(),
            settled,
        };
        registry.dispatch(target.id, first).await;
        pending.push(done);
    }
    tasks.spawn(acknowledge(delivery, pending));
}

async fn acknowledge(delivery: Delivery, pending: Vec<oneshot::Receiver<()>>) {
    for done in pending {
        if done.await.is_err() {
            // The worker is being stopped: unanswered, the event comes again to another one.
            return;
        }
    }
    if let Err(error) = delivery.ack().await {
        tracing::debug!(%error, "an event was not acked; it comes again under the same id");
    }
}

/// What is posted of an event: its envelope, and for messages the shape of the global webhook.
fn payloads(
    body: &Bytes,
    trace: Option<TraceContext>,
) -> Result<(Arc<Payload>, Option<Arc<Payload>>), &'static str> {
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(|_| "the body is no event")?;
    // Anybody may publish to the exchange. A name that the database refuses would be tried for ever.
    if envelope.event.len() > NAME_MAX_BYTES || envelope.event.chars().any(char::is_control) {
        return Err("the name of the event is too long or not printable");
    }
    let sequence = envelope.sequence.as_i64().unwrap_or_default().max(0);
    let payload = |body| {
        let (event, token, name) = (
            envelope.id,
            envelope.instance.name.clone(),
            envelope.event.to_string(),
        );
        Arc::new(Payload {
            event,
            token,
            name,
            sequence,
            body,
            trace,
        })
    };
    let seed = (envelope.event == legacy::EVENT.as_str())
        .then(|| legacy::body(body))
        .flatten()
        .map(payload);
    Ok((payload(body.clone()), seed))
}
