//! Jobs as they come from the broker: parsed, accepted in one fenced transaction, acknowledged.
//!
//! A send is stored before it is acknowledged, and never held while it is paced. A command goes to its
//! session's actor, behind the sends that came before it. What is no job becomes a dead letter with its
//! reason; what cannot be done is refused, in the answer and as `job.rejected`.

use std::sync::Arc;
use std::time::Duration;

use shared::broker::{Broker, BrokerError, Delivery, Outgoing, PublishError, Publisher};
use shared::event::{Instance, routing_key};
use shared::id::{EventId, JobId, QueueId, SessionId, ShardId, Token};
use shared::job::{Answer, FailureCode, Job, JobError, JobKind, SendJob};
use shared::store::queues::{self, Acceptance};
use shared::store::sessions::{self, SessionRecord};
use shared::store::{Store, StoreError};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::errand::{Desk, Errand, Reply};
use super::gather::millis;
use super::mail::{Accepted, Mail, Refusal};
use super::meter::{self, JobOutcome};
use super::supervisor::Supervisor;

/// The shard has another owner: nothing of it may be done any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fenced;

/// Takes in the jobs of one shard.
pub(crate) struct Intake {
    pub(crate) desk: Arc<Desk>,
    pub(crate) broker: Broker,
}

impl Intake {
    /// Deals with one delivery. Returns when it is on its way: stored, with its actor, or settled.
    ///
    /// # Errors
    /// [`Fenced`]: the delivery goes back to the queue.
    pub(crate) async fn take(&self, supervisor: &mut Supervisor, delivery: Delivery) -> Result<(), Fenced> {
        let Ok(token) = Token::new(&delivery.routing_key) else {
            self.bury(delivery, "the routing key is not a token").await;
            return Ok(());
        };
        let mailbox = match self.mailbox(supervisor, &token).await? {
            Some(found) => found,
            None => {
                self.strayed(supervisor, delivery);
                return Ok(());
            }
        };
        let job_id = delivery.message_id.as_deref().and_then(|id| JobId::new(id).ok());
        match parse(&delivery) {
            Err(error) => {
                let refusal = Refusal::invalid(job_id, delivery.kind.clone(), error);
                self.poison(mailbox.1, delivery, refusal).await;
                Ok(())
            }
            Ok(job) => {
                let errand = Errand::new(job, job_id, delivery, Arc::clone(&self.desk));
                self.pass_on(supervisor, &token, mailbox, errand).await
            }
        }
    }

    /// The actor of a token's session. Waits out a database that is away, as long as the lease holds.
    async fn mailbox(
        &self,
        supervisor: &mut Supervisor,
        token: &Token,
    ) -> Result<Option<(SessionId, mpsc::Sender<Mail>)>, Fenced> {
        loop {
            match supervisor.mailbox(token).await {
                Ok(found) => return Ok(found),
                Err(StoreError::Fenced) => return Err(Fenced),
                Err(error) => wait_out(supervisor, &error).await?,
            }
        }
    }

    async fn pass_on(
        &self,
        supervisor: &mut Supervisor,
        token: &Token,
        (session, mail): (SessionId, mpsc::Sender<Mail>),
        errand: Errand,
    ) -> Result<(), Fenced> {
        let letter = match (&errand.job, &errand.job_id) {
            (Job::Send(job), Some(id)) => {
                let (job, id) = (job.clone(), id.clone());
                match self.accept(supervisor, token, session, (&id, &job)).await? {
                    Ok(Acceptance::Accepted(queue)) => {
                        meter::job(JobKind::Send, JobOutcome::Accepted);
                        let single = single(&job);
                        Mail::Accepted(Box::new(Accepted {
                            queue: *queue,
                            single,
                            errand,
                        }))
                    }
                    Ok(Acceptance::Duplicate(queue)) => {
                        meter::job(JobKind::Send, JobOutcome::Duplicate);
                        errand.finish(Answer::Done {
                            queue_id: Some(queue.id),
                        });
                        return Ok(());
                    }
                    Ok(Acceptance::Conflict) => {
                        let words = "another job has this id, queueId or messageId already";
                        let refusal = Refusal::new(&errand, FailureCode::Conflict, words);
                        Mail::Refuse(Box::new(errand), Box::new(refusal))
                    }
                    Err(why) => {
                        tracing::error!(why, "the database refused a job");
                        let refusal = Refusal::new(&errand, FailureCode::Internal, "the job can't be stored");
                        Mail::Refuse(Box::new(errand), Box::new(refusal))
                    }
                }
            }
            _ => Mail::Errand(Box::new(errand)),
        };
        // An actor that just ended leaves the job unsettled: it is delivered again.
        drop(mail.send(letter).await);
        Ok(())
    }

