//! The owner of one publishing channel: the task that every message of a publisher passes through.
//!
//! It takes all that waits in its queue in one go, so that one wake of it and one write of lapin serve many messages,
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

use super::link::{Link, Slot};
use crate::clock::Clock;

/// Most publishes of one publisher that wait for their confirms. As many wait in its queue; more wait before it.
pub const IN_FLIGHT_MAX: usize = 1_024;
/// How long a publish may take, the wait for its turn included.
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a message is not known to be with the broker.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PublishError {
    /// It was not published: there is no connection. Try again.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// It may be published or not. Try again under the same message id.
    #[error("the broker did not confirm in time")]
    Unconfirmed,
    /// The broker can't store it now. Try again later.
    #[error("the broker refused the message: a queue that takes it is full, or it can't store it")]
    Refused,
    /// No queue takes it (only where asked: [`Outgoing::mandatory`](super::Outgoing::mandatory)).
    #[error("no queue takes the message")]
    Unroutable,
    /// It can't be published at all: the body is over the limit, or a property over 255 bytes.
    #[error("the message is too large: {0}")]
    TooLarge(&'static str),
}

/// A message as it is published.
pub(super) struct Message {
    pub(super) exchange: ShortString,
    pub(super) key: ShortString,
    pub(super) options: BasicPublishOptions,
    pub(super) properties: BasicProperties,
    pub(super) body: Bytes,
}

/// A message in the queue, and who is told what became of it.
pub(super) struct Handed {
    pub(super) message: Message,
    pub(super) sender: Sender,
    /// What it belongs to, if it is to leave over the same channel as others, or not at all.
    pub(super) series: Option<Arc<Series>>,
}

/// Messages that leave over one channel: the number of that channel, once the first of them has left. Behind a lost
/// channel the later ones would come before the earlier ones, which are published again.
pub(super) type Series = OnceLock<u64>;

/// The number of no channel: they are counted from 1.
const NO_CHANNEL: u64 = 0;

/// Who waits for a message's confirm.
pub(super) struct Sender {
    pub(super) answer: oneshot::Sender<Result<(), PublishError>>,
    /// When it is answered at the latest.
    pub(super) deadline: Instant,
}

/// Starts a lane and returns its queue. The lane ends when nobody has that and everybody is answered.
pub(super) fn start(link: Link, clock: Clock) -> mpsc::Sender<Handed> {
    let (queue, handed) = mpsc::channel(IN_FLIGHT_MAX);
    let lane = Lane {
        slot: Slot::confirming(link),
        clock,
        in_flight: FuturesUnordered::new(),
        waiting: Waiting::default(),
        alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
        alarm_is_set: false,
    };
    tokio::spawn(lane.run(handed));
    queue
}

/// A publish under way: its number, and what lapin says in the end.
type Publish = Pin<Box<dyn Future<Output = (u64, Result<Confirmation, lapin::Error>)> + Send>>;

struct Lane {
    slot: Slot,
    clock: Clock,
    /// What was published and not confirmed yet. One that was given up stays until lapin is done with it, so that a
    /// broker that takes nothing does not fill lapin's own queue, which has no limit.
    in_flight: FuturesUnordered<Publish>,
    waiting: Waiting,
    /// Rings at the deadline of the one that waits longest, or before.
    alarm: Pin<Box<Sleep>>,
    alarm_is_set: bool,
}

impl Lane {
    async fn run(mut self, mut handed: mpsc::Receiver<Handed>) {
        let mut batch = Vec::with_capacity(IN_FLIGHT_MAX);
        let mut is_open = true;
        while is_open || !self.in_flight.is_empty() {
            let room = IN_FLIGHT_MAX - self.in_flight.len();
            tokio::select! {
                biased;
                Some((number, outcome)) = self.in_flight.next() => self.settle(number, outcome),
                () = self.alarm.as_mut(), if self.alarm_is_set => self.give_up(),
                taken = handed.recv_many(&mut batch, room), if is_open && room > 0 => {
                    is_open = taken > 0;
                    self.publish(&mut batch).await;
                }
            }
        }
    }

    /// Publishes what was taken, in its order, all over one channel.
    async fn publish(&mut self, batch: &mut Vec<Handed>) {
        // Who left before the turn came wants nothing any more.
        batch.retain(|handed| !handed.sender.answer.is_closed());
        let Some(first) = batch.first() else { return };
        let channel = match tokio::time::timeout_at(first.sender.deadline, self.slot.channel()).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => return refuse(batch, &error.to_string()),
            Err(_) => return refuse(batch, "no channel in time"),
        };
        let current = self.slot.opened();
        for Handed {
            message,
            sender,
            series,
        } in batch.drain(..)
        {
            if series.is_some_and(|series| *series.get_or_init(|| current) != current) {
                let lost = PublishError::Unavailable("the channel of the message before it is gone".into());
                // Who left needs no answer.
                let _ = sender.answer.send(Err(lost));
                continue;
            }
            let number = self.waiting.add(sender, current);
            let mut publish: Publish = Box::pin(publish(number, channel.clone(), message));
            // The first poll gives the message its number and queues its frames: in this order, then. It is polled
            // again right away by those in flight, which wait for it.
            match publish.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready((number, outcome)) => self.settle(number, outcome),
                Poll::Pending => self.in_flight.push(publish),
            }
        }
        self.set_alarm();
    }

    fn settle(&mut self, number: u64, outcome: Result<Confirmation, lapin::Error>) {
        let outcome = match outcome {
            Ok(Confirmation::Ack(None)) => Ok(()),
            Ok(Confirmation::Ack(Some(_))) => Err(PublishError::Unroutable),
            Ok(Confirmation::Nack(_)) => Err(PublishError::Refused),
            // The frames may be on the wire already.
            Ok(Confirmation::NotRequested) | Err(_) => {
                // Who was given up has discarded it already.
                if let Some(channel) = self.waiting.channel(number) {
                    self.slot.discard(channel);
                }
                Err(PublishError::Unconfirmed)
            }
        };
        self.waiting.answer(number, outcome);
    }

    /// Answers those whose time is over. A channel that owes a confirm for so long is not trusted with more.
    fn give_up(&mut self) {
        self.alarm_is_set = false;
        if let Some(channel) = self.waiting.give_up(self.clock.now()) {
            self.slot.discard(channel);
        }
        self.set_alarm();
    }

    fn set_alarm(&mut self) {
        if self.alarm_is_set {
            return;
        }
        if let Some(deadline) = self.waiting.deadline() {
            self.alarm.as_mut().reset(deadline);
            self.alarm_is_set = true;
        }
    }
}

