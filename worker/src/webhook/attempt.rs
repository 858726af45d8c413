//! Attempts and what becomes of them: the first one straight from the event, the later ones from rows.
//!
//! Owns the rule that an event is settled when its endpoint has taken it or its row is stored. Must not know the
//! broker, nor how many attempts may run at once.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::Url;
use reqwest::header::HeaderMap;
use shared::clock::Clock;
use shared::config::Secret;
use shared::id::{DeliveryId, EventId, WebhookId};
use shared::metrics::labels::{AttemptNumber, AttemptOutcome, DisabledFor};
use shared::metrics::list;
use shared::process::Process;
use shared::store::Store;
use shared::store::deliveries::{self, Attempted, Fate, Leased, NewDelivery, TEST_EVENT};
use shared::store::webhooks::{self, Dialect, Limits, OldSecret};
use shared::telemetry::{Open, SpanKind, Traced, Tracer};
use shared::trace::TraceContext;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::journal::{Journal, Note};
use super::payload::Payload;
use super::request::{Answer, Outcome, Post, Poster};
use super::schedule::Schedule;

/// How long a first attempt may take before its event gets a row, so that a slow endpoint holds no broker message.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// By how much a row's lease outlives the longest attempt.
const LEASE_MARGIN: Duration = Duration::from_secs(15);

/// Waits between two tries to reach the database.
const DATABASE_WAIT_MIN: Duration = Duration::from_millis(100);
const DATABASE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Where an endpoint is and how it wants its events.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) id: WebhookId,
    /// Higher after each change.
    pub(super) revision: i64,
    pub(super) url: Url,
    /// What signs the posts; unused in the seed's dialect.
    pub(super) secret: Secret,
    /// What signs them too, for a while.
    pub(super) old_secret: Option<OldSecret>,
    /// Headers of its own.
    pub(super) headers: HeaderMap,
    pub(super) dialect: Dialect,
    pub(super) limits: Limits,
}

/// What an attempt says of its endpoint's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It took the event, or said that it wants no more.
    Answered,
    /// It did not.
    Failed,
}

/// Makes attempts and records them.
#[derive(Debug)]
pub(super) struct Attempts {
    store: Store,
    poster: Poster,
    schedule: Schedule,
    /// How long a leased row belongs to the worker that took it.
    pub(super) lease: Duration,
    rng: Mutex<StdRng>,
    clock: Clock,
    stop: CancellationToken,
    journal: Arc<Journal>,
    tracer: Tracer,
}

impl Attempts {
    /// With what a process has and its operator set; after the soft stop nothing is tried again here.
    pub(super) fn new(
        process: &Process,
        poster: Poster,
        schedule: Schedule,
        timeout: Duration,
        journal: Arc<Journal>,
    ) -> Self {
        Self {
            journal,
            tracer: process.tracer.clone(),
            store: process.store.clone(),
            poster,
            schedule,
            lease: timeout + LEASE_MARGIN,
            rng: Mutex::new(process.randomness.fork()),
            clock: process.clock,
            stop: process.life.soft().clone(),
        }
    }

    /// Makes the first attempt and tells `settled` when the broker's message is no longer needed. If the worker is
    /// stopped before that, `settled` is dropped and the event comes again.
    pub(super) async fn first(
        &self,
        target: &Target,
        payload: &Arc<Payload>,
        settled: oneshot::Sender<()>,
    ) -> Verdict {
        let started = self.clock.now();
        let what = What {
            event: payload.event,
            body: payload.body.clone(),
            attempt: 1,
            trace: payload.trace,
        };
        let post = self.post(target, what);
        tokio::pin!(post);
        let answer = tokio::select! {
            answer = &mut post => answer,
            () = tokio::time::sleep(PATIENCE) => {
                let stored = async {
                    let row = self.store_row(self.row(target, payload, Plan::Leased)).await;
                    if row.is_some() {
                        let _ = settled.send(());
                    }
                    row
                };
                let posted = async { (post.await, self.clock.now() - started) };
                // Side by side: an answer that comes while the database takes its time is an answer in time.
                let (row, (answer, took)) = tokio::join!(stored, posted);
                count(AttemptNumber::First, &answer.outcome, took);
                return match row {
                    Some(Stored::New(delivery)) => self.conclude(target, &delivery, answer, took).await,
                    Some(Stored::Known) | None => self.verdict(target, &answer.outcome).await,
                };
            }
        };
        let (took, outcome) = (self.clock.now() - started, answer.outcome);
        count(AttemptNumber::First, &outcome, took);
        let verdict = self.verdict(target, &outcome).await;
        if let Outcome::Delivered { status } = outcome {
            self.note(target.id, payload, status, took);
        }
        let stored = match self.plan_after(&outcome, 1) {
            Fate::Delivered => true,
            fate => {
                let row = self.row(target, payload, Plan::Tried(fate, attempted(&outcome, took)));
                let stored = self.store_row(row).await;
                if fate == Fate::Dead && matches!(stored, Some(Stored::New(_))) {
                    count_dead(1);
                }
                stored.is_some()
            }
        };
        if stored {
            let _ = settled.send(());
        }
        verdict
    }