    /// Stores a job, waiting out a database that is away as long as the lease holds. The inner error is a
    /// refusal by the database.
    async fn accept(
        &self,
        supervisor: &Supervisor,
        token: &Token,
        session: SessionId,
        (id, job): (&JobId, &SendJob),
    ) -> Result<Result<Acceptance, String>, Fenced> {
        let queue: QueueId = job.queue_id(token, id);
        loop {
            let fence = supervisor.lease().fence();
            match queues::accept(supervisor.store(), fence, session, queue, (id, job)).await {
                Ok(acceptance) => return Ok(Ok(acceptance)),
                Err(StoreError::Fenced) => return Err(Fenced),
                Err(StoreError::Refused(why)) => return Ok(Err(why)),
                Err(error) => wait_out(supervisor, &error).await?,
            }
        }
    }

    /// A body that is no job: its dead letter is kept, its publisher and the world are told.
    async fn poison(&self, mail: mpsc::Sender<Mail>, delivery: Delivery, refusal: Refusal) {
        Reply::to(&delivery, &self.desk).send(refusal.answer());
        let reason = refusal.message.clone();
        self.bury(delivery, &reason).await;
        drop(mail.send(Mail::Rejected(Box::new(refusal))).await);
    }

    async fn bury(&self, delivery: Delivery, reason: &str) {
        meter::job_named(delivery.kind.as_deref(), JobOutcome::Dead);
        if let Err(error) = delivery.dead_letter(reason).await {
            tracing::warn!(%error, "could not keep a dead letter; the job comes again");
        }
    }

    /// A token that is bound and has no session here: it was just deleted, or made anew for another shard.
    fn strayed(&self, supervisor: &Supervisor, delivery: Delivery) {
        let (desk, broker, store) = (
            Arc::clone(&self.desk),
            self.broker.clone(),
            supervisor.store().clone(),
        );
        let from = Some(supervisor.lease().shard());
        self.desk
            .tasks
            .spawn(async move { stray((&desk, &broker, &store), from, delivery).await });
    }
}

