//! How the API asks workers for something: jobs that are published and confirmed, and jobs that are answered.
//!
//! Owns the map from the broker's, the database's and the workers' failures to problems. Must not know any route.

use std::time::Duration;

use sha2::{Digest, Sha256};
use shared::broker::{CallError, PublishError};
use shared::clock::{Clock, unix_millis};
use shared::id::{JobId, QueueId, SessionId, StanzaId, Token};
use shared::job::{Answer, FailureCode, JobError, JobErrorKind, SendJob};
use shared::store::{Store, StoreError, queues, recipients, requests, sessions};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::ids::{self, STANZA_BYTES};
use crate::problem::{Code, Problem};
use crate::tokens::Addressee;

/// How long an answered job may take.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// When a client may try again after the broker or the database was away.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

/// First and longest wait between two looks at the database.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_millis(160);

/// The pauses between looks at something that is to change within a limit: short first, then longer.
#[derive(Debug)]
pub struct Looks {
    clock: Clock,
    deadline: Instant,
    wait: Duration,
}

impl Looks {
    /// Looks for at most `limit` from now.
    pub fn within(clock: Clock, limit: Duration) -> Self {
        Self {
            clock,
            deadline: clock.now() + limit,
            wait: LOOK_MIN,
        }
    }

    /// Waits for the next look; false when there is none.
    pub async fn again(&mut self) -> bool {
        if self.clock.now() + self.wait >= self.deadline {
            return false;
        }
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(LOOK_MAX);
        true
    }
}

/// The WhatsApp id of a single message with an idempotency key: the same again for the same key.
pub fn stanza_id(token: &Token, key: &JobId) -> StanzaId {
    let mut bytes = [0_u8; STANZA_BYTES];
    bytes.copy_from_slice(&Sha256::digest(format!("{token}/{key}"))[..STANZA_BYTES]);
    ids::stanza(&bytes)
}

/// Refuses a job an id of which belongs to another one, as far as the database knows by now; the worker has the last word,
/// and says `job.rejected`. A key that is the id of another session's queue gives the queue an id of its own. Jobs that
/// name no id cost no query.
///
/// # Errors
/// 409 when an id is taken by another job, 503 when the database is away.
pub async fn refuse_reused(
    store: &Store,
    to: &Addressee,
    key: Option<&JobId>,
    job: &mut SendJob,
) -> Result<(), Problem> {
    let id = match (job.queue_id, key) {
        (Some(id), _) => Some(id),
        (None, Some(key)) => Some(job.queue_id(&to.token, key)),
        (None, None) => None,
    };
    let own = match id {
        Some(id) => Some(queue_of(store, to, (id, key), job).await?),
        None => None,
    };
    match &job.message_id {
        Some(message) => refuse_used(store, to.session, message, Own { queue: own, key }).await,
        None => Ok(()),
    }
}

/// The queue of a job that is to have this id: it, or the one that it has instead where that one is another session's.
async fn queue_of(
    store: &Store,
    to: &Addressee,
    (id, key): (QueueId, Option<&JobId>),
    job: &mut SendJob,
) -> Result<QueueId, Problem> {
    let token = &to.token;
    if is_free(store, to, id, job).await? {
        return Ok(id);
    }
    let is_of_another = matches!(queues::find_any(store, id).await?, Some((owner, _)) if owner != *token);
    let other = key.and_then(|key| job.other_queue_id(token, key));
    if let Some(other) = other.filter(|_| is_of_another)
        && is_free(store, to, other, job).await?
    {
        job.queue_id = Some(other);
        return Ok(other);
    }
    let text = match is_of_another {
        true => format!(
            "{id} is the id of a queue of another session; a queueId names one queue of all sessions: take another"
        ),
        false => format!("{id} belongs to another job; the same id is for the same body"),
    };
    Err(Problem::new(Code::JobIdReused, text))
}

/// Whether no other job has a queue of this id.
async fn is_free(store: &Store, to: &Addressee, id: QueueId, job: &SendJob) -> Result<bool, Problem> {
    if queues::made_by(store, to.session, id, job).await? != Some(false) {
        return Ok(true);
    }
    // Perhaps the token has another session by now, and the job is that one's.
    let newest = sessions::find(store, &to.token).await?.map(|record| record.id);
    let Some(newest) = newest.filter(|newest| *newest != to.session) else {
        return Ok(false);
    };
    Ok(queues::made_by(store, newest, id, job).await? != Some(false))
}

/// Who may have the id of a message: the job that names it.
#[derive(Clone, Copy)]
struct Own<'a> {
    queue: Option<QueueId>,
    /// Its identity, if its caller gave it one. It may have asked for another queue's id before, which another session took.
    key: Option<&'a JobId>,
}

/// Refuses the id of a message that another one of the session has, or was asked for.
async fn refuse_used(
    store: &Store,
    session: SessionId,
    message: &StanzaId,
    own: Own<'_>,
) -> Result<(), Problem> {
    let stored = recipients::of_message(store, session, message).await?;
    let is_used = match &stored {
        Some((queue, _)) => Some(*queue) != own.queue,
        None => requests::of_message(store, session, message)
            .await?
            .iter()
            .filter(|asked| asked.rejection.is_none() && Some(&asked.job) != own.key)
            .any(|asked| Some(asked.queue) != own.queue),
    };
    if !is_used {
        return Ok(());
    }
    let text = "is the id of another message of this session; look at it there, or take another id";
    Err(Problem::new(Code::MessageIdUsed, "").with_field("messageId", text))
}

