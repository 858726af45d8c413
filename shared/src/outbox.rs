//! From the outbox to the broker: one relay per owned shard publishes committed events, in order.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::broker::{Confirm, Outgoing, PublishError, Publisher, Topology};
use crate::id::{SHARDS_MAX, ShardId};
use crate::lease::Lease;
use crate::store::outbox::{self, BATCH_MAX, Stored};
use crate::store::{Store, StoreError};

/// How often a relay looks without being woken: for what a former owner left, and for lost wakes.
const POLL: Duration = Duration::from_secs(1);
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
        while self.lease.is_live(Instant::now()) {
            let stopping = stop.is_cancelled();
            match self.batch().await {
                Ok(published) => {
                    pause = PAUSE.0;
                    if published == usize::try_from(BATCH_MAX).unwrap_or(usize::MAX) {
                        continue;
                    }
                }
                Err(error) => {
                    tracing::warn!(shard.id = self.lease.shard().get(), error = %error, "can't publish events");
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
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.wait(self.lease.shard()) => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Publishes the oldest events; says how many. An error after some were confirmed forgets those first.
    async fn batch(&self) -> Result<usize, RelayError> {
        let events = outbox::oldest(&self.store, self.lease.shard()).await?;
        if events.is_empty() {
            return Ok(0);
        }
        let mut handed: Vec<(i64, Confirm)> = Vec::with_capacity(events.len());
        let mut failure = None;
        for event in events {
            if !self.lease.is_live(Instant::now()) {
                break;
            }
            let position = event.position;
            match self.publisher.send(self.message(event)).await {
                Ok(confirm) => handed.push((position, confirm)),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let mut confirmed = Vec::with_capacity(handed.len());
        for (position, confirm) in handed {
            match confirm.wait().await {
                Ok(()) => confirmed.push(position),
                // What comes behind the gap is published again, so that the order holds.
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        outbox::delete(&self.store, self.lease.shard(), &confirmed).await?;
        metrics::counter!("fanfare_events_published_total").increment(confirmed.len() as u64);
        match failure {
            None => Ok(confirmed.len()),
            Some(error) => Err(error.into()),
        }
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

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

#[cfg(test)]
mod tests;
