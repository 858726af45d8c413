//! Queues: one job for many recipients, shown with all of them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use shared::content::{Content, SentForm, Variables};
use shared::id::{JobId, QueueId, SessionId, StanzaId, Token};
use shared::job::{Delay, Duplicates, Label, OnUnknown, Reading, Reference, SendJob};
use shared::recipient::Number;
use shared::store::leases;
use shared::store::queues::{self, QueueRecord, QueueState};
use shared::store::recipients::{self, RecipientRecord, RecipientState};
use shared::store::sessions;
use shared::waiting::Reason;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::extract::{self, JsonBytes, Query, SessionPath};
use crate::idempotency::{self, Key, Meaning};
use crate::paging::{Page, PageQuery};
use crate::problem::{Code, Problem, ProblemBody};
use crate::schema;
use crate::tokens::Addressee;
use crate::v1::asked::{self, SendRequest};
use crate::v1::counts::Counts;
use crate::v1::messages::TAKEN;
use crate::v1::waiting::{Held, Waiting, Worker, waiting};

/// How long a new queue is waited for, so that it can be looked up once its creation is answered.
const CREATE_PATIENCE: Duration = Duration::from_millis(500);

/// A queue.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Its id, as in events.
    #[schema(value_type = String, format = Uuid)]
    pub queue_id: QueueId,
    /// The session that sends it.
    #[schema(value_type = String)]
    pub token: Token,
    /// `queued`, `running`, `paused`, `completed` or `deleted`.
    #[schema(schema_with = schema::reference::<QueueState>)]
    pub state: QueueState,
    /// Percent of recipients settled.
    pub progress: u8,
    /// Number of recipients.
    pub total: u32,
    /// Those past sending.
    pub settled: u32,
    /// Those of them that failed.
    pub failed: u32,
    /// How many recipients are in each state, counted for this answer. Absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// What is sent.
    #[schema(schema_with = schema::reference::<Content>)]
    pub message: Content,
    /// The gap of this queue in seconds, if it has its own.
    #[schema(schema_with = schema::nullable::<Delay>)]
    pub delay: Option<Delay>,
    /// `resend` or `hold`.
    #[schema(schema_with = schema::reference::<OnUnknown>)]
    pub on_unknown: OnUnknown,
    /// Before this nothing of it is sent; null where it starts at once.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start_at: Option<OffsetDateTime>,
    /// `drop` or `allow`.
    #[schema(schema_with = schema::reference::<Duplicates>)]
    pub duplicates: Duplicates,
    /// What its caller calls it by.
    #[schema(value_type = Option<String>)]
    pub reference: Option<Reference>,
    /// What it is for.
    #[schema(value_type = Option<String>)]
    pub label: Option<Label>,
    /// When it was accepted.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    /// When it started.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<OffsetDateTime>,
    /// Since when it is paused.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub paused_at: Option<OffsetDateTime>,
    /// When it was completed or deleted.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<OffsetDateTime>,
    /// How many recipients wait until their session may write to new contacts again. Absent in lists, and where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<u32>,
    /// Why it does not send at this moment; there is always a reason if it has sent nothing for about a second. Absent in
    /// lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Other sends that asked for its id, and were rejected. Absent in lists, and where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<SendRequest>,
}

impl Queue {
    pub(super) fn new(token: &Token, record: QueueRecord) -> Self {
        Self {
            queue_id: record.id,
            token: token.clone(),
            state: record.state,
            progress: record.progress(),
            total: record.total,
            settled: record.settled,
            failed: record.failed,
            counts: None,
            start_at: record.start_at,
            message: record.content,
            delay: record.delay,
            on_unknown: record.on_unknown,
            duplicates: record.duplicates,
            reference: record.reference,
            label: record.label,
            created_at: record.created_at,
            started_at: record.started_at,
            paused_at: record.paused_at,
            finished_at: record.finished_at,
            held: None,
            waiting: None,
            rejected: Vec::new(),
        }
    }
}

/// A queue; or, where none is stored, what was asked for under its id.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Shown {
    /// It is stored.
    Queue(Box<Queue>),
    /// It is `accepted` and not stored yet, or was `rejected`.
    Request(SendRequest),
}

/// A queue that was accepted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AcceptedQueue)]
pub struct Accepted {
    /// Its id, as in events.
    #[schema(value_type = String, format = Uuid)]
    pub queue_id: QueueId,
    /// The session that sends it.
    #[schema(value_type = String)]
    pub token: Token,
    /// Always `STARTED`: the broker has it. What becomes of it is found under its id.
    pub status: &'static str,
    /// Always 0.
    pub progress: u8,
    /// Number of recipients, without those that were left out.
    pub total: usize,
    /// In which form buttons or a list go out: `nativeFlow`, `legacy` or `text`; absent for what has one form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub form: Option<SentForm>,
    /// How the recipients were read: who was left out, and who will be sent to by another number than the one given.
    /// Absent where all are as they were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::reference::<Reading>)]
    pub reading: Option<Reading>,
}

