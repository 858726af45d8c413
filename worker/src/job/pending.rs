//! A job from the broker to its answer.
//!
//! One type goes all the way: read from its delivery, stored if it is a send, given to its session, answered. Its
//! delivery is settled once, whatever becomes of it. Knows nothing of what sessions do with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shared::broker::{Delivery, Publisher, ReplyTo};
use shared::clock::unix_millis;
use shared::event::JobRejected;
use shared::id::{JobId, QueueId, SessionId, StanzaId, StanzaIds, Token};
use shared::job::{Answer, FailureCode, Job, JobError, JobKind, Reading, Recipient, SendJob, SendLimits};
use shared::store::queues::QueueRecord;
use shared::store::queues::accepting::{Acceptance, Offer};
use shared::telemetry::{SpanKind, Traced, Tracer};
use shared::trace::{self, TraceContext};
use time::OffsetDateTime;

use super::settlement::{Reply, Returned, Settlement};
use crate::job::outcome::{self, JobOutcome};

/// A job on its way, and its delivery. Dropped unsettled, it goes back to its shard's intake.
#[derive(Debug)]
pub(crate) struct PendingJob {
    /// Whose job it is.
    pub(crate) token: Token,
    /// Its identity; every send has one.
    pub(crate) id: Option<JobId>,
    /// The ids of its messages, if it is a send that names none.
    ids: StanzaIds,
    /// How far it is.
    pub(crate) stage: Stage,
    /// How the recipients of a stored send were read, where that is not plain.
    pub(crate) reading: Option<Box<Reading>>,
    /// As long as its body counts among those that the intake holds.
    weight: Option<Weight>,
    /// Gone once it is settled.
    delivery: Option<Delivery>,
    losses: u32,
    /// Its span.
    traced: Traced,
    settlement: Arc<Settlement>,
}

/// A delivery that nobody looked into yet.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) delivery: Delivery,
    /// How often a session was lost with it in its hands.
    pub(crate) losses: u32,
}

/// How far a job is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// It is read. A send is to be stored next; all else is for the session.
    Read(Job),
    /// Its queue and recipients were stored just now.
    Accepted {
        queue: Box<QueueRecord>,
        /// The recipient, when it is a single one: it needs no reading back.
        single: Option<(Recipient, StanzaId)>,
    },
    /// It was accepted before, and perhaps nobody was told: a session or a worker was lost in between.
    AcceptedBefore(Box<QueueRecord>),
    /// It is refused; the world is to be told.
    Refused(Box<JobRejected>),
    /// Its answer is on the way; nothing of it is left but its delivery.
    Answering,
}

impl PendingJob {
    /// Reads the job of a delivery, which a session was lost with so often; what is none is refused.
    pub(crate) fn read(
        token: Token,
        delivery: Unread,
        ids: StanzaIds,
        weight: Weight,
        settlement: &Arc<Settlement>,
    ) -> Self {
        let Unread { delivery, losses } = delivery;
        let traced = taken(&delivery, &token, settlement.tracer());
        let id = delivery.message_id.as_deref().and_then(|id| JobId::new(id).ok());
        let stage = match parse(&delivery) {
            Ok(job) => Stage::Read(job),
            Err(error) => Stage::Refused(Box::new(invalid(id.clone(), &delivery, error))),
        };
        Self {
            token,
            id,
            ids,
            stage,
            reading: None,
            weight: Some(weight),
            delivery: Some(delivery),
            losses,
            traced,
            settlement: Arc::clone(settlement),
        }
    }

    /// Refuses a send that is to start further ahead than it may.
    pub(crate) fn keep_within(&mut self, limits: &SendLimits, now: OffsetDateTime) {
        let checked = self.send().map(|send| limits.check_start(send.start_at, now));
        if let Some(Err(JobError { field, problem, .. })) = checked {
            let refusal = self.refusal(FailureCode::InvalidJob, &format!("{field} {problem}"));
            self.stage = Stage::Refused(Box::new(JobRejected {
                field: Some(field),
                ..refusal
            }));
        }
    }

    /// Its delivery's place among those of the shard.
    pub(crate) fn place(&self) -> Option<u64> {
        self.delivery.as_ref().map(|delivery| delivery.place)
    }

    /// The trace that it belongs to.
    pub(crate) fn trace(&self) -> Option<TraceContext> {
        self.traced.context()
    }

    /// The turn under which it was put back before.
    pub(crate) fn turn(&self) -> Option<&str> {
        self.delivery.as_ref()?.turn.as_deref()
    }

    /// The send that is to be stored, if it is one.
    pub(crate) fn send(&self) -> Option<&SendJob> {
        match &self.stage {
            Stage::Read(Job::Send(send)) => Some(send),
            _ => None,
        }
    }

