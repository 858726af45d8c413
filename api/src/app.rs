//! What every handler can reach: the database, the broker, the key, and how jobs are published.
//!
//! Must not know any route.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use shared::broker::{Broker, Outgoing, Publisher, Rpc};
use shared::clock::Clock;
use shared::egress::Reach;
use shared::id::{JobId, ShardId, Token, WebhookId};
use shared::job::{Answer, Job};
use shared::random::Randomness;
use shared::store::Store;
use shared::store::webhooks::WebhookRecord;
use shared::store::webhooks::registry::{Change, NewWebhook};
use shared::subscription::{self, SubscriptionError};
use tokio_util::task::TaskTracker;

use crate::auth::ApiKey;
use crate::jobs::{self, Looks};
use crate::problem::Problem;
use crate::tokens::TokenCache;

/// Lanes that jobs are published over. The jobs of a session keep to one, so that they keep their order.
const LANES: usize = 4;

/// What every handler can reach.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub store: Store,
    /// The broker.
    pub broker: Broker,
    /// The key that opens the API.
    pub key: ApiKey,
    /// Which tokens are known, remembered for a short while.
    pub tokens: TokenCache,
    /// How many shards the sessions are divided into.
    pub shards: u16,
    /// How far webhooks may reach.
    pub reach: Reach,
    /// The time.
    pub clock: Clock,
    /// Where ids and secrets come from.
    pub random: Randomness,
    /// Work that goes on when its client leaves; waited for before the process ends.
    pub tasks: TaskTracker,
    lanes: [Publisher; LANES],
    rpc: Rpc,
}

impl App {
    /// Puts together what handlers need.
    pub fn new(store: Store, broker: Broker, key: ApiKey, shards: u16, reach: Reach) -> Self {
        let clock = Clock::system();
        let lanes = std::array::from_fn(|_| broker.publisher());
        let rpc = broker.rpc();
        Self {
            store,
            broker,
            key,
            clock,
            random: Randomness::system(),
            tokens: TokenCache::new(clock),
            shards,
            reach,
            tasks: TaskTracker::new(),
            lanes,
            rpc,
        }
    }

    /// Publishes a job and returns once the broker has it on disk. Many may be under way at once.
    ///
    /// # Errors
    /// 503 when the broker is away, takes no messages, or does not confirm in time.
    pub async fn publish(&self, token: &Token, id: &JobId, job: &Job) -> Result<(), Problem> {
        self.broker_takes_messages()?;
        let message = Outgoing::job(self.broker.topology(), token, id, job);
        self.lane(token)
            .publish(message)
            .await
            .map_err(jobs::not_published)
    }

    /// Publishes a job that is answered, and waits for the answer.
    ///
    /// # Errors
    /// 504 without an answer in [`jobs::ANSWER_TIMEOUT`], 503 when the broker is away.
    pub async fn call(&self, token: &Token, job: &Job) -> Result<Answer, Problem> {
        self.broker_takes_messages()?;
        let answer = self
            .rpc
            .call(token, &self.job_id(), job, jobs::ANSWER_TIMEOUT)
            .await;
        answer.map_err(jobs::not_answered)
    }

    /// An id for a job whose publisher named none.
    pub fn job_id(&self) -> JobId {
        JobId::fresh(self.clock.wall(), &mut self.random.fork())
    }

    /// Looks at something that is to change within `limit`.
    pub fn looks(&self, limit: Duration) -> Looks {
        Looks::within(self.clock, limit)
    }

    /// Routes the jobs of a token to its shard.
    ///
    /// # Errors
    /// 503 when the broker is away.
    pub async fn bind(&self, token: &Token, shard: ShardId) -> Result<(), Problem> {
        self.broker.bind_token(token, shard).await.map_err(|error| {
            tracing::warn!(%error, "a session's token could not be bound");
            jobs::broker_away("the message broker is not available; try again")
        })
    }

    /// Registers a webhook: events that are published after this reach it.
    ///
    /// # Errors
    /// 503 when the broker or the database is away.
    pub async fn register(&self, webhook: &NewWebhook) -> Result<WebhookRecord, Problem> {
        let registered = subscription::register(&self.store, &self.broker, webhook).await;
        registered.map_err(not_subscribed)
    }

    /// Changes a webhook, if it is there: events that are published after this reach it as it says then.
    ///
    /// # Errors
    /// 503 when the broker or the database is away.
    pub async fn change_webhook(
        &self,
        id: WebhookId,
        change: &Change,
    ) -> Result<Option<WebhookRecord>, Problem> {
        let changed = subscription::change(&self.store, &self.broker, id, change).await;
        changed.map_err(not_subscribed)
    }

    /// In an alarm the broker would let us wait until the confirm's time is over.
    fn broker_takes_messages(&self) -> Result<(), Problem> {
        if self.broker.is_ready() {
            return Ok(());
        }
        Err(jobs::broker_away(
            "the message broker is away or takes no messages at this moment; try again",
        ))
    }

    fn lane(&self, token: &Token) -> &Publisher {
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        let lane = hasher.finish() % LANES as u64;
        &self.lanes[usize::try_from(lane).unwrap_or_default()]
    }
}

fn not_subscribed(error: SubscriptionError) -> Problem {
    match error {
        SubscriptionError::Store(error) => error.into(),
        SubscriptionError::Broker(error) => {
            tracing::warn!(%error, "the broker could not be told of a webhook");
            jobs::broker_away("the message broker is not available; try again")
        }
    }
}
