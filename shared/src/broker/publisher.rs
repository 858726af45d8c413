//! Publishing with confirms: nothing counts as published until the broker says so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::maybe_done;
use lapin::options::BasicPublishOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::link::{Link, Slot};
use super::topology::{EVENT_ID_HEADER, Topology, text};
use crate::event::routing_key;
use crate::id::{EventId, JobId, Token};
use crate::job::{BODY_MAX_BYTES, Job, JobKind};

/// Most publishes of one publisher that wait for their confirms; more wait at the door.
pub const IN_FLIGHT_MAX: usize = 1_024;
/// How long a confirm may take.
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

const TRANSIENT: u8 = 1;
const PERSISTENT: u8 = 2;

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
    /// No queue takes it (only where asked: [`Outgoing::mandatory`]).
    #[error("no queue takes the message")]
    Unroutable,
    /// It can't be published at all: the body is over the limit, or a property over 255 bytes.
    #[error("the message is too large: {0}")]
    TooLarge(&'static str),
}

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
    /// Headers, as texts.
    pub headers: Vec<(&'static str, String)>,
    /// Whether it is an error if no queue takes it.
    pub mandatory: bool,
    /// Whether it may be lost when the broker restarts.
    pub transient: bool,
    /// The body, JSON.
    pub body: Bytes,
}

impl Outgoing {
    /// A job for a session. An unknown token is taken by the alternate exchange.
    pub fn job(topology: &Topology, token: &Token, id: &JobId, job: &Job) -> Self {
        Self::job_body(topology, token, id, (job.kind(), job.to_body().into()))
    }

    /// A job whose body is at hand.
    pub fn job_body(topology: &Topology, token: &Token, id: &JobId, (kind, body): (JobKind, Bytes)) -> Self {
        Self {
            exchange: topology.jobs(),
            key: token.to_string(),
            kind: Some(kind.as_str().to_owned()),
            message_id: Some(id.to_string()),
            mandatory: true,
            body,
            ..Self::default()
        }
    }

    /// An event of a session. Nobody has to want it.
    pub fn event(topology: &Topology, token: &Token, (event, id): (&str, EventId), body: Bytes) -> Self {
        Self {
            exchange: topology.events(),
            key: routing_key(token, event),
            kind: Some(event.to_owned()),
            message_id: Some(id.to_string()),
            headers: vec![(EVENT_ID_HEADER, id.to_string())],
            body,
            ..Self::default()
        }
    }

    fn properties(&self) -> Result<BasicProperties, PublishError> {
        let short = |value: &Option<String>| match value {
            Some(text) => ShortString::try_new(text.as_str())
                .map(Some)
                .map_err(|_| PublishError::TooLarge("a property is over 255 bytes")),
            None => Ok(None),
        };
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
        if !self.headers.is_empty() {
            let mut table = FieldTable::default();
            for (name, value) in &self.headers {
                table.insert((*name).into(), text(value));
            }
            properties = properties.with_headers(table);
        }
        Ok(properties)
    }
}

/// A lane to the broker: what it sends keeps its order. Cheap to clone (same lane).
#[derive(Clone)]
pub struct Publisher {
    slot: Arc<Slot>,
    permits: Arc<Semaphore>,
    /// lapin numbers a message and queues its frames in the first poll, in two steps: two threads at once could
    /// number them in another order than they leave, and confirms would go to the wrong message.
    turn: Arc<std::sync::Mutex<()>>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Publisher")
    }
}

impl Publisher {
    pub(super) fn new(link: Link) -> Self {
        Self {
            slot: Arc::new(Slot::confirming(link)),
            permits: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            turn: Arc::new(std::sync::Mutex::new(())),
        }
    }

