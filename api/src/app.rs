//! What every handler can reach: the database, the broker, the key, and how jobs are published.
//!
//! Must not know any route.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use rand::RngExt;
use shared::broker::{Broker, CallError, Outgoing, PublishError, Publisher, Rpc};
use shared::clock::Clock;
use shared::content::{Content, Media, Source};
use shared::egress::Reach;
use shared::id::{JobId, QueueId, SessionId, ShardId, StanzaId, Token, WebhookId};
use shared::job::{Answer, Delay, Job, Reading, SendJob, SendLimits};
use shared::metrics::labels::Published;
use shared::metrics::list;
use shared::random::Randomness;
use shared::store::Store;
use shared::store::media;
use shared::store::requests::{self, Asked, Noted};
use shared::store::webhooks::WebhookRecord;
use shared::store::webhooks::registry::{Change, NewWebhook};
use shared::subscription::{self, SubscriptionError};
use shared::telemetry::Tracer;
use shared::trace;
use tokio_util::task::TaskTracker;

use crate::auth::ApiKey;
use crate::downloads::{DownloadSettings, Downloads};
use crate::ids::Ids;
use crate::jobs::{self, Looks};
use crate::problem::Problem;
use crate::tokens::{Addressee, TokenCache};
use crate::uploads::Uploads;

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
    /// What the deployment asks of sends.
    pub limits: SendLimits,
    /// The gap between two sends where a queue has none of its own: what workers are set to.
    pub delay: Delay,
    /// Fetches the files of messages.
    pub downloads: Downloads,
    /// Takes the files of callers in.
    pub uploads: Uploads,
    /// Makes the ids of sends whose callers name none, and knows them again.
    pub ids: Ids,
    /// The time.
    pub clock: Clock,
    /// Where ids and secrets come from.
    pub random: Randomness,
    /// Work that goes on when its client leaves; waited for before the process ends.
    pub tasks: TaskTracker,
    /// Who is told what was done for which trace.
    pub tracer: Tracer,
    lanes: [Publisher; LANES],
    rpc: Rpc,
}

/// A send that was published.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its queue.
    pub queue: QueueId,
    /// The id of its message, if it has a single one.
    pub message: Option<StanzaId>,
    /// How its recipients were read.
    pub reading: Reading,
}

impl App {
    /// Puts together what handlers need.
    pub fn new(store: Store, broker: Broker, key: ApiKey, shards: u16, reach: Reach) -> Self {
        let clock = Clock::system();
        let lanes = std::array::from_fn(|_| broker.publisher());
        let rpc = broker.rpc();
        let random = Randomness::system();
        // Without a key, as only tools run, ids are known again by this process alone.
        let ids = Ids::new(
            store
                .sealer()
                .map_or_else(|_| random.fork().random(), |sealer| sealer.derive("ids")),
        );
        Self {
            store,
            broker,
            key,
            clock,
            random,
            limits: SendLimits::default(),
            delay: Delay::default(),
            downloads: Downloads::new(DownloadSettings::default()),
            uploads: Uploads::default(),
            ids,
            tokens: TokenCache::new(clock),
            shards,
            reach,
            tasks: TaskTracker::new(),
            tracer: Tracer::default(),
            lanes,
            rpc,
        }
    }

    /// Publishes a job, as a part of the trace that is current, and returns once the broker has it on disk. Many may be under way at once.
    ///
    /// # Errors
    /// 503 when the broker is away, takes no messages, or does not confirm in time.
    pub async fn publish(&self, token: &Token, id: &JobId, job: &Job) -> Result<(), Problem> {
        self.broker_takes_messages()?;
        let message = Outgoing::job(self.broker.topology(), token, id, job).within(trace::current());
        let published = self.lane(token).publish(message).await;
        list::JOBS_PUBLISHED
            .of(came_to(published.as_ref().err()))
            .increment(1);
        published.map_err(jobs::not_published)
    }

