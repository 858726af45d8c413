//! From the outbox to the broker: one relay per owned shard publishes committed events, in order.

use std::time::Duration;

use shared::broker::{Outgoing, PublishError, Publisher, Topology};
use shared::clock::Clock;
use shared::metrics::labels::RelayFailure;
use shared::metrics::list;
use shared::store::outbox::{self, BATCH_BYTES_MAX, BATCH_MAX, Stored};
use shared::store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::lease::Lease;
use crate::wake::Wake;

/// The relay of one owned shard.
///
/// In order: events are read by their place, handed to one publisher in that order, and forgotten only as far as
/// they are confirmed without a gap. After a crash the last ones are published again, under the same ids.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) store: Store,
    /// The relay's own way to the broker.
    pub(crate) publisher: Publisher,
    pub(crate) topology: Topology,
    /// The right to act for the shard: nothing is published after its end.
    pub(crate) lease: Lease,
    /// Told of the shard when it has new events.
    pub(crate) wake: Wake,
    pub(crate) clock: Clock,
}

impl Relay {
    /// Publishes until told to stop or until the lease ends. To leave nothing behind that was committed before,
    /// it publishes what is there once more after the stop.
    ///
    /// Cancel safe: a dropped relay leaves events that the next owner publishes again.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut pause = PAUSE.0;
        let mut width = Width(ABREAST_MAX);
        while self.lease.is_live(self.clock.now()) {
            let stopping = stop.is_cancelled();
            let read_at = self.clock.now();
            let (published, failure) = self.batch(width.0).await;
            if published > 0 {
                pause = PAUSE.0;
            }
            width.learn(published, failure.as_ref());
            if let Some(error) = failure {
                list::EVENTS_HELD.of(error.label()).increment(1);
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
            if published == ABREAST_MAX {
                continue;
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

    /// Publishes the oldest events, `abreast` at a time; says how many were confirmed and are forgotten, and why not
    /// all of them. A read that its bytes have cut off counts as a full one: more may wait.
    async fn batch(&self, abreast: usize) -> (usize, Option<RelayError>) {
        let events = match outbox::oldest(&self.store, self.lease.shard(), BATCH_MAX).await {
            Ok(events) => events,
            Err(error) => return (0, Some(error.into())),
        };
        let bytes: usize = events.iter().map(|event| event.body.len()).sum();
        let is_cut = i64::try_from(bytes).is_ok_and(|bytes| bytes >= BATCH_BYTES_MAX);
        let (positions, committed): (Vec<i64>, Vec<_>) = events
            .iter()
            .map(|event| (event.position, event.created_at))
            .unzip();
        let mut messages = events.into_iter().map(|event| self.message(event));
        let (mut confirmed, mut failure) = (0, None);
        while confirmed < positions.len() && failure.is_none() {
            let some = messages.by_ref().take(abreast).collect();
            let (more, why) = tokio::select! {
                (more, why) = self.publish(some) => (more, why.map(RelayError::Publish)),
                // What has not left by now never does; the next owner publishes it, and what was not forgotten.
                () = over(&self.lease, self.clock) => (0, Some(RelayError::LeaseOver)),
            };
            let wall = self.clock.wall();
            for committed in &committed[confirmed..confirmed + more] {
                list::OUTBOX_LAG.record((wall - *committed).as_seconds_f64().max(0.0));
            }
            confirmed += more;
            failure = why;
        }
        match outbox::delete(&self.store, self.lease.shard(), &positions[..confirmed]).await {
            Ok(()) => {}
            Err(error) => return (0, Some(error.into())),
        }
        list::EVENTS_PUBLISHED.add(confirmed as u64);
        match failure {
            None if is_cut => (ABREAST_MAX, None),
            failure => (confirmed, failure),
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
                    // A refusal says more than what else went wrong: see `Width`.
                    if failure != Some(PublishError::Refused) {
                        failure = Some(error);
                    }
                }
            }
        }
        (confirmed, failure)
    }

    fn message(&self, event: Stored) -> Outgoing {
        Outgoing::event(
            &self.topology,
            &event.token,
            &event.event,
            event.id,
            event.body.into(),
        )
        .within(event.trace)
    }
}

/// How many events are on their way at a time: all of a read, until a queue refuses one.
///
/// Where a queue is full, the others get all again that was on its way, and room that is made meanwhile lets the end of
/// what is on its way pass the refused middle. So then it is one at a time. Each full read that is confirmed shows that
/// there is room, and doubles it; when none waits any more, it is all again.
#[derive(Debug)]
struct Width(usize);

impl Width {
    fn learn(&mut self, confirmed: usize, failure: Option<&RelayError>) {
        self.0 = match failure {
            Some(RelayError::Publish(PublishError::Refused)) => 1,
            // It says nothing of the queues.
            Some(_) => self.0,
            None if confirmed == ABREAST_MAX => (self.0 * 2).min(ABREAST_MAX),
            None => ABREAST_MAX,
        };
    }
}

/// Waits until the lease is over, however often it is renewed until then.
async fn over(lease: &Lease, clock: Clock) {
    while lease.is_live(clock.now()) {
        tokio::time::sleep_until(lease.deadline()).await;
    }
}

impl RelayError {
    fn label(&self) -> RelayFailure {
        match self {
            Self::Store(_) => RelayFailure::Database,
            Self::Publish(PublishError::Refused) => RelayFailure::Refused,
            Self::Publish(_) => RelayFailure::Broker,
            Self::LeaseOver => RelayFailure::Lease,
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Publish(PublishError),
    #[error("the lease of the shard is over")]
    LeaseOver,
}

/// How often a relay looks without being woken: for what a former owner left, and for lost wakes.
const POLL: Duration = Duration::from_secs(1);
/// Least time from one read to the next while events come in, unless as many wait as one read takes: what is committed
/// meanwhile goes together. What comes after a silence goes at once.
const GATHER: Duration = Duration::from_millis(20);
/// First and longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Most events on their way at a time: those of one read.
const ABREAST_MAX: usize = BATCH_MAX as usize;

#[cfg(test)]
mod tests;
