//! Every exchange, queue and binding, and their names. All of it is in one place and declared in one function.
//!
//! Arguments can't be changed once declared: any difference is refused by the broker. Only what 3.10 and 4.x
//! treat alike is used, and every limit whose default differs is set.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind};

use crate::event::EventName;
use crate::id::{SHARDS_MAX, ShardId, Token};

/// How often a job is delivered before it is dead-lettered. It also counts connection losses, so it must not
/// be small.
pub const JOB_DELIVERY_LIMIT: i32 = 20;
/// The same for an event on its way to webhooks.
pub const WEBHOOK_DELIVERY_LIMIT: i32 = 50;

/// Most jobs of a shard, or without a binding, that wait in the broker; more are refused to their publishers, who
/// see it in the confirm.
pub const JOBS_MAX: i32 = 1_000_000;
/// The same in bytes.
pub const JOBS_MAX_BYTES: i64 = 4 << 30;
/// Most events that wait for webhook workers. More are refused, and wait in the database in their order.
pub const WEBHOOKS_MAX: i32 = 1_000_000;
/// The same in bytes.
pub const WEBHOOKS_MAX_BYTES: i64 = 4 << 30;
/// Most dead letters that are kept of jobs, and of events; the oldest go first.
pub const DEAD_MAX: i32 = 100_000;
/// The same in bytes.
pub const DEAD_MAX_BYTES: i64 = 1 << 30;

/// How long a job that was put back stays away.
pub const LATER_AFTER: Duration = Duration::from_secs(1);
/// Most jobs that are put back at a time; more stay where they are.
pub const LATER_MAX: i32 = 100_000;
/// The same in bytes.
pub const LATER_MAX_BYTES: i64 = 256 << 20;

/// Header of a job: when it was published, in unix milliseconds; `timestamp` has only seconds.
pub const PUBLISHED_HEADER: &str = "x-published-ms";
/// Header of a job that was put back: its turn, by which its session knows it again.
pub const TURN_HEADER: &str = "x-turn";
/// Header of a dead letter: why it is one.
pub const REASON_HEADER: &str = "x-reason";
/// Header of a dead letter: the routing key it came with.
pub const KEY_HEADER: &str = "x-routing-key";
/// Header of an event: its id, to drop repetitions by.
pub const EVENT_ID_HEADER: &str = "x-event-id";

/// A queue of the topology.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum QueueName {
    /// Jobs of the sessions of a shard.
    Shard(ShardId),
    /// Jobs whose token has no session.
    Unroutable,
    /// Jobs that were put back for a moment: they return to their shard by themselves.
    Later,
    /// Jobs given up, with their reason.
    DeadJobs,
    /// Events for webhooks.
    Webhooks,
    /// Events that webhook workers could not even handle.
    DeadWebhooks,
}

/// Which events go to the webhooks' queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// All, those of names unknown to us too.
    All,
    /// Those of these names.
    Only(BTreeSet<EventName>),
}

impl Wanted {
    /// The pattern that takes every event.
    const EVERY: &str = "#";

    /// The binding keys that take these events.
    fn patterns(&self) -> Vec<String> {
        match self {
            Self::All => vec![Self::EVERY.to_owned()],
            Self::Only(names) => names.iter().map(|name| pattern(*name)).collect(),
        }
    }

    /// All binding keys there can be, without those.
    fn others(&self) -> Vec<String> {
        let own = self.patterns();
        let every = std::iter::once(Self::EVERY.to_owned());
        let all = every.chain(EventName::ALL.into_iter().map(pattern));
        all.filter(|pattern| !own.contains(pattern)).collect()
    }
}

/// The binding key that takes an event of every session.
fn pattern(event: EventName) -> String {
    format!("*.{}", event.as_str().replace(':', "."))
}

/// The names of one deployment's objects.
#[derive(Clone, Debug)]
pub struct Topology {
    prefix: String,
    shards: u16,
    /// This process serves webhooks: whenever it declares, the webhooks' queue takes all events until it has looked
    /// who wants what.
    collects: Arc<AtomicBool>,
}

impl Topology {
    /// The topology of a prefix and a number of shards.
    pub fn new(prefix: &str, shards: u16) -> Self {
        Self {
            prefix: prefix.to_owned(),
            shards: shards.min(SHARDS_MAX),
            collects: Arc::default(),
        }
    }

    /// The first part of all names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The exchange that jobs are published to: direct, by token.
    pub fn jobs(&self) -> String {
        self.name("jobs")
    }

    /// The exchange that events are published to: topic, by `<token>.<event>`.
    pub fn events(&self) -> String {
        self.name("events")
    }

    /// The exchange that takes dead letters: direct, `jobs` or `webhooks`.
    pub fn dead(&self) -> String {
        self.name("dead")
    }

    /// The exchange that takes jobs for tokens without a binding.
    pub fn unroutable(&self) -> String {
        self.name("unroutable")
    }

    /// The exchange that takes jobs that are put back for a moment.
    pub fn later(&self) -> String {
        self.name("later")
    }

