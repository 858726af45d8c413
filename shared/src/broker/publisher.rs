//! Publishing with confirms: nothing counts as published until the broker says so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{FieldTable, ShortString};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::confirms::{self, BasicPublish, Batch, CONFIRM_TIMEOUT, Queued, Waiter};
use super::connection::RecoveringConnection;
use super::error::PublishError;
use super::topology::{EVENT_ID_HEADER, PUBLISHED_HEADER, Topology, text};
use crate::clock::{Clock, unix_millis};
use crate::event::routing_key;
use crate::id::{EventId, JobId, Token};
use crate::job::{BODY_MAX_BYTES, Job, JobKind};
use crate::trace::{TRACEPARENT, TraceContext};

const TRANSIENT: u8 = 1;
const PERSISTENT: u8 = 2;

/// A message to publish.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// The exchange; "" to reach a queue by its name.
    pub exchange: String,
    /// The routing key.
    pub key: String,
    /// The kind of a job, or the name of an event.
    pub kind: Option<String>,
    /// The message's identity.
    pub message_id: Option<String>,
    /// Where an answer is wanted.
    pub reply_to: Option<String>,
    /// What the answer belongs to.
    pub correlation_id: Option<String>,
    /// After how long the message is of no use.
    pub expiration: Option<Duration>,
    /// When it was published, where that is told.
    pub published: Published,
    /// Headers, as texts.
    pub headers: Vec<(&'static str, String)>,
    /// The trace that it belongs to: one header more.
    pub trace: Option<TraceContext>,
    /// Whether it is an error if no queue takes it.
    pub mandatory: bool,
    /// Whether it may be lost when the broker restarts.
    pub transient: bool,
    /// The body, JSON.
    pub body: Bytes,
}

/// Whether a message tells when it was published.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Published {
    /// It does not.
    #[default]
    Untold,
    /// When it is handed to its publisher.
    Now,
    /// Then, in unix milliseconds: it is a copy.
    At(i64),
}

impl Outgoing {
    /// A job for a session. An unknown token is taken by the alternate exchange.
    pub fn job(topology: &Topology, token: &Token, id: &JobId, job: &Job) -> Self {
        Self::job_body(topology, token, id, job.kind(), job.to_body().into())
    }

    /// A job whose body is at hand.
    pub fn job_body(topology: &Topology, token: &Token, id: &JobId, kind: JobKind, body: Bytes) -> Self {
        Self {
            exchange: topology.jobs(),
            key: token.to_string(),
            kind: Some(kind.as_str().to_owned()),
            message_id: Some(id.to_string()),
            published: Published::Now,
            mandatory: true,
            body,
            ..Self::default()
        }
    }

    /// An event of a session. Nobody has to want it.
    pub fn event(topology: &Topology, token: &Token, name: &str, id: EventId, body: Bytes) -> Self {
        Self {
            exchange: topology.events(),
            key: routing_key(token, name),
            kind: Some(name.to_owned()),
            message_id: Some(id.to_string()),
            headers: vec![(EVENT_ID_HEADER, id.to_string())],
            body,
            ..Self::default()
        }
    }

    /// The same, as a part of a trace.
    #[must_use]
    pub fn within(self, trace: Option<TraceContext>) -> Self {
        Self { trace, ..self }
    }

    fn into_publish(self) -> Result<BasicPublish, PublishError> {
        if self.body.len() > BODY_MAX_BYTES {
            return Err(PublishError::TooLarge("the body is over 16 MiB"));
        }
        Ok(BasicPublish {
            exchange: short(&self.exchange)?,
            key: short(&self.key)?,
            options: BasicPublishOptions {
                mandatory: self.mandatory,
                immediate: false,
            },
            properties: self.properties()?,
            body: self.body,
        })
    }

