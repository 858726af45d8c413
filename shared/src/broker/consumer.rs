//! Consuming: a stream of deliveries that survives reconnections, and deliveries that must be answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use lapin::Acker;
use lapin::Channel;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::connection::{REQUEST_TIMEOUT, RecoveringConnection};
use super::error::{BrokerError, PublishError};
use super::publisher::{Outgoing, Published, Publisher};
use super::topology::{KEY_HEADER, PUBLISHED_HEADER, QueueName, REASON_HEADER, TURN_HEADER, Topology, short};
use crate::trace::{TRACEPARENT, TraceContext};

/// Pause before subscribing again after a failure that is not the connection's.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Most bytes of a dead letter's reason.
const REASON_MAX_BYTES: usize = 1_000;

/// Why an answer did not reach the broker.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AnswerError {
    /// The delivery's channel is gone: the broker delivers the message again.
    #[error("the delivery's channel is gone; the message comes again")]
    Gone,
    /// The dead letter could not be published, so the message was left for redelivery.
    #[error("the dead letter could not be published: {0}")]
    Publish(#[from] PublishError),
}

/// A subscription to a queue. Deliveries come from [`Consumer::next`]; those of a lost connection are dropped
/// (the broker delivers them again) and the subscription is made anew.
///
/// To stop without losing acks: [`Consumer::cancel`], answer what [`Consumer::next`] still yields, then
/// [`Consumer::close`].
pub struct Consumer {
    connection: RecoveringConnection,
    topology: Arc<Topology>,
    housekeeping: Publisher,
    queue: String,
    dead_key: Option<&'static str>,
    prefetch: u16,
    subscription: Option<Subscription>,
    /// A subscription in the making. Kept here, so that a caller that stops waiting does not leave a half-made
    /// one behind, which would take deliveries that nobody answers.
    subscribing: Option<BoxFuture<'static, Result<Subscription, BrokerError>>>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Consuming,
    /// Told the broker to send no more.
    Cancelled,
    /// All that it had sent is handed out.
    Drained,
}

struct Subscription {
    channel: Channel,
    stream: lapin::Consumer,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Consumer({})", self.queue)
    }
}

impl Consumer {
    pub(super) fn new(
        connection: RecoveringConnection,
        topology: Arc<Topology>,
        housekeeping: Publisher,
        queue: &QueueName,
        prefetch: u16,
    ) -> Self {
        let dead_key = match queue {
            QueueName::Shard(_) | QueueName::Unroutable | QueueName::Later => Some("jobs"),
            QueueName::Webhooks => Some("webhooks"),
            QueueName::DeadJobs | QueueName::DeadWebhooks => None,
        };
        let queue = topology.queue(queue);
        Self {
            connection,
            topology,
            housekeeping,
            queue,
            dead_key,
            prefetch,
            subscription: None,
            subscribing: None,
            phase: Phase::Consuming,
        }
    }