    fn note(&self, webhook: WebhookId, payload: &Arc<Payload>, status: u16, took: Duration) {
        let note = Note {
            payload: payload.clone(),
            status,
            took,
            at: self.clock.wall(),
        };
        self.journal.note(webhook, note);
    }

    /// Stores an event whose endpoint may not be tried now. Whether it is stored: not so only after a stop.
    pub(super) async fn put_off_first(&self, target: &Target, payload: &Payload) -> bool {
        self.store_row(self.row(target, payload, Plan::PutOff))
            .await
            .is_some()
    }

    /// Attempts a leased row again.
    pub(super) async fn retry(&self, target: &Target, delivery: Leased) -> Verdict {
        let started = self.clock.now();
        let what = What {
            event: delivery.event_id,
            body: delivery.body.clone().into(),
            attempt: delivery.attempts.saturating_add(1),
            trace: delivery.trace,
        };
        let answer = self.post(target, what).await;
        let took = self.clock.now() - started;
        count(AttemptNumber::Retry, &answer.outcome, took);
        self.conclude(target, &delivery, answer, took).await
    }

    /// Gives a leased row back: it keeps its place, and it does not count as an attempt.
    pub(super) async fn release(&self, delivery: &Leased) {
        // When this fails the lease runs out by itself, and the row is taken again.
        if let Err(error) = deliveries::release(&self.store, delivery).await {
            tracing::warn!(%error, "a webhook delivery could not be given back; its lease will run out");
        }
    }

    async fn post(&self, target: &Target, what: What) -> Answer {
        let id = what.event.to_string();
        let mut traced = self.begin(target, &what);
        let now = self.clock.wall();
        let old = target.old_secret.as_ref().filter(|old| now < old.until);
        let secrets = [Some(target.secret.expose()), old.map(|old| old.secret.expose())];
        let secrets: Vec<&str> = match target.dialect {
            Dialect::Standard => secrets.into_iter().flatten().collect(),
            Dialect::Seed => Vec::new(),
        };
        let post = Post {
            url: &target.url,
            secrets: &secrets,
            headers: &target.headers,
            id: &id,
            body: what.body,
            now_unix_secs: now.unix_timestamp(),
            trace: traced.context(),
        };
        let answer = match target.dialect {
            Dialect::Standard => self.poster.post(post).await,
            // The global address is the operator's own choice.
            Dialect::Seed => self.poster.post_trusted(post).await,
        };
        traced.describe(|span| describe(span, &answer.outcome));
        traced.end();
        answer
    }

    /// The span of an attempt.
    fn begin(&self, target: &Target, what: &What) -> Traced {
        let mut traced = self.tracer.begin(what.trace, SpanKind::Client, "webhook attempt");
        traced.describe(|span| {
            span.text("webhook.id", target.id.to_string());
            span.text("event.id", what.event.to_string());
            span.number("attempt", i64::from(what.attempt));
        });
        traced
    }

    /// Records the outcome of an attempt of a row that we hold the lease of.
    async fn conclude(&self, target: &Target, delivery: &Leased, answer: Answer, took: Duration) -> Verdict {
        let Answer { outcome, excerpt } = answer;
        let verdict = self.verdict(target, &outcome).await;
        let (mut fate, mut attempted) = (
            self.plan_after(&outcome, delivery.attempts + 1),
            attempted(&outcome, took),
        );
        if delivery.event == TEST_EVENT {
            // Somebody wants to know what comes back, once.
            attempted.answer = excerpt;
            if fate != Fate::Delivered {
                fate = Fate::Dead;
            }
        } else if fate == Fate::Dead {
            count_dead(1);
        }
        // When this fails the lease runs out and the row is attempted again: at least once, under the same id.
        if let Err(error) = deliveries::finish_attempt(&self.store, delivery, &attempted, fate).await {
            tracing::warn!(%error, "a webhook attempt could not be recorded; it will be made again");
        }
        verdict
    }

    async fn verdict(&self, target: &Target, outcome: &Outcome) -> Verdict {
        match outcome {
            Outcome::Delivered { .. } => Verdict::Answered,
            Outcome::Failed { .. } => Verdict::Failed,
            Outcome::Gone => {
                tracing::warn!(webhook.id = %target.id, "webhook endpoint answered 410; it gets nothing more");
                list::WEBHOOKS_DISABLED.of(DisabledFor::Gone).increment(1);
                if let Err(error) = webhooks::disable(&self.store, target.id, "it answered 410 Gone").await {
                    tracing::warn!(%error, webhook.id = %target.id, "the webhook could not be disabled; the next 410 will");
                }
                Verdict::Answered
            }
        }
    }

