//! Jobs as they come from the broker: what is one, and what becomes of those that find no session.

use std::sync::Arc;
use std::time::Duration;

use shared::broker::{Broker, BrokerError, Delivery, Outgoing, PublishError, Publisher};
use shared::event::{Instance, routing_key};
use shared::id::{EventId, JobId, ShardId, Token};
use shared::job::{FailureCode, Job, JobError};
use shared::store::Store;
use shared::store::sessions::{self, SessionRecord};
use time::OffsetDateTime;

use crate::session::errand::{Desk, Reply};
use crate::session::gather::millis;
use crate::session::mail::Refusal;
use crate::session::meter::{self, JobOutcome};

/// The shard has another owner: nothing of it may be done any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fenced;

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

/// The job of a delivery.
///
/// # Errors
/// [`JobError`]: it is none.
pub(crate) fn parse(delivery: &Delivery) -> Result<Job, JobError> {
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

/// First and longest pause of a job without a session that waits for the database or the broker.
const STRAY_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
