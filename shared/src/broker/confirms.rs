//! The owner of one channel in confirm mode: the task that every message of a publisher passes through.
//!
//! It takes all that is queued for it in one go, so that one wake of it and one write of lapin serve many messages,
//! and it alone is woken by confirms; it wakes those who wait for them. Time-outs are its own too: one timer, whatever
//! the number of messages in flight.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};

use super::connection::{RecoveringChannel, RecoveringConnection};
use super::error::PublishError;
use crate::clock::Clock;

/// Most publishes of one publisher that wait for their confirms. As many more are queued; the rest wait for room.
pub const IN_FLIGHT_MAX: usize = 1_024;
/// How long a publish may take, the wait for its turn included.
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

/// What AMQP's `basic.publish` takes.
pub(super) struct BasicPublish {
    pub(super) exchange: ShortString,
    pub(super) key: ShortString,
    pub(super) options: BasicPublishOptions,
    pub(super) properties: BasicProperties,
    pub(super) body: Bytes,
}

/// A message in the queue, and who is told what became of it.
pub(super) struct Queued {
    pub(super) message: BasicPublish,
    pub(super) waiter: Waiter,
    /// What it belongs to, if it is to leave over the same channel as others, or not at all.
    pub(super) batch: Option<Arc<Batch>>,
}

/// Messages that leave over one channel: the number of that channel, once the first of them has left, or nothing once
/// one was refused. Behind a lost channel the later ones would come before the earlier ones, which are published again.
pub(super) type Batch = OnceLock<Option<u64>>;

/// Who waits for a message's confirm.
pub(super) struct Waiter {
    pub(super) answer: oneshot::Sender<Result<(), PublishError>>,
    /// When it is answered at the latest.
    pub(super) deadline: Instant,
}

/// Starts the owner of a channel and returns its queue. It ends when nobody has the queue and everybody is answered.
pub(super) fn start(connection: RecoveringConnection, clock: Clock) -> mpsc::Sender<Queued> {
    let (queue, queued) = mpsc::channel(IN_FLIGHT_MAX);
    let owner = ConfirmChannel {
        channel: RecoveringChannel::confirming(connection),
        in_flight: FuturesUnordered::new(),
        outstanding: Outstanding::default(),
        timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        timer_is_set: false,
        clock,
    };
    tokio::spawn(owner.run(queued));
    queue
}

/// A publish under way: its number, and what lapin says in the end.
type Publish = Pin<Box<dyn Future<Output = (u64, Result<Confirmation, lapin::Error>)> + Send>>;

struct ConfirmChannel {
    channel: RecoveringChannel,
    /// What was published and not confirmed yet. One that was given up stays until lapin is done with it, so that a
    /// broker that takes nothing does not fill lapin's own queue, which has no limit.
    in_flight: FuturesUnordered<Publish>,
    outstanding: Outstanding,
    /// Fires at the deadline of the one that waits longest, or before.
    timer: Pin<Box<Sleep>>,
    timer_is_set: bool,
    clock: Clock,
}

impl ConfirmChannel {
    async fn run(mut self, mut queued: mpsc::Receiver<Queued>) {
        let mut taken = Vec::with_capacity(IN_FLIGHT_MAX);
        let mut is_open = true;
        while is_open || !self.in_flight.is_empty() {
            let room = IN_FLIGHT_MAX - self.in_flight.len();
            tokio::select! {
                biased;
                Some((number, outcome)) = self.in_flight.next() => self.settle(number, outcome),
                () = self.timer.as_mut(), if self.timer_is_set => self.give_up(),
                count = queued.recv_many(&mut taken, room), if is_open && room > 0 => {
                    is_open = count > 0;
                    self.publish(&mut taken).await;
                }
            }
        }
    }

