//! Fires schedules that are due: each firing is a `send` job that is published as any other.
//!
//! Every session worker looks, whoever's session it is: where none runs nothing could be sent, and what was missed is
//! judged by the schedule's misfire policy when one does. A firing's id is made of its schedule and its time, so it is one
//! job however many workers publish it and die. Must not know what a session does with it.

use std::time::Duration;

use futures_util::future::join_all;
use shared::broker::{Broker, Outgoing, Publisher};
use shared::clock::Clock;
use shared::job::{Job, Misfire};
use shared::metrics::list;
use shared::store::schedules::{self, Fired, ScheduleRecord};
use shared::store::{Store, StoreError};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// How often a worker looks for what is due.
const LOOK: Duration = Duration::from_secs(1);
/// A firing that is later than this was missed.
pub const LATE: Duration = Duration::from_secs(60);
/// Most missed firings that are made up for.
pub const MADE_UP_MAX: usize = 100;
/// Looks between two sweeps of schedules that fire no more.
const LOOKS_PER_SWEEP: u32 = 600;

/// Fires what is due, with what it takes.
#[derive(Debug)]
pub struct Scheduler {
    store: Store,
    broker: Broker,
    publisher: Publisher,
    clock: Clock,
}

/// What is to be done about a schedule that is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Turn {
    /// The time that it fires for, if it does.
    fires: Option<OffsetDateTime>,
    /// When it is due again.
    next: Option<OffsetDateTime>,
}

impl Scheduler {
    /// A scheduler that tells the time by `clock`.
    pub fn new(store: Store, broker: Broker, clock: Clock) -> Self {
        Self {
            store,
            publisher: broker.publisher(),
            broker,
            clock,
        }
    }

    /// Looks for what is due until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut looks = 0_u32;
        loop {
            let fired = self.fire_due().await;
            if let Err(error) = &fired {
                tracing::warn!(%error, "schedules can't be read; trying again");
            }
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS_PER_SWEEP)
                && let Err(error) = schedules::forget(&self.store, self.clock.wall()).await
            {
                tracing::warn!(%error, "old schedules can't be forgotten; trying again");
            }
            let pause = match fired {
                Ok(1..) => Duration::ZERO,
                _ => LOOK,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Deals with schedules that are due, many at once; answers with how many it did.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn fire_due(&self) -> Result<usize, StoreError> {
        let now = self.clock.wall();
        let due = schedules::claim(&self.store, now).await?;
        let done = join_all(due.iter().map(|due| self.fire(due, now))).await;
        Ok(done
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .filter(|done| *done)
            .count())
    }

    async fn fire(&self, due: &ScheduleRecord, now: OffsetDateTime) -> Result<bool, StoreError> {
        let turn = turn(due, now);
        let mut fired = None;
        if let Some(at) = turn.fires {
            let id = due.id.firing(at);
            let queue = due.job.send.queue_id(&due.token, &id);
            let job = Job::Send(Box::new(due.job.send.clone()));
            let message = Outgoing::job(self.broker.topology(), &due.token, &id, &job);
            if let Err(error) = self.publisher.publish(message).await {
                tracing::warn!(%error, schedule.id = %due.id, "a schedule can't be fired yet; trying again");
                list::SCHEDULES_PUT_OFF.increment();
                schedules::give_back(&self.store, due).await?;
                return Ok(false);
            }
            list::SCHEDULES_FIRED.increment();
            fired = Some(Fired { at, queue });
        }
        schedules::note(&self.store, due, turn.next, fired).await?;
        Ok(true)
    }
}

/// What is to be done at `now` about a schedule that was due before.
fn turn(due: &ScheduleRecord, now: OffsetDateTime) -> Turn {
    let timing = &due.job.timing;
    let at = due.next_at.unwrap_or(now);
    let last = timing.last(now).unwrap_or(at);
    let (fires, behind) = match due.job.misfire {
        _ if now - at <= LATE => (Some(at), at),
        Misfire::Skip => ((now - last <= LATE).then_some(last), now),
        Misfire::Once => (Some(last), now),
        Misfire::All => {
            let made_up =
                std::iter::successors(Some(last), |later| timing.last(*later - time::Duration::SECOND));
            let first = made_up
                .take(MADE_UP_MAX)
                .take_while(|missed| *missed >= at)
                .last();
            let fires = first.unwrap_or(at);
            (Some(fires), fires)
        }
    };
    Turn {
        fires,
        next: timing.next(behind),
    }
}

#[cfg(test)]
mod tests;
