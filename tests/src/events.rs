//! A foreign service on the broker: it reads the events and publishes jobs with nothing but AMQP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::Value;

use crate::wait::eventually;

/// Events of the topic exchange, as they come.
pub struct Listener {
    consumer: Consumer,
    _connection: Connection,
}

impl Listener {
    /// Binds a queue of its own to the events whose key matches `pattern`.
    ///
    /// # Errors
    /// When the broker does not answer or has no such exchange.
    pub async fn start(url: &str, prefix: &str, pattern: &str) -> Result<Self> {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = channel
            .queue_declare("".into(), options, FieldTable::default())
            .await?
            .name()
            .clone();
        let exchange: ShortString = format!("{prefix}.events").into();
        channel
            .queue_bind(
                queue.clone(),
                exchange,
                pattern.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
        let options = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let consumer = channel
            .basic_consume(queue, "".into(), options, FieldTable::default())
            .await?;
        Ok(Self {
            consumer,
            _connection: connection,
        })
    }

    /// The next event, as JSON.
    ///
    /// # Errors
    /// When the broker has gone or the event is not JSON.
    pub async fn next(&mut self) -> Result<Value> {
        Ok(self.next_traced().await?.0)
    }

    /// The next event, as JSON, and its header `traceparent`.
    ///
    /// # Errors
    /// When the broker has gone or the event is not JSON.
    pub async fn next_traced(&mut self) -> Result<(Value, Option<String>)> {
        let delivery = self.consumer.next().await.context("the broker has gone")??;
        let headers = delivery.properties.headers().as_ref();
        let trace = headers.and_then(|headers| match headers.inner().get("traceparent")? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            _ => None,
        });
        Ok((serde_json::from_slice(&delivery.data)?, trace))
    }
}

/// Everything that a listener heard, in order.
pub struct Record(Arc<Mutex<Vec<Heard>>>);

/// An event, and the trace that it names.
type Heard = (Value, Option<String>);

impl Record {
    /// Writes down what `listener` hears from now on.
    #[must_use]
    pub fn start(mut listener: Listener) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let pen = heard.clone();
        tokio::spawn(async move {
            while let Ok(event) = listener.next_traced().await {
                pen.lock().expect("a reader panicked").push(event);
            }
        });
        Self(heard)
    }

    /// All events so far.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let heard = self.0.lock().expect("a writer panicked");
        heard.iter().map(|(event, _)| event.clone()).collect()
    }

    /// The headers `traceparent` of those that `wanted` says yes to.
    #[must_use]
    pub fn traces(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Option<String>> {
        let heard = self.0.lock().expect("a writer panicked");
        let wanted = heard.iter().filter(|(event, _)| wanted(event));
        wanted.map(|(_, trace)| trace.clone()).collect()
    }

    /// How many of them `wanted` says yes to. Copies none: there may be thousands, and a test looks often.
    #[must_use]
    pub fn count(&self, wanted: impl Fn(&Value) -> bool) -> usize {
        let heard = self.0.lock().expect("a writer panicked");
        heard.iter().filter(|(event, _)| wanted(event)).count()
    }

    /// Whether `wanted` says yes to one of them, the first so many left out. Copies none either.
    #[must_use]
    pub fn has(&self, since: usize, wanted: impl Fn(&Value) -> bool) -> bool {
        let heard = self.0.lock().expect("a writer panicked");
        heard.iter().skip(since).any(|(event, _)| wanted(event))
    }

    /// Waits for the event `name` of the queue `queue`.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn until(&self, patience: Duration, name: &str, queue: &str) -> Result<()> {
        self.until_any(patience, &format!("{name} of {queue}"), |event| {
            event["event"] == name && event["data"]["queue"]["queueId"] == queue
        })
        .await
    }

    /// Waits for an event that `wanted` says yes to.
    ///
    /// # Errors
    /// When none comes in time.
    pub async fn until_any(
        &self,
        patience: Duration,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        let heard = eventually(patience, what, async || Ok(self.count(&wanted) > 0)).await;
        heard.with_context(|| {
            let events = self.events();
            let names: Vec<&Value> = events
                .iter()
                .rev()
                .take(20)
                .map(|event| &event["event"])
                .collect();
            format!("the last events were (newest first) {names:?}")
        })
    }
}

/// A job as a publisher makes it.
pub struct ForeignJob<'a> {
    /// AMQP `type`.
    pub kind: &'a str,
    /// AMQP `message_id`.
    pub id: &'a str,
    /// JSON.
    pub body: &'a [u8],
    /// The header of that name.
    pub traceparent: Option<&'a str>,
}

/// A publisher of jobs in a language of its own.
pub struct JobPublisher {
    channel: Channel,
    exchange: ShortString,
    _connection: Connection,
}

impl JobPublisher {
    /// Connects.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn connect(url: &str, prefix: &str) -> Result<Self> {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self {
            channel,
            exchange: format!("{prefix}.jobs").into(),
            _connection: connection,
        })
    }

    /// Publishes a job and returns when the broker has it.
    ///
    /// # Errors
    /// When the broker does not confirm.
    pub async fn publish(&self, token: &str, kind: &str, id: &str, body: &[u8]) -> Result<()> {
        let job = ForeignJob {
            kind,
            id,
            body,
            traceparent: None,
        };
        self.publish_job(token, &job).await
    }

    /// The same, with a trace of the publisher's own.
    ///
    /// # Errors
    /// When the broker does not confirm.
    pub async fn publish_job(&self, token: &str, job: &ForeignJob<'_>) -> Result<()> {
        let mut headers = FieldTable::default();
        if let Some(traceparent) = job.traceparent {
            headers.insert("traceparent".into(), AMQPValue::LongString(traceparent.into()));
        }
        let properties = BasicProperties::default()
            .with_headers(headers)
            .with_type(job.kind.into())
            .with_message_id(job.id.into())
            .with_content_type("application/json".into())
            .with_delivery_mode(2);
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let confirm = self
            .channel
            .basic_publish(self.exchange.clone(), token.into(), options, job.body, properties)
            .await?
            .await?;
        ensure!(confirm.is_ack(), "not confirmed");
        Ok(())
    }

    /// Takes one message from the queue `name`, with its `x-reason` header.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn take(&self, name: &str) -> Result<Option<(Vec<u8>, String)>> {
        let message = self
            .channel
            .basic_get(name.into(), BasicGetOptions { no_ack: true })
            .await?;
        Ok(message.map(|message| {
            let headers = message.properties.headers().clone().unwrap_or_default();
            let reason = headers
                .inner()
                .get("x-reason")
                .map(|value| format!("{value:?}"))
                .unwrap_or_default();
            (message.data.clone(), reason)
        }))
    }
}

async fn connect(url: &str) -> Result<Connection> {
    Connection::connect(url, ConnectionProperties::default())
        .await
        .context("connecting to the broker")
}