    /// The name of a queue.
    pub fn queue(&self, queue: &QueueName) -> String {
        match queue {
            QueueName::Shard(shard) => self.name(&format!("jobs.shard.{shard}")),
            QueueName::Unroutable => self.name("jobs.unroutable"),
            QueueName::Later => self.name("jobs.later"),
            QueueName::DeadJobs => self.name("jobs.dead"),
            QueueName::Webhooks => self.name("webhooks"),
            QueueName::DeadWebhooks => self.name("webhooks.dead"),
        }
    }

    fn name(&self, rest: &str) -> String {
        format!("{}.{rest}", self.prefix)
    }

    /// All queues.
    pub fn queues(&self) -> impl Iterator<Item = QueueName> + use<> {
        let shards = (0..self.shards)
            .filter_map(|number| ShardId::new(number).ok())
            .map(QueueName::Shard);
        let others = [
            QueueName::Unroutable,
            QueueName::Later,
            QueueName::DeadJobs,
            QueueName::Webhooks,
            QueueName::DeadWebhooks,
        ];
        shards.chain(others)
    }

    /// Declares everything. Twice is once.
    pub(super) async fn declare(&self, connection: &Connection) -> Result<(), lapin::Error> {
        let channel = connection.create_channel().await?;
        let mut alternate = FieldTable::default();
        alternate.insert("alternate-exchange".into(), text(&self.unroutable()));
        let plain = FieldTable::default;
        exchange(&channel, &self.dead(), ExchangeKind::Direct, plain()).await?;
        exchange(&channel, &self.unroutable(), ExchangeKind::Fanout, plain()).await?;
        exchange(&channel, &self.later(), ExchangeKind::Fanout, plain()).await?;
        exchange(&channel, &self.jobs(), ExchangeKind::Direct, alternate).await?;
        exchange(&channel, &self.events(), ExchangeKind::Topic, plain()).await?;
        let channel = self.declare_queues(connection, channel).await?;
        let (jobs, webhooks) = (
            self.queue(&QueueName::DeadJobs),
            self.queue(&QueueName::DeadWebhooks),
        );
        bind(&channel, &jobs, &self.dead(), "jobs").await?;
        bind(&channel, &webhooks, &self.dead(), "webhooks").await?;
        let unroutable = self.queue(&QueueName::Unroutable);
        bind(&channel, &unroutable, &self.unroutable(), "").await?;
        bind(&channel, &self.queue(&QueueName::Later), &self.later(), "").await?;
        match self.collects.load(Ordering::Relaxed) {
            true => self.want(&channel, &Wanted::All).await,
            false => Ok(()),
        }
    }

    /// Declares the queues; answers a channel that still stands. A queue that an older release made without limits
    /// is left as it is: its arguments can't be changed, and its messages must not be lost.
    async fn declare_queues(
        &self,
        connection: &Connection,
        mut channel: Channel,
    ) -> Result<Channel, lapin::Error> {
        let options = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let mut unlimited = Vec::new();
        for queue in self.queues() {
            let name = self.queue(&queue);
            let declared = channel
                .queue_declare(short(&name), options, self.arguments(&queue))
                .await;
            match declared {
                Err(error) if is_precondition_failed(&error) => {
                    channel = connection.create_channel().await?;
                    channel
                        .queue_declare(short(&name), options, self.arguments_without_limits(&queue))
                        .await?;
                    unlimited.push(name);
                }
                declared => drop(declared?),
            }
        }
        if !unlimited.is_empty() {
            tracing::warn!(
                broker.queues = unlimited.join(", "),
                "these queues of an older release have no length limit; set one by a policy, or delete them while \
                 they are empty and nothing runs"
            );
        }
        Ok(channel)
    }

    /// Has all events collected for webhooks, now and whenever everything is declared: a broker that lost its data has
    /// lost what webhooks want, too. Only for a process that serves webhooks and takes back what nobody wants
    /// ([`Self::want_only`]): where nobody takes events out of their queue, it would fill up and hold up the events for
    /// everybody.
    pub(super) async fn collect_for_webhooks(&self, channel: &Channel) -> Result<(), lapin::Error> {
        self.collects.store(true, Ordering::Relaxed);
        self.want(channel, &Wanted::All).await
    }

    /// Has the webhooks' queue take these events, beside those that it takes.
    pub(super) async fn want(&self, channel: &Channel, wanted: &Wanted) -> Result<(), lapin::Error> {
        let queue = self.queue(&QueueName::Webhooks);
        for pattern in wanted.patterns() {
            bind(channel, &queue, &self.events(), &pattern).await?;
        }
        Ok(())
    }

    /// Has the webhooks' queue take no others than these events. Those of them that it takes already are never missed.
    pub(super) async fn want_only(&self, channel: &Channel, wanted: &Wanted) -> Result<(), lapin::Error> {
        self.want(channel, wanted).await?;
        let queue = self.queue(&QueueName::Webhooks);
        for pattern in wanted.others() {
            unbind(channel, &queue, &self.events(), &pattern).await?;
        }
        Ok(())
    }