    /// What is to be stored of a send under the session that it is for.
    pub(crate) fn offer(&self, session: SessionId) -> Option<Offer<'_>> {
        let (job, id) = (self.send()?, self.id.as_ref()?);
        Some(Offer {
            session,
            queue: job.queue_id(&self.token, id),
            other: job.other_queue_id(&self.token, id),
            id,
            ids: self.ids,
            job,
            trace: self.trace(),
        })
    }

    /// What became of a send in the store; nothing is left of one that was stored before and settled.
    pub(crate) fn stored(mut self, accepted: Result<Acceptance, String>) -> Option<Self> {
        let reading = self.send().map(|send| &send.reading);
        self.reading = reading
            .filter(|reading| !reading.is_plain())
            .cloned()
            .map(Box::new);
        match accepted {
            Ok(Acceptance::Accepted(queue)) => {
                outcome::count(JobOutcome::Accepted, JobKind::Send);
                let single = self.send().and_then(|send| match send.numbers.as_slice() {
                    [number] => {
                        let own = send.message_id.clone();
                        Some((number.clone(), own.unwrap_or_else(|| self.ids.of(0))))
                    }
                    _ => None,
                });
                self.stage = Stage::Accepted { queue, single };
            }
            Ok(Acceptance::Duplicate(queue)) => {
                outcome::count(JobOutcome::Duplicate, JobKind::Send);
                if !self.is_repeated() {
                    let reading = self.reading.take();
                    self.finish(accepted_as(queue.id, reading));
                    return None;
                }
                self.stage = Stage::AcceptedBefore(queue);
            }
            Ok(Acceptance::MessageIdTaken) => {
                let words = "another message of this session has this messageId already";
                let refusal = self.refusal(FailureCode::Conflict, words);
                self.stage = Stage::Refused(Box::new(JobRejected {
                    field: Some("messageId".to_owned()),
                    ..refusal
                }));
            }
            Ok(Acceptance::Conflict | Acceptance::NoSession) => {
                let words = "another job has this id or queueId already";
                self.refuse(FailureCode::Conflict, words);
            }
            Err(why) => {
                tracing::error!(
                    session.token = %self.token,
                    job.id = self.id.as_ref().map(tracing::field::display),
                    error = why,
                    "the database refused a job; it is refused as `internal`"
                );
                self.refuse(FailureCode::Internal, "the job can't be stored");
            }
        }
        Some(self)
    }

    /// Whether it may have been taken up before.
    fn is_repeated(&self) -> bool {
        self.losses > 0
            || self
                .delivery
                .as_ref()
                .is_some_and(|delivery| delivery.redelivered)
    }

    /// Its body does not count among those that the intake holds any more.
    pub(crate) fn leave_intake(&mut self) {
        self.weight = None;
    }

    /// How far it was; what is left is to answer it.
    pub(crate) fn begin_answer(&mut self) -> Stage {
        std::mem::replace(&mut self.stage, Stage::Answering)
    }

    fn refuse(&mut self, code: FailureCode, message: &str) {
        self.stage = Stage::Refused(Box::new(self.refusal(code, message)));
    }

    pub(crate) fn refusal(&self, code: FailureCode, message: &str) -> JobRejected {
        let send = self.send();
        let queue_id = |send: &SendJob| Some(send.queue_id(&self.token, self.id.as_ref()?));
        JobRejected {
            queue_id: send.and_then(queue_id),
            message_id: send.and_then(|send| send.message_id.clone()),
            job_id: self.id.clone(),
            kind: self.delivery.as_ref().and_then(|delivery| delivery.kind.clone()),
            code,
            field: None,
            message: message.to_owned(),
        }
    }

    /// If it is no job: the delivery, to be kept as a dead letter, and why. Its publisher is answered; the session has
    /// only to tell of it.
    pub(crate) fn bury(&mut self) -> Option<(Delivery, String)> {
        let Stage::Refused(refusal) = &self.stage else {
            return None;
        };
        let delivery = self.delivery.take()?;
        let mut traced = std::mem::take(&mut self.traced);
        traced.describe(|span| span.failed(refusal.code.as_str()));
        traced.end();
        Reply::new(delivery.reply_address(), &self.settlement).answer(failed(refusal.code, &refusal.message));
        Some((delivery, refusal.message.clone()))
    }

    /// Puts the job back for a moment, under this turn: its session has enough to do.
    pub(crate) fn put_back(mut self, turn: String) {
        self.count(JobOutcome::PutBack);
        if let Some(delivery) = self.delivery.take() {
            self.settlement.take_back(Returned::PutBack(delivery, turn));
        }
    }

    /// The delivery alone, for somebody else to settle.
    pub(crate) fn into_delivery(mut self) -> Option<Delivery> {
        self.delivery.take()
    }

    /// It is done, or refused for good: acknowledges it and answers its publisher.
    pub(crate) fn finish(mut self, answer: Answer) {
        if let Answer::Failed { code, .. } = &answer {
            self.traced.describe(|span| span.failed(code.as_str()));
        }
        trace::within(self.trace(), || self.log(&answer));
        self.acknowledge().send(answer);
    }

    /// One line for who follows it.
    fn log(&self, answer: &Answer) {
        let (outcome, queue) = match answer {
            Answer::Failed { code, .. } => (code.as_str(), None),
            Answer::Done { queue_id, .. } => ("done", queue_id.as_ref()),
            _ => ("answered", None),
        };
        tracing::debug!(
            session.token = %self.token,
            job.id = self.id.as_ref().map(tracing::field::display),
            queue.id = queue.map(tracing::field::display),
            outcome,
            "job settled"
        );
    }

    /// Acknowledges it now and keeps the way back to its publisher: a question is worth nothing after a restart.
    pub(crate) fn acknowledge(mut self) -> Reply {
        std::mem::take(&mut self.traced).end();
        let delivery = self.delivery.take();
        let reply = Reply::new(
            delivery.as_ref().and_then(Delivery::reply_address),
            &self.settlement,
        );
        if let Some(delivery) = delivery {
            self.settlement.spawn(async move {
                if let Err(error) = delivery.ack().await {
                    // It comes again and is found to be done.
                    tracing::debug!(%error, "could not acknowledge a job");
                }
            });
        }
        reply
    }

    /// Where its publisher wants an answer, if it does.
    pub(crate) fn reply_to(&self) -> Option<ReplyTo> {
        self.delivery.as_ref().and_then(Delivery::reply_address)
    }

    /// The way to the broker.
    pub(crate) fn publisher(&self) -> Publisher {
        self.settlement.publisher().clone()
    }

    /// Its worker has it in hand, and a send is stored: counts how long it waited for that, if its publisher told when it
    /// published it.
    pub(crate) fn count_wait(&self, now: OffsetDateTime) {
        let Some(delivery) = &self.delivery else {
            return;
        };
        if let Some(published) = delivery.published {
            let waited =
                Duration::from_millis(u64::try_from(unix_millis(now) - published).unwrap_or_default());
            outcome::count_wait(delivery.kind.as_deref(), waited);
        }
    }

    pub(crate) fn count(&self, outcome: JobOutcome) {
        if let Stage::Read(job) = &self.stage {
            outcome::count(outcome, job.kind());
        }
    }
}