async fn publish(
    number: u64,
    channel: Channel,
    message: Message,
) -> (u64, Result<Confirmation, lapin::Error>) {
    let confirmed = async {
        let Message {
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

/// Answers all that were not published. What comes behind them of the same series must not leave either.
fn refuse(batch: &mut Vec<Handed>, why: &str) {
    for handed in batch.drain(..) {
        if let Some(series) = &handed.series {
            // One that has its channel already keeps it: that channel is gone.
            let _ = series.set(NO_CHANNEL);
        }
        // Who left needs no answer.
        let _ = handed
            .sender
            .answer
            .send(Err(PublishError::Unavailable(why.to_owned())));
    }
}

/// Those who wait for confirms, by the numbers of their messages.
#[derive(Default)]
struct Waiting {
    /// The number of the first row.
    first: u64,
    /// `None` when answered. The first row is never `None`.
    rows: VecDeque<Option<Row>>,
}

struct Row {
    sender: Sender,
    /// The number of the channel that the message left over.
    channel: u64,
}

impl Waiting {
    /// Adds one and returns its number.
    fn add(&mut self, sender: Sender, channel: u64) -> u64 {
        self.rows.push_back(Some(Row { sender, channel }));
        self.first + self.rows.len() as u64 - 1
    }

    /// Answers one, if it was not answered before.
    fn answer(&mut self, number: u64, outcome: Result<(), PublishError>) {
        let row = self.place(number);
        if let Some(row) = row.and_then(|row| self.rows.get_mut(row)?.take()) {
            // Who left needs no answer.
            let _ = row.sender.answer.send(outcome);
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
        self.rows.front()?.as_ref().map(|row| row.sender.deadline)
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
    async fn what_comes_behind_a_refused_message_of_a_series_leaves_over_no_channel() {
        let series = Arc::new(Series::new());
        let (answer, refused) = oneshot::channel();
        let mut batch = vec![Handed {
            message: Message {
                exchange: "".into(),
                key: "".into(),
                options: BasicPublishOptions::default(),
                properties: BasicProperties::default(),
                body: Bytes::new(),
            },
            sender: Sender {
                answer,
                deadline: Instant::now(),
            },
            series: Some(series.clone()),
        }];
        refuse(&mut batch, "no channel in time");
        assert!(matches!(refused.await, Ok(Err(PublishError::Unavailable(_)))));
        let first_channel = 1;
        assert_ne!(*series.get_or_init(|| first_channel), first_channel);
    }
}