    /// Publishes what was taken, in its order, all over one channel.
    async fn publish(&mut self, taken: &mut Vec<Queued>) {
        // Who left before the turn came wants nothing any more.
        taken.retain(|queued| !queued.waiter.answer.is_closed());
        let Some(first) = taken.first() else { return };
        let channel = match tokio::time::timeout_at(first.waiter.deadline, self.channel.get()).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => return refuse(taken, &error.to_string()),
            Err(_) => return refuse(taken, "no channel in time"),
        };
        let current = self.channel.opened();
        for Queued {
            message,
            waiter,
            batch,
        } in taken.drain(..)
        {
            if batch.is_some_and(|batch| *batch.get_or_init(|| Some(current)) != Some(current)) {
                waiter.refuse("the channel of the message before it is gone");
                continue;
            }
            let number = self.outstanding.add(waiter, current);
            let mut publish: Publish = Box::pin(publish(number, channel.clone(), message));
            // The first poll gives the message its number and queues its frames: in this order, then. It is polled
            // again right away by those in flight, which wait for it.
            match publish.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready((number, outcome)) => self.settle(number, outcome),
                Poll::Pending => self.in_flight.push(publish),
            }
        }
        self.set_timer();
    }

    fn settle(&mut self, number: u64, outcome: Result<Confirmation, lapin::Error>) {
        let outcome = match outcome {
            Ok(Confirmation::Ack(None)) => Ok(()),
            Ok(Confirmation::Ack(Some(_))) => Err(PublishError::Unroutable),
            Ok(Confirmation::Nack(_)) => Err(PublishError::Refused),
            // The frames may be on the wire already.
            Ok(Confirmation::NotRequested) | Err(_) => {
                // Who was given up has discarded it already.
                if let Some(channel) = self.outstanding.channel(number) {
                    self.channel.discard(channel);
                }
                Err(PublishError::Unconfirmed)
            }
        };
        self.outstanding.answer(number, outcome);
    }

    /// Answers those whose time is over. A channel that owes a confirm for so long is not trusted with more.
    fn give_up(&mut self) {
        self.timer_is_set = false;
        if let Some(channel) = self.outstanding.give_up(self.clock.now()) {
            self.channel.discard(channel);
        }
        self.set_timer();
    }

    fn set_timer(&mut self) {
        if self.timer_is_set {
            return;
        }
        if let Some(deadline) = self.outstanding.deadline() {
            self.timer.as_mut().reset(deadline);
            self.timer_is_set = true;
        }
    }
}

async fn publish(
    number: u64,
    channel: Channel,
    message: BasicPublish,
) -> (u64, Result<Confirmation, lapin::Error>) {
    let confirmed = async {
        let BasicPublish {
            exchange,
            key,
            options,
            properties,
            body,
        } = message;
        let written = channel.basic_publish(exchange, key, options, &body, properties);
        written.await?.await
    };
    (number, confirmed.await)
}

/// Answers all that were not published. What comes behind them of the same batch must not leave either.
fn refuse(taken: &mut Vec<Queued>, why: &str) {
    for queued in taken.drain(..) {
        if let Some(batch) = &queued.batch {
            // One that has its channel already keeps it: that channel is gone.
            let _ = batch.set(None);
        }
        queued.waiter.refuse(why);
    }
}

impl Waiter {
    fn tell(self, outcome: Result<(), PublishError>) {
        // Who left needs no answer.
        let _ = self.answer.send(outcome);
    }

    fn refuse(self, why: &str) {
        self.tell(Err(PublishError::Unavailable(why.to_owned())));
    }
}

/// Those who wait for confirms, by the numbers of their messages.
#[derive(Default)]
struct Outstanding {
    /// The number of the first row.
    first: u64,
    /// `None` when answered. The first row is never `None`.
    rows: VecDeque<Option<Row>>,
}

struct Row {
    waiter: Waiter,
    /// The number of the channel that the message left over.
    channel: u64,
}

impl Outstanding {
    /// Adds one and returns its number.
    fn add(&mut self, waiter: Waiter, channel: u64) -> u64 {
        self.rows.push_back(Some(Row { waiter, channel }));
        self.first + self.rows.len() as u64 - 1
    }

    /// Answers one, if it was not answered before.
    fn answer(&mut self, number: u64, outcome: Result<(), PublishError>) {
        let row = self.place(number);
        if let Some(row) = row.and_then(|row| self.rows.get_mut(row)?.take()) {
            row.waiter.tell(outcome);
        }
        self.forget_answered();
    }

    /// Answers those whose deadline is over; says over which channel the last of them left.
    fn give_up(&mut self, now: Instant) -> Option<u64> {
        let mut last = None;
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            last = self.channel(self.first);
            self.answer(self.first, Err(PublishError::Unconfirmed));
        }
        last
    }

    /// The channel that a message left over, unless it was answered.
    fn channel(&self, number: u64) -> Option<u64> {
        Some(self.rows.get(self.place(number)?)?.as_ref()?.channel)
    }

    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    /// The deadline of the one that waits longest.
    fn deadline(&self) -> Option<Instant> {
        self.rows.front()?.as_ref().map(|row| row.waiter.deadline)
    }

    fn forget_answered(&mut self) {
        while let Some(None) = self.rows.front() {
            self.rows.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_behind_a_refused_message_of_a_batch_leaves_over_no_channel() {
        let batch = Arc::new(Batch::new());
        let (answer, refused) = oneshot::channel();
        let mut taken = vec![Queued {
            message: BasicPublish {
                exchange: "".into(),
                key: "".into(),
                options: BasicPublishOptions::default(),
                properties: BasicProperties::default(),
                body: Bytes::new(),
            },
            waiter: Waiter {
                answer,
                deadline: Instant::now(),
            },
            batch: Some(batch.clone()),
        }];
        refuse(&mut taken, "no channel in time");
        assert!(matches!(refused.await, Ok(Err(PublishError::Unavailable(_)))));
        assert_eq!(*batch.get_or_init(|| Some(1)), None);
    }
}