/// What an answer that is no success means.
pub fn failure(code: FailureCode, message: String) -> Problem {
    let code = match code {
        FailureCode::UnknownSession => Code::SessionNotFound,
        FailureCode::UnknownQueue => Code::QueueNotFound,
        FailureCode::InvalidJob => Code::InvalidField,
        FailureCode::Conflict => Code::Conflict,
        FailureCode::NotConnected => Code::SessionNotConnected,
        FailureCode::Timeout => Code::AnswerTimeout,
        FailureCode::Refused => Code::Refused,
        FailureCode::LookUpLimit => Code::LookUpLimit,
        FailureCode::Busy => Code::SessionBusy,
        FailureCode::UnknownMessage => Code::MessageNotFound,
        FailureCode::UnknownCall => Code::CallNotFound,
        FailureCode::Gone => Code::MediaGone,
        FailureCode::Internal => Code::Internal,
    };
    let problem = Problem::new(code, message);
    if matches!(code, Code::SessionNotConnected | Code::SessionBusy) {
        problem.retry_after(RETRY_AFTER)
    } else {
        problem
    }
}

/// The answer to an answer that answers another question.
pub fn unexpected(answer: &Answer) -> Problem {
    match answer {
        Answer::Failed {
            code: FailureCode::InvalidJob,
            message,
            field: Some(field),
            ..
        } => Problem::field(field, message),
        Answer::Failed { code, message, .. } => failure(*code, message.clone()),
        _ => Problem::new(Code::Internal, "the worker answered another question"),
    }
}

/// A problem for an unknown number that can't be looked up before a time, in unix milliseconds.
pub fn look_up_limit(message: &str, until: i64, now: OffsetDateTime) -> Problem {
    let left = u64::try_from(until.saturating_sub(unix_millis(now))).unwrap_or_default();
    let wait = Duration::from_secs(left.div_ceil(1_000));
    Problem::new(Code::LookUpLimit, message).retry_after(wait)
}

/// A problem for a broker that is away, or takes nothing just now.
pub fn broker_away(detail: &str) -> Problem {
    Problem::new(Code::BrokerUnavailable, detail).retry_after(RETRY_AFTER)
}

/// What it means when a job could not be published.
pub fn not_published(error: PublishError) -> Problem {
    match error {
        PublishError::TooLarge(what) => Problem::new(Code::BodyTooLarge, "").with_field("body", what),
        PublishError::Unconfirmed => broker_away(
            "the message broker did not confirm in time, so the job may be accepted or not; send it again with the \
             same Idempotency-Key or queueId, and it is done once",
        ),
        PublishError::Unavailable(_) | PublishError::Refused | PublishError::Unroutable => {
            tracing::warn!(%error, "a job could not be published; it is answered with 503");
            broker_away("the message broker is not available; try again")
        }
    }
}

/// What it means when a job was not answered.
pub fn not_answered(error: CallError) -> Problem {
    match error {
        CallError::Timeout => {
            Problem::new(Code::AnswerTimeout, "the session's worker did not answer in time")
        }
        CallError::Busy => broker_away("too many requests wait for an answer; try again"),
        CallError::Publish(error) => not_published(error),
        CallError::Malformed => {
            tracing::error!(
                "a worker's answer can't be read; see whether all processes run releases that go together"
            );
            Problem::new(Code::Internal, "the worker's answer can't be read")
        }
    }
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        // The only limit whose excess is no mistake of form.
        if error.kind == JobErrorKind::TooManyRecipients {
            return Self::new(Code::TooManyRecipients, "").with_field(error.field, error.problem);
        }
        if error.field == "body" {
            return Self::new(Code::MalformedBody, format!("the body {}", error.problem));
        }
        let more = error.unnamed;
        let problem = Self::field(error.field, error.problem);
        let others = error.others.into_iter();
        let problem = others.fold(problem, |problem, other| {
            problem.with_field(other.field, other.problem)
        });
        problem.with_more(more)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "the database is away; a request is answered with 503");
                Self::new(
                    Code::DatabaseUnavailable,
                    "the database is not available; try again",
                )
                .retry_after(RETRY_AFTER)
            }
            other => {
                tracing::error!(error = %other, "the database refused what the API asked of it; a request is answered with 500");
                Self::new(Code::Internal, "something failed on our side; the log says what")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::job::RECIPIENTS_MAX;

    use super::*;

    #[test]
    fn the_stanza_id_of_a_key_is_always_the_same() {
        let (token, key) = (Token::new("a").unwrap(), JobId::new("k").unwrap());
        let id = stanza_id(&token, &key);
        assert_eq!(id, stanza_id(&token, &key));
        assert_ne!(id, stanza_id(&Token::new("b").unwrap(), &key));
        assert_eq!(id.as_str().len(), 22);
    }

    #[test]
    fn too_many_recipients_is_a_status_of_its_own() {
        let body = serde_json::json!({
            "numbers": vec!["5531900000000"; RECIPIENTS_MAX + 1], "message": { "type": "text", "text": "x" }
        });
        let error = shared::job::SendJob::parse(body.to_string().as_bytes()).unwrap_err();
        let problem = Problem::from(error);
        assert_eq!(
            (problem.code(), problem.fields()[0].field.as_str()),
            (Code::TooManyRecipients, "numbers")
        );
    }
}