    fn plan_after(&self, outcome: &Outcome, attempts: u32) -> Fate {
        let retry_after = match outcome {
            Outcome::Delivered { .. } => return Fate::Delivered,
            // It waits with the others until its endpoint is enabled again.
            Outcome::Gone => None,
            Outcome::Failed { retry_after, .. } => *retry_after,
        };
        self.schedule
            .wait(attempts, retry_after, self.dice())
            .map_or(Fate::Dead, Fate::Retry)
    }

    fn row(&self, target: &Target, payload: &Payload, plan: Plan) -> NewDelivery {
        let (attempted, fate, lease) = match plan {
            Plan::Tried(fate, attempted) => (Some(attempted), fate, None),
            Plan::PutOff => (None, Fate::InTurn, None),
            Plan::Leased => (None, Fate::Retry(Duration::ZERO), Some(self.lease)),
        };
        let id = DeliveryId::fresh(self.clock.wall(), &mut *self.rng());
        NewDelivery {
            id,
            webhook: target.id,
            event_id: payload.event,
            token: payload.token.clone(),
            event: payload.name.clone(),
            sequence: payload.sequence,
            body: String::from_utf8_lossy(&payload.body).into_owned(),
            attempted,
            fate,
            lease,
            trace: payload.trace,
        }
    }

    /// Stores a row, however long the database is away; `None` only after a stop.
    async fn store_row(&self, row: NewDelivery) -> Option<Stored> {
        let mut wait = DATABASE_WAIT_MIN;
        loop {
            match deliveries::insert(&self.store, &row).await {
                Ok(Some(delivery)) => return Some(Stored::New(delivery)),
                Ok(None) => return Some(Stored::Known),
                Err(error) => tracing::warn!(%error, "a webhook delivery could not be stored; trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(DATABASE_WAIT_MAX),
                () = self.stop.cancelled() => return None,
            }
        }
    }

    fn dice(&self) -> f64 {
        self.rng().random()
    }

    fn rng(&self) -> MutexGuard<'_, StdRng> {
        // Unwrap safety: nothing panics while the lock is held.
        #[allow(clippy::unwrap_used)]
        self.rng.lock().unwrap()
    }
}

/// What is posted.
struct What {
    event: EventId,
    body: Bytes,
    /// Which attempt it is, from 1.
    attempt: u32,
    /// The trace of the event.
    trace: Option<TraceContext>,
}

/// Notes in a span what an attempt came to.
fn describe(span: &mut Open, outcome: &Outcome) {
    let status = match outcome {
        Outcome::Delivered { status } => Some(*status),
        Outcome::Failed { status, .. } => *status,
        Outcome::Gone => Some(410),
    };
    if let Some(status) = status {
        span.number("http.response.status_code", i64::from(status));
    }
    match outcome {
        Outcome::Delivered { .. } => {}
        Outcome::Failed { reason, .. } => span.failed(*reason),
        Outcome::Gone => span.failed("answered 410 Gone"),
    }
}

/// Why a row is written.
enum Plan {
    /// The attempt is over.
    Tried(Fate, Attempted),
    /// No attempt was made.
    PutOff,
    /// The attempt is still under way.
    Leased,
}

enum Stored {
    New(Leased),
    /// The event came before, and its row is there.
    Known,
}

fn attempted(outcome: &Outcome, took: Duration) -> Attempted {
    let took_ms = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
    let (status, error) = match outcome {
        Outcome::Delivered { status } => (Some(*status), None),
        Outcome::Failed { status, reason, .. } => (*status, Some(*reason)),
        Outcome::Gone => (Some(410), Some("answered 410 Gone")),
    };
    Attempted {
        status,
        error,
        took_ms,
        answer: None,
    }
}

fn count(attempt: AttemptNumber, outcome: &Outcome, took: Duration) {
    let result = match outcome {
        Outcome::Delivered { .. } => AttemptOutcome::Delivered,
        Outcome::Failed { .. } => AttemptOutcome::Failed,
        Outcome::Gone => AttemptOutcome::Gone,
    };
    list::WEBHOOK_ATTEMPT.of(result).record(took.as_secs_f64());
    list::WEBHOOK_ATTEMPTS.of((attempt, result)).increment(1);
}

/// Counts deliveries that were given up.
pub(super) fn count_dead(deliveries: u64) {
    list::WEBHOOK_DIED.add(deliveries);
}