/// A recipient of a queue.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recipient {
    /// Its place in the queue, from 0.
    pub seq: u32,
    /// Who.
    #[schema(value_type = String)]
    pub number: Number,
    /// What its caller calls it by.
    #[schema(value_type = Option<String>)]
    pub reference: Option<Reference>,
    /// What stands in the place of `{{name}}` for it. Absent where texts are sent as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::reference::<Variables>)]
    pub variables: Option<Variables>,
    /// The number that its account goes by, where WhatsApp said another one: that was sent to.
    #[schema(value_type = Option<String>)]
    pub addressee: Option<Number>,
    /// `queued`, `sending`, `sent`, `delivered`, `read`, `failed`, `skipped`, `unknown`, or `duplicate`: its account is that
    /// of another recipient of the queue.
    #[schema(schema_with = schema::reference::<RecipientState>)]
    pub state: RecipientState,
    /// The id of its message, known from acceptance; `state` says whether it was sent.
    #[schema(value_type = Option<String>)]
    pub message_id: Option<StanzaId>,
    /// How often its message may have left without an answer.
    pub attempts: u16,
    /// Why it failed, or is unknown.
    pub error: Option<RecipientError>,
    /// When the server acknowledged it.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub sent_at: Option<OffsetDateTime>,
    /// When a device of the recipient had it.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub delivered_at: Option<OffsetDateTime>,
    /// When it was read.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub read_at: Option<OffsetDateTime>,
}

/// Why a recipient failed, or is unknown.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecipientError {
    /// In the manner of HTTP: 404 not on WhatsApp, 4xx refused, 5xx failed.
    pub status: u16,
    /// In words.
    pub message: Option<String>,
}

impl From<RecipientRecord> for Recipient {
    fn from(record: RecipientRecord) -> Self {
        Self {
            seq: record.seq,
            number: record.number,
            reference: record.reference,
            variables: record.variables,
            addressee: record.addressee,
            state: record.state,
            message_id: record.stanza,
            attempts: record.attempts,
            error: record.error_status.map(|status| RecipientError {
                status,
                message: record.error,
            }),
            sent_at: record.sent_at,
            delivered_at: record.delivered_at,
            read_at: record.read_at,
        }
    }
}

/// Which recipients to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RecipientQuery {
    /// Only those of this state.
    #[param(schema_with = schema::reference::<RecipientState>)]
    state: Option<String>,
}

impl RecipientQuery {
    /// The state.
    ///
    /// # Errors
    /// 400 for a state that there is not.
    pub fn state(&self) -> Result<Option<RecipientState>, Problem> {
        self.state.as_deref().map(recipient_state).transpose()
    }
}

