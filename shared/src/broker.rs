//! The broker: the only use of lapin. Connections that come back, confirmed publishing, consumers whose
//! deliveries must be answered, and the topology.
//!
//! Two connections per process, one to publish and one to consume: in a memory alarm the broker blocks the
//! publishing one, and acks must not hang with it. Neither recovers by lapin's own means (publishes hang,
//! consumers lose their place without a word): a supervisor drops all and connects anew, for ever. Knows jobs
//! and events only by name and bytes.

mod confirms;
mod connection;
mod consumer;
mod error;
mod feed;
mod publisher;
mod rpc;
mod testing;
pub mod topology;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

pub use confirms::{CONFIRM_TIMEOUT, IN_FLIGHT_MAX};
pub use connection::REQUEST_TIMEOUT;
pub use consumer::{AnswerError, Consumer, Delivery, ReplyTo};
pub use error::{BrokerError, PublishError};
pub use feed::{FEED_MAX_BYTES, Feed};
pub use publisher::{Confirm, Outgoing, Published, Publisher};
pub use rpc::{CallError, Rpc, WAITING_MAX};
pub use topology::{QueueName, Topology, Wanted};

use self::connection::{RecoveringChannel, RecoveringConnection};
use crate::clock::Clock;
use crate::config;
use crate::id::{ShardId, Token};
use crate::metrics::labels::Link;
use crate::random::Randomness;

/// How long the first connection may take before [`Broker::connect`] gives up.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Logs of lapin that show bodies, and how much of them passes: frames, and each job that has no queue to go to.
pub const TELLTALE_LOGS: [(&str, LevelFilter); 2] = [
    ("lapin", LevelFilter::DEBUG),
    ("lapin::returned_messages", LevelFilter::OFF),
];

/// The broker of the deployment. Cheap to clone.
#[derive(Clone)]
pub struct Broker {
    topology: Arc<Topology>,
    publishing: RecoveringConnection,
    consuming: RecoveringConnection,
    /// Bindings go through one channel, one after the other.
    bindings: Arc<RecoveringChannel>,
    /// What consumers put back and dead-letter.
    housekeeping: Publisher,
    clock: Clock,
    stop: CancellationToken,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Broker({})", self.topology.prefix())
    }
}

impl Broker {
    /// Connects both connections and declares the topology; from then on reconnects for ever, and declares
    /// again each time (a broker that lost its data gets its objects back).
    ///
    /// # Errors
    /// [`BrokerError`] if the URL is wrong, or the broker refuses, or can't be reached within
    /// [`CONNECT_TIMEOUT`].
    pub async fn connect(
        amqp: &config::Amqp,
        clock: Clock,
        randomness: &Randomness,
    ) -> Result<Self, BrokerError> {
        let topology = Arc::new(Topology::new(&amqp.prefix, amqp.shards));
        let stop = CancellationToken::new();
        let url = amqp.url.expose();
        let start = |link, topology| {
            RecoveringConnection::start(url, link, topology, randomness.fork(), stop.clone())
        };
        let publishing = start(Link::Publish, None)?;
        let consuming = start(Link::Consume, Some(topology.clone()))?;
        let housekeeping = Publisher::new(publishing.clone(), clock);
        let bindings = Arc::new(RecoveringChannel::new(consuming.clone()));
        let broker = Self {
            topology,
            publishing,
            consuming,
            bindings,
            housekeeping,
            clock,
            stop,
        };
        for connection in [&broker.publishing, &broker.consuming] {
            if let Err(error) = connection.ready(CONNECT_TIMEOUT).await {
                broker.stop.cancel();
                return Err(error);
            }
        }
        Ok(broker)
    }

    /// The names of the broker's objects.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// A publisher with a channel of its own. What one publisher sends keeps its order.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.publishing.clone(), self.clock)
    }

    /// A consumer of a queue, with at most `prefetch` deliveries unanswered. Subscribes when first asked for
    /// a delivery, and again after each reconnection.
    pub fn consume(&self, queue: &QueueName, prefetch: u16) -> Consumer {
        Consumer::new(
            self.consuming.clone(),
            self.topology.clone(),
            self.housekeeping.clone(),
            queue,
            prefetch,
        )
    }

    /// A client for jobs that are answered.
    pub fn rpc(&self) -> Rpc {
        Rpc::start(
            self.consuming.clone(),
            self.publisher(),
            self.topology.clone(),
            self.stop.clone(),
        )
    }

    /// Routes the jobs of a token to the queue of a shard. Twice is once.
    pub async fn bind_token(&self, token: &Token, shard: ShardId) -> Result<(), BrokerError> {
        self.bindings
            .request(async |channel| self.topology.bind(channel, token, shard).await)
            .await
    }

    /// Stops routing the jobs of a token: later ones are unroutable.
    pub async fn unbind_token(&self, token: &Token, shard: ShardId) -> Result<(), BrokerError> {
        self.bindings
            .request(async |channel| self.topology.unbind(channel, token, shard).await)
            .await
    }

    /// Has all events collected in the queue of the webhook workers, now and after each reconnection, until
    /// [`Broker::want_only`]. For webhook workers, who look who wants what. Twice is once.
    pub async fn collect_for_webhooks(&self) -> Result<(), BrokerError> {
        self.bindings
            .request(async |channel| self.topology.collect_for_webhooks(channel).await)
            .await
    }

    /// Has the webhooks' queue take these events, beside those that it takes. Twice is once.
    pub async fn want_events(&self, wanted: &Wanted) -> Result<(), BrokerError> {
        self.bindings
            .request(async |channel| self.topology.want(channel, wanted).await)
            .await
    }

    /// Has the webhooks' queue take no others than these events. Twice is once.
    pub async fn want_only(&self, wanted: &Wanted) -> Result<(), BrokerError> {
        self.bindings
            .request(async |channel| self.topology.want_only(channel, wanted).await)
            .await
    }

    /// Whether both connections stand and the broker takes messages (it does not in a memory or disk alarm).
    pub fn is_ready(&self) -> bool {
        self.trouble().is_none()
    }

    /// Why it is not, by the connection's name.
    pub fn trouble(&self) -> Option<String> {
        let links = [("publishing", &self.publishing), ("consuming", &self.consuming)];
        let troubles = links
            .into_iter()
            .filter_map(|(link, connection)| Some(format!("{link}: {}", connection.trouble()?)));
        let troubles: Vec<String> = troubles.collect();
        (!troubles.is_empty()).then(|| troubles.join("; "))
    }

    /// How many messages wait in a queue.
    pub async fn depth(&self, queue: &QueueName) -> Result<u32, BrokerError> {
        let name = self.topology.queue(queue);
        self.bindings
            .request(async |channel| topology::depth(channel, &name).await)
            .await
    }

    /// How many consumers a queue has.
    pub async fn consumers(&self, queue: &QueueName) -> Result<u32, BrokerError> {
        let name = self.topology.queue(queue);
        self.bindings
            .request(async |channel| topology::consumers(channel, &name).await)
            .await
    }

    /// Deletes all objects of this topology: for tests, and for taking a deployment down for good.
    pub async fn delete_topology(&self) -> Result<(), BrokerError> {
        self.bindings
            .request(async |channel| self.topology.delete(channel).await)
            .await
    }

    /// Closes both connections. Cancel and close consumers first, or acks to quorum queues are lost.
    pub async fn close(&self) {
        self.stop.cancel();
        self.publishing.closed().await;
        self.consuming.closed().await;
    }
}

#[cfg(test)]
mod tests;