    /// The next delivery; waits out lost connections. `None` after [`Consumer::cancel`], when all that the
    /// broker had sent before is handed out, and after the broker was closed.
    ///
    /// Cancel safe: a delivery is either returned or still in the stream.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            if self.phase == Phase::Drained || (self.phase == Phase::Cancelled && self.subscription.is_none())
            {
                return None;
            }
            let Some(subscription) = &mut self.subscription else {
                self.subscribe().await?;
                continue;
            };
            match subscription.stream.next().await {
                // The error of a dead channel comes behind all that it had prefetched: not ours any more.
                Some(Ok(delivery))
                    if delivery.acker.usable() && subscription.channel.status().connected() =>
                {
                    return Some(self.delivery(delivery));
                }
                Some(Ok(_)) => {}
                // The channel stays open: what was handed out is still to be answered on it.
                None if self.phase == Phase::Cancelled => self.phase = Phase::Drained,
                Some(Err(_)) | None => self.subscription = None,
            }
        }
    }

    /// Tells the broker to send no more. This also makes sure that it has all acks sent before.
    pub async fn cancel(&mut self) {
        self.phase = Phase::Cancelled;
        self.subscribing = None;
        if let Some(subscription) = &self.subscription {
            let tag = subscription.stream.tag();
            let cancel = subscription
                .channel
                .basic_cancel(tag, BasicCancelOptions::default());
            if !matches!(tokio::time::timeout(REQUEST_TIMEOUT, cancel).await, Ok(Ok(()))) {
                // The channel is gone, and with it the subscription.
                self.subscription = None;
            }
        }
    }

    /// Ends the subscription. What was delivered and not answered goes back to the queue.
    pub async fn close(mut self) {
        if self.phase == Phase::Consuming {
            self.cancel().await;
        }
        if let Some(subscription) = self.subscription.take() {
            let tag = subscription.stream.tag();
            // A second round trip behind acks that were sent after the cancel; a quorum queue loses them else.
            let flush = subscription
                .channel
                .basic_cancel(tag, BasicCancelOptions::default());
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, flush).await;
            let close = subscription.channel.close(200, "done".into());
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, close).await;
        }
    }

    /// Subscribes, or waits a little after a failure; `None` when the broker is closed for good.
    async fn subscribe(&mut self) -> Option<()> {
        let subscribing = self.subscribing.get_or_insert_with(|| {
            subscribe(self.connection.clone(), short(&self.queue), self.prefetch).boxed()
        });
        let result = subscribing.await;
        self.subscribing = None;
        match result {
            Ok(subscription) => self.subscription = Some(subscription),
            Err(_) if self.connection.is_closed() => return None,
            Err(error) => {
                tracing::warn!(broker.queue = self.queue, error = %error, "can't subscribe; trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        Some(())
    }

    fn delivery(&self, delivery: lapin::message::Delivery) -> Delivery {
        let text = |value: &Option<ShortString>| value.as_ref().map(|text| text.as_str().to_owned());
        let properties = &delivery.properties;
        let header = |name| header(properties.headers().as_ref()?, name);
        let origin = Origin {
            housekeeping: self.housekeeping.clone(),
            dead_exchange: self.topology.dead(),
            later_exchange: self.topology.later(),
            dead_key: self.dead_key,
        };
        Delivery {
            routing_key: delivery.routing_key.as_str().to_owned(),
            kind: text(properties.kind()),
            message_id: text(properties.message_id()),
            reply_to: text(properties.reply_to()),
            correlation_id: text(properties.correlation_id()),
            expiration: text(properties.expiration())
                .and_then(|millis| millis.parse().ok())
                .map(Duration::from_millis),
            published: header(PUBLISHED_HEADER)
                .and_then(|millis| millis.parse().ok())
                .or_else(|| i64::try_from((*properties.timestamp())?.checked_mul(1_000)?).ok()),
            turn: header(TURN_HEADER),
            reason: header(REASON_HEADER),
            trace: properties.headers().as_ref().and_then(trace),
            place: delivery.delivery_tag,
            redelivered: delivery.redelivered,
            body: delivery.data.into(),
            acker: delivery.acker,
            origin,
        }
    }
}

/// Opens a channel and subscribes. Refusals and outages alike are waited out: a consumer never gives up.
async fn subscribe(
    connection: RecoveringConnection,
    queue: ShortString,
    prefetch: u16,
) -> Result<Subscription, BrokerError> {
    let connection = connection.ready(Duration::MAX).await?;
    let subscribe = async {
        let channel = connection.create_channel().await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
        let stream = channel
            .basic_consume(queue, tag, options, FieldTable::default())
            .await?;
        Ok::<_, lapin::Error>(Subscription { channel, stream })
    };
    tokio::time::timeout(REQUEST_TIMEOUT, subscribe)
        .await
        .map_err(|_| BrokerError::Unavailable("subscribing timed out".into()))?
        .map_err(BrokerError::from)
}

fn header(headers: &FieldTable, name: &str) -> Option<String> {
    match headers.inner().get(name)? {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// The trace of a message. What can't be read is its publisher's mistake, and belongs to none.
fn trace(headers: &FieldTable) -> Option<TraceContext> {
    let text = match headers.inner().get(TRACEPARENT)? {
        AMQPValue::LongString(text) => text.as_bytes(),
        AMQPValue::ShortString(text) => text.as_str().as_bytes(),
        _ => &[],
    };
    let trace = TraceContext::read(text);
    if trace.is_none() {
        tracing::debug!("a message names a trace by what is no traceparent; it is ignored");
    }
    trace
}

struct Origin {
    housekeeping: Publisher,
    dead_exchange: String,
    later_exchange: String,
    dead_key: Option<&'static str>,
}

/// A message from a queue. It must be answered: by [`Delivery::ack`], [`Delivery::retry`] or
/// [`Delivery::dead_letter`], which fail with [`AnswerError::Gone`] once its channel is gone. Dropped unanswered, it
/// stays unacknowledged until its channel closes.
#[must_use = "a delivery must be answered"]
pub struct Delivery {
    /// The routing key it was published with: a job's token.
    pub routing_key: String,
    /// The kind of a job, or the name of an event (AMQP `type`), as given.
    pub kind: Option<String>,
    /// Its identity, as given.
    pub message_id: Option<String>,
    /// Where an answer is wanted.
    pub reply_to: Option<String>,
    /// What the answer belongs to.
    pub correlation_id: Option<String>,
    /// After how long in a queue it is of no use, as its publisher set it.
    pub expiration: Option<Duration>,
    /// When it was published, in unix milliseconds, as its publisher says.
    pub published: Option<i64>,
    /// Its turn, if it was put back before ([`Delivery::later`]).
    pub turn: Option<String>,
    /// Why it is a dead letter, if it is one.
    pub reason: Option<String>,
    /// The trace that its publisher says it belongs to.
    pub trace: Option<TraceContext>,
    /// Its place among the deliveries of its subscription.
    pub place: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// The body.
    pub body: Bytes,
    acker: Acker,
    origin: Origin,
}

/// Where the answer to a job goes.
#[derive(Clone, Debug)]
pub struct ReplyTo {
    /// The queue that its publisher named.
    pub queue: String,
    /// What the answer belongs to.
    pub correlation_id: Option<String>,
}

impl std::fmt::Debug for Delivery {
    /// Bodies are never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("routing_key", &self.routing_key)
            .field("kind", &self.kind)
            .field("message_id", &self.message_id)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Delivery {
    /// Whether an answer can still reach the broker. If not, the message comes again: don't act on it.
    pub fn is_usable(&self) -> bool {
        self.acker.usable()
    }

    /// Where its answer goes, if one is wanted.
    pub fn reply_address(&self) -> Option<ReplyTo> {
        let queue = self.reply_to.clone()?;
        let correlation_id = self.correlation_id.clone();
        Some(ReplyTo {
            queue,
            correlation_id,
        })
    }

    /// It is done; the queue forgets it.
    pub async fn ack(self) -> Result<(), AnswerError> {
        settled(self.acker.ack(BasicAckOptions::default()).await)
    }

    /// It is to be delivered again, at its old place. Counts towards the queue's delivery limit.
    pub async fn retry(self) -> Result<(), AnswerError> {
        settled(
            self.acker
                .nack(BasicNackOptions {
                    multiple: false,
                    requeue: true,
                })
                .await,
        )
    }

    /// It can't be done now: a copy comes back through its queue after [`LATER_AFTER`](super::topology::LATER_AFTER),
    /// behind what is there, with this turn. Not counted towards the delivery limit. Tries for as long as the
    /// delivery can be answered.
    pub async fn later(self, turn: &str) -> Result<(), AnswerError> {
        while self.is_usable() {
            let copy = Outgoing {
                exchange: self.origin.later_exchange.clone(),
                key: self.routing_key.clone(),
                kind: self.kind.clone(),
                message_id: self.message_id.clone(),
                reply_to: self.reply_to.clone(),
                correlation_id: self.correlation_id.clone(),
                published: self.published.map_or(Published::Untold, Published::At),
                headers: vec![(TURN_HEADER, turn.to_owned())],
                trace: self.trace,
                mandatory: true,
                body: self.body.clone(),
                ..Outgoing::default()
            };
            match self.origin.housekeeping.publish(copy).await {
                Ok(()) => return self.ack().await,
                Err(error) => tracing::warn!(%error, "a job can't be put back; it stays where it is"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        Err(AnswerError::Gone)
    }

    /// It can never be done: a copy with its reason goes to the dead letters, then the queue forgets it.
    ///
    /// # Errors
    /// [`AnswerError::Publish`] if the dead letters can't be reached (the message then comes again),
    /// [`AnswerError::Gone`].
    pub async fn dead_letter(self, reason: &str) -> Result<(), AnswerError> {
        let Some(key) = self.origin.dead_key else {
            // A dead letter that nobody understands has nowhere further to go.
            return self.ack().await;
        };
        let cut = (0..=REASON_MAX_BYTES.min(reason.len()))
            .rev()
            .find(|at| reason.is_char_boundary(*at));
        let letter = Outgoing {
            exchange: self.origin.dead_exchange.clone(),
            key: key.to_owned(),
            kind: self.kind.clone(),
            message_id: self.message_id.clone(),
            headers: vec![
                (REASON_HEADER, reason[..cut.unwrap_or(0)].to_owned()),
                (KEY_HEADER, self.routing_key.clone()),
            ],
            trace: self.trace,
            mandatory: true,
            body: self.body.clone(),
            ..Outgoing::default()
        };
        match self.origin.housekeeping.publish(letter).await {
            Ok(()) => self.ack().await,
            Err(error) => {
                self.retry().await?;
                Err(error.into())
            }
        }
    }
}

/// lapin says `Ok(false)` on a dead channel: that is no success.
fn settled(result: Result<bool, lapin::Error>) -> Result<(), AnswerError> {
    match result {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(AnswerError::Gone),
    }
}