    fn properties(&self) -> Result<BasicProperties, PublishError> {
        let short = |value: &Option<String>| value.as_deref().map(short).transpose();
        let mode = if self.transient { TRANSIENT } else { PERSISTENT };
        let mut properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(mode);
        if let Some(kind) = short(&self.kind)? {
            properties = properties.with_type(kind);
        }
        if let Some(id) = short(&self.message_id)? {
            properties = properties.with_message_id(id);
        }
        if let Some(queue) = short(&self.reply_to)? {
            properties = properties.with_reply_to(queue);
        }
        if let Some(id) = short(&self.correlation_id)? {
            properties = properties.with_correlation_id(id);
        }
        if let Some(expiration) = self.expiration {
            properties = properties.with_expiration(expiration.as_millis().to_string().into());
        }
        let published = match self.published {
            Published::At(millis) => Some(millis),
            Published::Untold | Published::Now => None,
        };
        if let Some(seconds) = published.and_then(|millis| u64::try_from(millis / 1_000).ok()) {
            properties = properties.with_timestamp(seconds);
        }
        if !self.headers.is_empty() || published.is_some() || self.trace.is_some() {
            let mut table = FieldTable::default();
            if let Some(millis) = published {
                table.insert(PUBLISHED_HEADER.into(), text(&millis.to_string()));
            }
            for (name, value) in &self.headers {
                table.insert((*name).into(), text(value));
            }
            if let Some(trace) = self.trace {
                table.insert(TRACEPARENT.into(), text(&trace.to_string()));
            }
            properties = properties.with_headers(table);
        }
        Ok(properties)
    }
}

fn short(text: &str) -> Result<ShortString, PublishError> {
    ShortString::try_new(text).map_err(|_| PublishError::TooLarge("a property is over 255 bytes"))
}

/// A channel to the broker: what is sent over it keeps its order. Cheap to clone (same channel).
#[derive(Clone)]
pub struct Publisher {
    queue: mpsc::Sender<Queued>,
    clock: Clock,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Publisher")
    }
}

impl Publisher {
    pub(super) fn new(connection: RecoveringConnection, clock: Clock) -> Self {
        Self {
            queue: confirms::start(connection, clock),
            clock,
        }
    }

    /// Publishes a message and waits for the broker's confirm. Many may wait at the same time.
    ///
    /// # Errors
    /// [`PublishError`]. It is told within [`CONFIRM_TIMEOUT`], or, where others wait before the message that the
    /// broker does not confirm either, when their connection ends.
    pub async fn publish(&self, message: Outgoing) -> Result<(), PublishError> {
        self.send(message).await?.wait().await
    }

    /// Hands a message over; what is handed over first is published first. The confirm is to be waited for: a message
    /// that nobody waits for any more when its turn comes is not published.
    ///
    /// # Errors
    /// [`PublishError`], if it was not taken.
    pub async fn send(&self, message: Outgoing) -> Result<Confirm, PublishError> {
        self.enqueue(message, None).await
    }

    /// Hands messages over that leave in their order: where the channel is lost between two of them, the later one is
    /// refused, and so are all behind it. Answers the confirms of those that were handed over, and why not all were.
    pub async fn send_all(&self, messages: Vec<Outgoing>) -> (Vec<Confirm>, Option<PublishError>) {
        let batch = Arc::new(Batch::new());
        let mut confirms = Vec::with_capacity(messages.len());
        for message in messages {
            match self.enqueue(message, Some(batch.clone())).await {
                Ok(confirm) => confirms.push(confirm),
                Err(error) => return (confirms, Some(error)),
            }
        }
        (confirms, None)
    }

    async fn enqueue(
        &self,
        mut message: Outgoing,
        batch: Option<Arc<Batch>>,
    ) -> Result<Confirm, PublishError> {
        if message.published == Published::Now {
            message.published = Published::At(unix_millis(self.clock.wall()));
        }
        let message = message.into_publish()?;
        let deadline = self.clock.now() + CONFIRM_TIMEOUT;
        let (answer, outcome) = oneshot::channel();
        let queued = Queued {
            message,
            waiter: Waiter { answer, deadline },
            batch,
        };
        let closed = || PublishError::Unavailable("the publisher is closed".into());
        match self.queue.try_send(queued) {
            Ok(()) => {}
            Err(TrySendError::Full(queued)) => {
                let turn = tokio::time::timeout_at(deadline, self.queue.send(queued)).await;
                turn.map_err(|_| PublishError::Unavailable("too many messages wait before it".into()))?
                    .map_err(|_| closed())?;
            }
            Err(TrySendError::Closed(_)) => return Err(closed()),
        }
        Ok(Confirm { outcome })
    }
}

/// A message that was handed over and not confirmed yet.
#[derive(Debug)]
pub struct Confirm {
    outcome: oneshot::Receiver<Result<(), PublishError>>,
}

impl Confirm {
    /// Waits for the broker's word.
    pub async fn wait(self) -> Result<(), PublishError> {
        // The channel's owner answers everybody; it is gone only with the whole process.
        self.outcome.await.unwrap_or(Err(PublishError::Unconfirmed))
    }
}