/// Send a message to many. The body is that of a `send` job; the id of the job is the `Idempotency-Key`, if there is
/// one.
#[utoipa::path(post, path = "/v1/sessions/{token}/queues",
    params(("token" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = ref("#/components/schemas/SendBody"), tag = "queues", responses((status = 202, body = Accepted, description = TAKEN),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn create(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    Key(key): Key,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let job = SendJob::parse(&body)?;
    let meaning = Meaning::of_job(key.as_ref(), &job);
    let to = app.tokens.session(&app.store, token).await?;
    let scope = format!("queues {}", to.token);
    let work = {
        let (app, key) = (app.clone(), key.clone());
        Box::pin(async move {
            let accepted = start(&app, to, key, job).await?;
            Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
        })
    };
    idempotency::once(&app, scope, key, meaning, work).await
}

/// Publishes a queue's job and gives its worker a moment to store it.
///
/// # Errors
/// 503 when the broker is away; 409 when the queue's id belongs to another job.
pub async fn start(app: &App, to: Addressee, key: Option<JobId>, job: SendJob) -> Result<Accepted, Problem> {
    let (total, form) = (job.numbers.len(), job.message.form());
    let sent = app.send(&to, key, job).await?;
    let (queue_id, reading) = (sent.queue, sent.reading);
    // The broker has the job, so an answer is due now whatever the database says.
    let mut looks = app.looks(CREATE_PATIENCE);
    while matches!(queues::find(&app.store, to.session, queue_id).await, Ok(None)) && looks.again().await {}
    Ok(Accepted {
        queue_id,
        token: to.token,
        status: "STARTED",
        progress: 0,
        total,
        form,
        reading: (!reading.is_plain()).then_some(reading),
    })
}

/// Show a queue. An id that a request was answered with is found at once: before its worker has stored the queue, and
/// where it rejected it, as what was asked for.
#[utoipa::path(get, path = "/v1/sessions/{token}/queues/{queue}",
    params(("token" = String, Path), ("queue" = String, Path)), tag = "queues",
    responses((status = 200, body = Shown),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn show(
    State(app): State<Arc<App>>,
    Path((token, queue)): Path<(String, String)>,
) -> Result<Json<Shown>, Problem> {
    let (token, record) = match find(&app, &token, &queue).await {
        Ok((token, _, record)) => (token, record),
        Err(problem) => {
            return unstored(&app, &token, &queue, problem)
                .await
                .map(|asked| Json(Shown::Request(asked)));
        }
    };
    let (mut waits_for, mut held) = (None, 0);
    if let Some(session) = sessions::find(&app.store, &token).await? {
        let worker = match leases::is_held(&app.store, session.shard).await? {
            true => Worker::Running,
            false => Worker::Absent,
        };
        if let Some(restriction) = session.restriction.as_ref().filter(|_| !record.state.is_final()) {
            held = recipients::held(&app.store, record.id, restriction.number).await?;
        }
        waits_for = waiting(&Held { queue: &record, held }, &session, worker, app.clock.wall());
        let is_idle = waits_for
            .as_ref()
            .is_some_and(|waits| waits.reason == Reason::TakingUp);
        if is_idle && queues::is_behind_another(&app.store, &record, app.clock.wall()).await? {
            waits_for = Some(Waiting::of(Reason::OtherQueue, None));
        }
    }
    let counts = recipients::tally(&app.store, record.id).await?;
    let rejected = asked::rejected(&app, &token, &record).await?;
    Ok(Json(Shown::Queue(Box::new(Queue {
        counts: Some(Counts::new(counts)),
        held: (held > 0).then_some(held),
        waiting: waits_for,
        rejected,
        ..Queue::new(&token, record)
    }))))
}

/// List the recipients of a queue, in its order.
#[utoipa::path(get, path = "/v1/sessions/{token}/queues/{queue}/recipients",
    params(("token" = String, Path), ("queue" = String, Path), PageQuery, RecipientQuery), tag = "queues",
    responses((status = 200, body = Page<Recipient>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn recipients(
    State(app): State<Arc<App>>,
    Path((token, queue)): Path<(String, String)>,
    Query(page): Query<PageQuery>,
    Query(filter): Query<RecipientQuery>,
) -> Result<Json<Page<Recipient>>, Problem> {
    let (limit, after) = (page.limit()?, page.after::<u32>()?);
    let only = filter.state()?;
    let (_, _, record) = find(&app, &token, &queue).await?;
    let rows = recipients::page(&app.store, record.id, only, after, u32::from(limit) + 1).await?;
    Ok(Json(Page::new(rows, limit, |row| row.seq, Recipient::from)))
}

/// What was asked for under the id of a queue that was not found; the problem of that if nothing was.
pub(super) async fn unstored(
    app: &App,
    token: &str,
    queue: &str,
    problem: Problem,
) -> Result<SendRequest, Problem> {
    if problem.code() != Code::QueueNotFound {
        return Err(problem);
    }
    let (token, queue): (Token, QueueId) = (extract::text("token", token)?, extract::text("queueId", queue)?);
    let session = app.tokens.known(&app.store, &token).await?;
    let to = Addressee { token, session };
    asked::of_queue(app, &to, queue).await?.ok_or(problem)
}

/// A queue of a session, as a path names them.
///
/// # Errors
/// 400 for what is no token or queue id, 404 where there is none, 503 when the database is away.
pub async fn find(app: &App, token: &str, queue: &str) -> Result<(Token, SessionId, QueueRecord), Problem> {
    let token: Token = extract::text("token", token)?;
    let queue: QueueId = extract::text("queueId", queue)?;
    let mut session = app.tokens.known(&app.store, &token).await?;
    let mut found = queues::find(&app.store, session, queue).await?;
    if found.is_none() {
        // Perhaps the token has another session by now.
        session = app.tokens.look_up(&app.store, &token).await?.id;
        found = queues::find(&app.store, session, queue).await?;
    }
    let record = found.ok_or_else(|| no_such_queue(&token))?;
    Ok((token, session, record))
}

/// The answer where a session has no queue of an id.
pub fn no_such_queue(token: &Token) -> Problem {
    Problem::new(
        Code::QueueNotFound,
        format!("the session {token} has no such queue"),
    )
}

fn recipient_state(text: &str) -> Result<RecipientState, Problem> {
    RecipientState::find(text).ok_or_else(|| Problem::field("state", RecipientState::must_be()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_filtered_by_their_names() {
        assert_eq!(recipient_state("delivered"), Ok(RecipientState::Delivered));
        assert_eq!(recipient_state("Sent").unwrap_err().fields()[0].field, "state");
    }
}
