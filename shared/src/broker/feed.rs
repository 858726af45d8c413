//! All events, for who looks on: a queue of this process's own that holds the newest and is gone with it.
//!
//! What is lost is lost: who must not miss an event binds a queue that stays.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::Acker;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Consumer};

use super::Broker;
use super::connection::REQUEST_TIMEOUT;
use super::error::BrokerError;
use super::topology::{short, text};

/// Most bytes of events that wait in the broker for one process; the oldest go.
pub const FEED_MAX_BYTES: i64 = 64 << 20;
/// Most events that the broker hands out ahead.
const PREFETCH: u16 = 256;

/// The events of the deployment from when it was opened, in their order. An event may come twice, and the oldest go where
/// nobody takes them in time: sequences tell.
pub struct Feed {
    channel: Channel,
    events: Consumer,
    /// The one that was handed out last.
    taken: Option<Acker>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Feed")
    }
}

impl Broker {
    /// Opens a feed of all events in which at most `room` wait. What is published after this returns comes by it.
    ///
    /// # Errors
    /// When the broker is away, or refuses.
    pub async fn feed(&self, room: u32) -> Result<Feed, BrokerError> {
        let connection = self.consuming.ready(Duration::MAX).await?;
        let exchange = self.topology.events();
        let open = async {
            let channel = connection.create_channel().await?;
            channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
            let options = QueueDeclareOptions {
                exclusive: true,
                auto_delete: true,
                ..QueueDeclareOptions::default()
            };
            let queue = channel
                .queue_declare(ShortString::default(), options, limits(room))
                .await?;
            let name = queue.name().clone();
            let (options, none) = (QueueBindOptions::default(), FieldTable::default());
            channel
                .queue_bind(name.clone(), short(&exchange), short("#"), options, none)
                .await?;
            let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
            let events = channel
                .basic_consume(name, ShortString::default(), options, none)
                .await?;
            Ok::<_, lapin::Error>(Feed {
                channel,
                events,
                taken: None,
            })
        };
        tokio::time::timeout(REQUEST_TIMEOUT, open)
            .await
            .map_err(|_| BrokerError::Unavailable("subscribing timed out".into()))?
            .map_err(BrokerError::from)
    }
}

impl Feed {
    /// The next event's envelope, as JSON. `None` when the feed has ended with its connection.
    ///
    /// Cancel safe: an event is either returned or still in the feed.
    pub async fn next(&mut self) -> Option<Bytes> {
        if let Some(taken) = self.taken.take() {
            // Only makes room for more. Where it fails, the feed ends by itself.
            let _ = taken.ack(BasicAckOptions::default()).await;
        }
        let delivery = self.events.next().await?.ok()?;
        self.taken = Some(delivery.acker);
        Some(delivery.data.into())
    }

    /// Ends the feed; its queue goes with it.
    pub async fn close(self) {
        let _ = tokio::time::timeout(REQUEST_TIMEOUT, self.channel.close(200, "done".into())).await;
    }
}

fn limits(room: u32) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(room.into()));
    arguments.insert(
        "x-max-length-bytes".into(),
        AMQPValue::LongLongInt(FEED_MAX_BYTES),
    );
    arguments.insert("x-overflow".into(), text("drop-head"));
    arguments
}