    fn arguments(&self, queue: &QueueName) -> FieldTable {
        let mut arguments = self.arguments_without_limits(queue);
        let (most, bytes) = match queue {
            QueueName::Shard(_) | QueueName::Unroutable => (JOBS_MAX, JOBS_MAX_BYTES),
            QueueName::Later => (LATER_MAX, LATER_MAX_BYTES),
            QueueName::Webhooks => (WEBHOOKS_MAX, WEBHOOKS_MAX_BYTES),
            QueueName::DeadJobs | QueueName::DeadWebhooks => {
                arguments.insert("x-overflow".into(), text("drop-head"));
                (DEAD_MAX, DEAD_MAX_BYTES)
            }
        };
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(most));
        arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(bytes));
        arguments
    }

    pub(super) fn arguments_without_limits(&self, queue: &QueueName) -> FieldTable {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), text("quorum"));
        match queue {
            QueueName::Shard(_) | QueueName::Unroutable => {
                self.give_up(&mut arguments, "jobs", JOB_DELIVERY_LIMIT)
            }
            QueueName::Webhooks => self.give_up(&mut arguments, "webhooks", WEBHOOK_DELIVERY_LIMIT),
            QueueName::Later => {
                // All wait equally long, so that the first in the queue is the first to go; each under its own key.
                let after = i64::try_from(LATER_AFTER.as_millis()).unwrap_or(i64::MAX);
                arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(after));
                arguments.insert("x-dead-letter-exchange".into(), text(&self.jobs()));
            }
            QueueName::DeadJobs | QueueName::DeadWebhooks => return arguments,
        }
        // A dead letter is only forgotten when the dead queue has it; the broker wants this overflow rule for it.
        arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        arguments.insert("x-overflow".into(), text("reject-publish"));
        if matches!(queue, QueueName::Shard(_)) {
            // A second lock behind the leases: messages of a shard go to one worker, in order.
            arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        }
        arguments
    }

    /// After so many deliveries a message goes to the dead letters.
    fn give_up(&self, arguments: &mut FieldTable, dead: &str, deliveries: i32) {
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(deliveries));
        arguments.insert("x-dead-letter-exchange".into(), text(&self.dead()));
        arguments.insert("x-dead-letter-routing-key".into(), text(dead));
    }

    pub(super) async fn bind(
        &self,
        channel: &Channel,
        token: &Token,
        shard: ShardId,
    ) -> Result<(), lapin::Error> {
        bind(
            channel,
            &self.queue(&QueueName::Shard(shard)),
            &self.jobs(),
            token.as_str(),
        )
        .await
    }

    pub(super) async fn unbind(
        &self,
        channel: &Channel,
        token: &Token,
        shard: ShardId,
    ) -> Result<(), lapin::Error> {
        let queue = self.queue(&QueueName::Shard(shard));
        unbind(channel, &queue, &self.jobs(), token.as_str()).await
    }

    /// Deletes everything, messages included.
    pub(super) async fn delete(&self, channel: &Channel) -> Result<(), lapin::Error> {
        for queue in self.queues() {
            channel
                .queue_delete(short(&self.queue(&queue)), QueueDeleteOptions::default())
                .await?;
        }
        let exchanges = [
            self.jobs(),
            self.events(),
            self.dead(),
            self.unroutable(),
            self.later(),
        ];
        for exchange in exchanges {
            channel
                .exchange_delete(short(&exchange), ExchangeDeleteOptions::default())
                .await?;
        }
        Ok(())
    }
}

/// An object exists with other arguments.
fn is_precondition_failed(error: &lapin::Error) -> bool {
    matches!(error.kind(), lapin::ErrorKind::ProtocolError(protocol) if protocol.get_id() == PRECONDITION_FAILED)
}

const PRECONDITION_FAILED: u16 = 406;

/// How many messages wait in a queue that exists.
pub(super) async fn depth(channel: &Channel, name: &str) -> Result<u32, lapin::Error> {
    Ok(look(channel, name).await?.message_count())
}

/// How many consumers a queue has that exists.
pub(super) async fn consumers(channel: &Channel, name: &str) -> Result<u32, lapin::Error> {
    Ok(look(channel, name).await?.consumer_count())
}

async fn look(channel: &Channel, name: &str) -> Result<lapin::Queue, lapin::Error> {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(short(name), options, FieldTable::default())
        .await
}

async fn exchange(
    channel: &Channel,
    name: &str,
    kind: ExchangeKind,
    arguments: FieldTable,
) -> Result<(), lapin::Error> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(short(name), kind, options, arguments)
        .await
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> Result<(), lapin::Error> {
    let options = QueueBindOptions::default();
    channel
        .queue_bind(
            short(queue),
            short(exchange),
            short(key),
            options,
            FieldTable::default(),
        )
        .await
}

async fn unbind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> Result<(), lapin::Error> {
    channel
        .queue_unbind(short(queue), short(exchange), short(key), FieldTable::default())
        .await
}

/// A name as AMQP takes it. Ours are a checked prefix (64) or token (64) and a fixed rest: far below 255 bytes.
pub(super) fn short(name: &str) -> ShortString {
    ShortString::try_new(name).unwrap_or_default()
}

pub(super) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}
