//! From the outbox to the broker: one relay per owned shard publishes committed events, in order.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::broker::{Outgoing, PublishError, Publisher, Topology};
use crate::id::{SHARDS_MAX, ShardId};
use crate::lease::Lease;
use crate::store::outbox::{self, BATCH_MAX, Stored};
use crate::store::{Store, StoreError};

/// How often a relay looks without being woken: for what a former owner left, and for lost wakes.
const POLL: Duration = Duration::from_secs(1);
/// How often the backlog is counted.
const WATCH: Duration = Duration::from_secs(15);
/// Least time from one read to the next while events come in, unless as many wait as one read takes: what is committed
/// meanwhile goes together. What comes after a silence goes at once.
const GATHER: Duration = Duration::from_millis(20);
/// First and longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Wakes relays in process: told of a shard when events of it were committed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Wake(Arc<[Notify]>);

impl Wake {
    /// A wake for all shards that there can be.
    pub fn new() -> Self {
        Self((0..SHARDS_MAX).map(|_| Notify::new()).collect())
    }

    /// Wakes the relay of a shard. Remembered until it waits, if it does not now.
    pub fn shard(&self, shard: ShardId) {
        self.0[usize::from(shard.get())].notify_one();
    }

    /// Waits until the shard is woken. Cancel safe.
    pub async fn wait(&self, shard: ShardId) {
        self.0[usize::from(shard.get())].notified().await;
    }
}

impl Default for Wake {
    fn default() -> Self {
        Self::new()
    }
}

/// The relay of one owned shard.
///
/// In order: events are read by their place, handed to one publisher in that order, and forgotten only as far as
/// they are confirmed without a gap. After a crash the last ones are published again, under the same ids.
#[derive(Debug)]
pub struct Relay {
    /// Where events wait.
    pub store: Store,
    /// The relay's own lane to the broker.
    pub publisher: Publisher,
    /// The names of the broker's objects.
    pub topology: Topology,
    /// The right to act for the shard: nothing is published after its end.
    pub lease: Lease,
    /// Told of the shard when it has new events.
    pub wake: Wake,
}

impl Relay {
    /// Publishes until told to stop or until the lease ends. To leave nothing behind that was committed before,
    /// it publishes what is there once more after the stop.
    ///
    /// Cancel safe: a dropped relay leaves events that the next owner publishes again.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = PAUSE.0;
        let mut most = BATCH_MAX;
        while self.lease.is_live(Instant::now()) {
            let stopping = stop.is_cancelled();
            let read_at = Instant::now();
            match self.batch(most).await {
                Ok(published) => {
                    pause = PAUSE.0;
                    if published == usize::try_from(most).unwrap_or(usize::MAX) {
                        continue;
                    }
                    most = BATCH_MAX;
                }
                Err(error) => {
                    // One alone until none waits: where one queue is full and refuses, the others would get the whole
                    // batch again with each try, and room that is made meanwhile would let the end of a batch pass its
                    // middle.
                    most = 1;
                    tracing::warn!(
                        shard.id = self.lease.shard().get(), error = %error,
                        "can't publish events; they wait in the database"
                    );
                    if stopping {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                    continue;
                }
            }
            if stopping {
                return;
            }
            let more = async {
                self.wake.wait(self.lease.shard()).await;
                tokio::time::sleep_until(read_at + GATHER).await;
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = more => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Publishes the oldest events; says how many. An error after some were confirmed forgets those first.
    async fn batch(&self, most: i64) -> Result<usize, RelayError> {
        let events = outbox::oldest(&self.store, self.lease.shard(), most).await?;
        if events.is_empty() {
            return Ok(0);
        }
        let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
        let messages = events.into_iter().map(|event| self.message(event)).collect();
        let (confirmed, failure) = tokio::select! {
            published = self.publish(messages) => published,
            // What has not left by now never does; the next owner publishes it, and what was not forgotten.
            () = tokio::time::sleep_until(self.lease.deadline()) => return Ok(0),
        };
        if let (Some(first), Some(last)) = (positions[..confirmed].first(), positions[..confirmed].last()) {
            outbox::delete(&self.store, self.lease.shard(), *first..=*last).await?;
        }
        metrics::counter!("fanfare_events_published_total").increment(confirmed as u64);
        match failure {
            None => Ok(confirmed),
            Some(error) => Err(error.into()),
        }
    }

    /// Publishes events; says how many were confirmed before the first that was not, and why it was not.
    async fn publish(&self, messages: Vec<Outgoing>) -> (usize, Option<PublishError>) {
        let (confirms, mut failure) = self.publisher.send_all(messages).await;
        let (mut confirmed, mut gap) = (0, false);
        for confirm in confirms {
            // What comes behind a gap is published again, so that the order holds. Its confirms are waited for all
            // the same: what nobody waits for may not leave.
            match confirm.wait().await {
                Ok(()) if !gap => confirmed += 1,
                Ok(()) => {}
                Err(error) => {
                    gap = true;
                    failure = Some(error);
                }
            }
        }
        (confirmed, failure)
    }

    fn message(&self, event: Stored) -> Outgoing {
        Outgoing::event(
            &self.topology,
            &event.token,
            (&event.event, event.id),
            event.body.into(),
        )
    }
}

/// Shows how many events wait to be published and since when, until stopped.
pub async fn watch(store: Store, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match outbox::backlog(&store).await {
            Ok((events, oldest)) => {
                let age = oldest.map_or(0.0, |oldest| {
                    (OffsetDateTime::now_utc() - oldest).as_seconds_f64().max(0.0)
                });
                metrics::gauge!("fanfare_outbox_events").set(events as f64);
                metrics::gauge!("fanfare_outbox_age_seconds").set(age);
            }
            Err(error) => tracing::debug!(%error, "can't see how many events wait"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(WATCH) => {}
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

#[cfg(test)]
mod tests;