impl Drop for PendingJob {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            self.settlement
                .take_back(Returned::Lost(delivery, self.losses + 1));
        }
    }
}

/// The span of a delivery that was taken.
fn taken(delivery: &Delivery, token: &Token, tracer: &Tracer) -> Traced {
    let mut traced = tracer.begin(delivery.trace, SpanKind::Consumer, "process job");
    traced.describe(|span| {
        span.text("messaging.system", "rabbitmq");
        span.text("messaging.operation.type", "process");
        span.text("session.token", token.to_string());
        if let Some(id) = &delivery.message_id {
            span.text("job.id", id.clone());
        }
        if let Some(kind) = delivery.kind.as_deref().and_then(JobKind::find) {
            span.text("job.kind", kind.as_str());
        }
    });
    traced
}

/// It is done; `queue` names what came of a send or a command on a queue.
pub(crate) fn done(queue: Option<QueueId>) -> Answer {
    Answer::Done {
        queue_id: queue,
        reading: None,
    }
}

/// A send is accepted as this queue.
pub(crate) fn accepted_as(queue: QueueId, reading: Option<Box<Reading>>) -> Answer {
    Answer::Done {
        queue_id: Some(queue),
        reading,
    }
}

/// It came to nothing.
pub(crate) fn failed(code: FailureCode, message: &str) -> Answer {
    Answer::Failed {
        code,
        message: message.to_owned(),
        field: None,
        until: None,
    }
}

/// A refusal of something that is no job.
fn invalid(job_id: Option<JobId>, delivery: &Delivery, error: JobError) -> JobRejected {
    let message = error.in_words();
    let field = error.field;
    JobRejected {
        job_id,
        kind: delivery.kind.clone(),
        code: FailureCode::InvalidJob,
        field: Some(field),
        queue_id: None,
        message_id: None,
        message,
    }
}

fn parse(delivery: &Delivery) -> Result<Job, JobError> {
    let kind = delivery
        .kind
        .as_deref()
        .ok_or_else(|| JobError::new("type", "is required"))?;
    let job = Job::parse(kind, &delivery.body)?;
    let id = delivery.message_id.as_deref().map(JobId::new);
    match (&job, id) {
        (_, Some(Err(error))) => Err(JobError::new("message_id", error.to_string())),
        (Job::Send(_), None) => Err(JobError::new(
            "message_id",
            "is required: it is the job's identity",
        )),
        _ => Ok(job),
    }
}

/// The bytes of the bodies that an intake holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Arc<AtomicUsize>);

/// The bytes of one body, as long as it is held.
#[derive(Debug)]
pub(crate) struct Weight {
    held: Held,
    bytes: usize,
}

impl Held {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts a body of this size until the answer is dropped.
    pub(crate) fn add(&self, bytes: usize) -> Weight {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Weight {
            held: self.clone(),
            bytes,
        }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.held.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