    /// Publishes a message and waits for the broker's confirm. Many may wait at the same time.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, message: Outgoing) -> Result<(), PublishError> {
        self.send(message).await?.wait().await
    }

    /// Hands a message to the broker; what is handed over first is published first. The confirm is to be
    /// waited for.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn send(&self, message: Outgoing) -> Result<Confirm, PublishError> {
        let (mut confirms, failure) = self.send_all(vec![message]).await;
        match (confirms.pop(), failure) {
            (Some(confirm), _) => Ok(confirm),
            (None, Some(error)) => Err(error),
            (None, None) => Err(PublishError::Unconfirmed),
        }
    }

    /// Hands messages to the broker together, at most [`IN_FLIGHT_MAX`]: they leave in their order and in few
    /// writes, where one after the other each would wait for its own. Answers the confirms of those that were
    /// handed over, and why not all were: of the next one and those behind it nothing is known.
    pub async fn send_all(&self, messages: Vec<Outgoing>) -> (Vec<Confirm>, Option<PublishError>) {
        let mut failure = None;
        let mut prepared = Vec::with_capacity(messages.len());
        for message in messages {
            match Prepared::new(message) {
                Ok(message) => prepared.push(message),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        match self.hand_over(prepared).await {
            Ok((confirms, None)) => (confirms, failure),
            Ok((confirms, earlier)) => (confirms, earlier),
            Err(earlier) => (Vec::new(), Some(earlier)),
        }
    }

    async fn hand_over(
        &self,
        messages: Vec<Prepared>,
    ) -> Result<(Vec<Confirm>, Option<PublishError>), PublishError> {
        let closed = || PublishError::Unavailable("the publisher is closed".into());
        let count = u32::try_from(messages.len().min(IN_FLIGHT_MAX)).unwrap_or_default();
        let mut permits = self
            .permits
            .clone()
            .acquire_many_owned(count)
            .await
            .map_err(|_| closed())?;
        let deadline = Instant::now() + CONFIRM_TIMEOUT;
        let channel = tokio::time::timeout_at(deadline, self.slot.channel())
            .await
            .map_err(|_| PublishError::Unavailable("no channel in time".into()))?
            .map_err(|error| PublishError::Unavailable(error.to_string()))?;
        let mut publishes: Vec<_> = messages
            .iter()
            .map(|message| Box::pin(maybe_done(message.publish(&channel))))
            .collect();
        std::future::poll_fn(|cx| {
            let _turn = self
                .turn
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            for publish in &mut publishes {
                // Waited for below.
                let _ = publish.as_mut().poll(cx);
            }
            std::task::Poll::Ready(())
        })
        .await;
        let mut confirms = Vec::with_capacity(publishes.len());
        for mut publish in publishes {
            let written = tokio::time::timeout_at(deadline, publish.as_mut()).await;
            match (written, publish.as_mut().take_output(), permits.split(1)) {
                (Ok(()), Some(Ok(confirm)), Some(permit)) => confirms.push(Confirm {
                    confirm,
                    slot: self.slot.clone(),
                    deadline,
                    _permit: permit,
                }),
                // The frames may be on the wire already.
                _ => {
                    self.slot.discard();
                    return Ok((confirms, Some(PublishError::Unconfirmed)));
                }
            }
        }
        Ok((confirms, None))
    }
}

/// A message in lapin's words.
struct Prepared {
    exchange: ShortString,
    key: ShortString,
    options: BasicPublishOptions,
    properties: BasicProperties,
    body: Bytes,
}

impl Prepared {
    fn new(message: Outgoing) -> Result<Self, PublishError> {
        if message.body.len() > BODY_MAX_BYTES {
            return Err(PublishError::TooLarge("the body is over 16 MiB"));
        }
        let name = |text: &str| {
            ShortString::try_new(text).map_err(|_| PublishError::TooLarge("a property is over 255 bytes"))
        };
        Ok(Self {
            exchange: name(&message.exchange)?,
            key: name(&message.key)?,
            options: BasicPublishOptions {
                mandatory: message.mandatory,
                immediate: false,
            },
            properties: message.properties()?,
            body: message.body,
        })
    }

    async fn publish(&self, channel: &Channel) -> Result<PublisherConfirm, lapin::Error> {
        let (exchange, key) = (self.exchange.clone(), self.key.clone());
        channel
            .basic_publish(exchange, key, self.options, &self.body, self.properties.clone())
            .await
    }
}

/// A message that was handed over and not confirmed yet.
pub struct Confirm {
    confirm: PublisherConfirm,
    slot: Arc<Slot>,
    deadline: Instant,
    _permit: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Confirm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Confirm")
    }
}

impl Confirm {
    /// Waits for the broker's word.
    ///
    /// # Errors
    /// [`PublishError::Unconfirmed`], [`PublishError::Refused`], [`PublishError::Unroutable`].
    pub async fn wait(self) -> Result<(), PublishError> {
        match tokio::time::timeout_at(self.deadline, self.confirm).await {
            Ok(Ok(Confirmation::Ack(None))) => Ok(()),
            Ok(Ok(Confirmation::Ack(Some(_)))) => Err(PublishError::Unroutable),
            Ok(Ok(Confirmation::Nack(_))) => Err(PublishError::Refused),
            Ok(Ok(Confirmation::NotRequested) | Err(_)) | Err(_) => {
                self.slot.discard();
                Err(PublishError::Unconfirmed)
            }
        }
    }
}