    /// Publishes a send. From then on it is found under its ids, whatever becomes of it: they are noted first if one of
    /// them is the caller's, and known again if not.
    ///
    /// # Errors
    /// 400 where the deployment does not allow it, 409 when an id of it is taken, 503 when the broker or, if it names an
    /// id, the database is away.
    pub async fn send(&self, to: &Addressee, key: Option<JobId>, mut job: SendJob) -> Result<Sent, Problem> {
        self.limits.check_delay(job.delay)?;
        self.limits.check_start(job.start_at, self.clock.wall())?;
        jobs::refuse_reused(&self.store, to, key.as_ref(), &mut job).await?;
        self.has_file(&job.message).await?;
        let is_named = key.is_some() || job.queue_id.is_some() || job.message_id.is_some();
        let (token, now) = (&to.token, self.clock.wall());
        let rng = &mut self.random.fork();
        if job.numbers.len() == 1 {
            job.message_id.get_or_insert_with(|| match &key {
                Some(key) => jobs::stanza_id(token, key),
                None => self.ids.message(token, now, rng),
            });
        }
        let id = key.unwrap_or_else(|| self.ids.send(token, now, rng));
        let sent = Sent {
            queue: job.queue_id(token, &id),
            message: job.message_id.clone(),
            reading: std::mem::take(&mut job.reading),
        };
        let noted = match is_named {
            true => self.note(to, &sent, &id).await?,
            false => None,
        };
        let published = self.publish(token, &id, &Job::Send(Box::new(job))).await;
        if let (Err(_), Some(session)) = (&published, noted) {
            // Nobody is told that it was taken. Without this an id of it counts as taken for a while.
            let asked = asked(session, &sent, &id);
            if let Err(error) = requests::take_back(&self.store, asked).await {
                tracing::warn!(%error, "a send that was not published stays noted; for a while its id counts as taken");
            }
        }
        published.map(|()| sent)
    }

    /// Whether the file is there that a message names by its id, if it does.
    ///
    /// # Errors
    /// 400 where it is not, 503 when the database is away.
    pub async fn has_file(&self, message: &Content) -> Result<(), Problem> {
        let Some(Source::Stored(id)) = message.media().and_then(Media::source) else {
            return Ok(());
        };
        let found = media::find(&self.store, id).await?;
        let words = "no uploaded file has this id, or not any more";
        found
            .map(drop)
            .ok_or_else(|| Problem::field(format!("message.{}.id", message.media_field()), words))
    }

    /// Notes what a send asks for; answers under which session, if that is new.
    async fn note(&self, to: &Addressee, sent: &Sent, id: &JobId) -> Result<Option<SessionId>, Problem> {
        let mut session = to.session;
        let mut noted = requests::note(&self.store, asked(session, sent, id)).await?;
        if noted == Noted::NoSession {
            // The token has another session by now, or none.
            session = self.tokens.look_up(&self.store, &to.token).await?.id;
            noted = requests::note(&self.store, asked(session, sent, id)).await?;
        }
        Ok((noted == Noted::New).then_some(session))
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
        let refusal = match &answer {
            Err(CallError::Publish(error)) => Some(error),
            _ => None,
        };
        list::JOBS_PUBLISHED.of(came_to(refusal)).increment(1);
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
            tracing::warn!(%error, "a session's token could not be bound; a request is answered with 503");
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

fn asked<'a>(session: SessionId, sent: &'a Sent, job: &'a JobId) -> Asked<'a> {
    Asked {
        session,
        queue: sent.queue,
        job,
        message: sent.message.as_ref(),
    }
}

fn not_subscribed(error: SubscriptionError) -> Problem {
    match error {
        SubscriptionError::Store(error) => error.into(),
        SubscriptionError::Broker(error) => {
            tracing::warn!(%error, "the broker could not be told of a webhook; a request is answered with 503");
            jobs::broker_away("the message broker is not available; try again")
        }
    }
}
/// What counts of a job that was handed to the broker.
fn came_to(error: Option<&PublishError>) -> Published {
    match error {
        None => Published::Confirmed,
        Some(PublishError::Unroutable) => Published::Unroutable,
        Some(PublishError::Refused | PublishError::TooLarge(_)) => Published::Refused,
        Some(PublishError::Unavailable(_) | PublishError::Unconfirmed) => Published::Failed,
    }
}
