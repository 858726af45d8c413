//! What only tests do at the broker.

#![allow(clippy::unwrap_used)]

use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::Broker;
use super::topology::text;

/// A queue that somebody bound to all events and gave little room: what more is published is refused.
impl Broker {
    pub(crate) async fn narrow_queue(&self, room: i32) -> String {
        let name = format!("{}.narrow", self.topology().prefix());
        let events = self.topology().events();
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(room));
        arguments.insert("x-overflow".into(), text("reject-publish"));
        let make = async |channel: &lapin::Channel| {
            let options = lapin::options::QueueDeclareOptions {
                durable: true,
                ..Default::default()
            };
            let name: ShortString = name.as_str().into();
            channel.queue_declare(name.clone(), options, arguments).await?;
            channel
                .queue_bind(
                    name,
                    events.as_str().into(),
                    "#".into(),
                    Default::default(),
                    FieldTable::default(),
                )
                .await
        };
        self.bindings.request(make).await.unwrap();
        name
    }

    /// Takes all that waits in a queue.
    pub(crate) async fn drain(&self, queue: &str) -> Vec<Vec<u8>> {
        let get = async |channel: &lapin::Channel| {
            let mut bodies = Vec::new();
            let options = lapin::options::BasicGetOptions { no_ack: true };
            while let Some(message) = channel.basic_get(queue.into(), options).await? {
                bodies.push(message.delivery.data);
            }
            Ok(bodies)
        };
        self.bindings.request(get).await.unwrap()
    }

    pub(crate) async fn remove(&self, queue: &str) {
        let remove =
            async |channel: &lapin::Channel| channel.queue_delete(queue.into(), Default::default()).await;
        self.bindings.request(remove).await.unwrap();
    }
}