/// Deals with one job that finds no session where it came to: the session is elsewhere after all and its binding
/// was lost or is an old one, or there is none and the job is refused.
///
/// Waits for the database and the broker for as long as the delivery can be answered: nothing is known against the
/// job, so that its deliveries must not be used up. `from` is the shard whose queue it came through.
pub(crate) async fn stray(
    (desk, broker, store): (&Arc<Desk>, &Broker, &Store),
    from: Option<ShardId>,
    delivery: Delivery,
) {
    let Ok(token) = Token::new(&delivery.routing_key) else {
        meter::job_named(delivery.kind.as_deref(), JobOutcome::Dead);
        drop(delivery.dead_letter("the routing key is not a token").await);
        return;
    };
    let mut pause = STRAY_PAUSE.0;
    while delivery.is_usable() {
        let settled = match sessions::find(store, &token).await {
            Err(error) => Err(error.to_string()),
            Ok(None) => refuse_unknown(desk, broker, &token, &delivery).await,
            Ok(Some(session)) => lead_home(desk, broker, (from, &session), &delivery).await,
        };
        match settled {
            Ok(()) => return drop(delivery.ack().await),
            Err(error) => tracing::warn!(error, "a job without a session waits"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(STRAY_PAUSE.1);
    }
}

/// Routes the token of a session to its shard, and the job with it.
async fn lead_home(
    desk: &Arc<Desk>,
    broker: &Broker,
    (from, session): (Option<ShardId>, &SessionRecord),
    delivery: &Delivery,
) -> Result<(), String> {
    let told = |error: BrokerError| error.to_string();
    if let Some(old) = from.filter(|from| *from != session.shard) {
        // Else the job would come back here.
        broker.unbind_token(&session.token, old).await.map_err(told)?;
    }
    broker
        .bind_token(&session.token, session.shard)
        .await
        .map_err(told)?;
    let published = desk.publisher.publish(copy(broker, delivery)).await;
    published.map_err(|error| error.to_string())
}

fn copy(broker: &Broker, delivery: &Delivery) -> Outgoing {
    Outgoing {
        exchange: broker.topology().jobs(),
        key: delivery.routing_key.clone(),
        kind: delivery.kind.clone(),
        message_id: delivery.message_id.clone(),
        reply_to: delivery.reply_to.clone(),
        correlation_id: delivery.correlation_id.clone(),
        expiration: delivery.expiration,
        mandatory: true,
        body: delivery.body.clone(),
        ..Outgoing::default()
    }
}

/// Answers and tells that no session has this token. There is no state that the event tells of, so it goes to
/// the broker directly; the job is to be settled when it is there.
async fn refuse_unknown(
    desk: &Arc<Desk>,
    broker: &Broker,
    token: &Token,
    delivery: &Delivery,
) -> Result<(), String> {
    let refusal = Refusal {
        job_id: delivery.message_id.as_deref().and_then(|id| JobId::new(id).ok()),
        kind: delivery.kind.clone(),
        code: FailureCode::UnknownSession,
        field: None,
        message: "no session has this token".to_owned(),
    };
    let answer = refusal.answer();
    publish_rejected(&desk.publisher, broker, token, refusal)
        .await
        .map_err(|error| error.to_string())?;
    meter::job_named(delivery.kind.as_deref(), JobOutcome::Rejected);
    Reply::to(delivery, desk).send(answer);
    Ok(())
}

async fn publish_rejected(
    publisher: &Publisher,
    broker: &Broker,
    token: &Token,
    refusal: Refusal,
) -> Result<(), PublishError> {
    let instance = Instance {
        owner: None,
        name: token.clone(),
    };
    let id = EventId::now_v7();
    let envelope = refusal
        .into_event()
        .envelope(instance, id, millis(OffsetDateTime::now_utc()), 0);
    debug_assert_eq!(
        envelope.routing_key(),
        routing_key(token, envelope.event.as_str())
    );
    let body = envelope.to_json().into();
    publisher
        .publish(Outgoing::event(
            broker.topology(),
            token,
            (envelope.event.as_str(), id),
            body,
        ))
        .await
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

fn single(job: &SendJob) -> Option<(shared::recipient::Number, Option<shared::id::StanzaId>)> {
    match job.numbers.as_slice() {
        [number] => Some((number.clone(), job.message_id.clone())),
        _ => None,
    }
}

/// Waits a moment for the database, unless the lease has run out meanwhile.
async fn wait_out(supervisor: &Supervisor, error: &StoreError) -> Result<(), Fenced> {
    tracing::warn!(%error, "a job waits for the database");
    tokio::time::sleep(STORE_PAUSE).await;
    if supervisor.lease().is_live(Instant::now()) {
        Ok(())
    } else {
        Err(Fenced)
    }
}

/// Between two tries of the database.
const STORE_PAUSE: Duration = Duration::from_millis(500);
/// First and longest pause of a job without a session that waits for the database or the broker.
const STRAY_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
