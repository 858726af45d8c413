//! Sessions: create, list, get, delete.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::event::RestrictionKind;
use shared::id::Token;
use shared::job::{
    self, Answer, Calls, Job, Presence, SessionUpdateJob, deserialize_calls, deserialize_presence,
};
use shared::proxy::{self, ProxyUrl};
use shared::store::leases;
use shared::store::sessions::{self, Created, NewSettings, Restriction, SessionRecord, SessionState};
use shared::waiting::Reason;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::passkey::Passkey;
use super::{linking, standing};
use crate::app::App;
use crate::extract::{self, JsonBytes, Query, SessionPath};
use crate::jobs;
use crate::paging::{Page, PageQuery};
use crate::problem::{Problem, ProblemBody};
use crate::schema;
use crate::tokens::{being_deleted, unknown};
use crate::v1::waiting::{self, Worker};

/// How long a new session waits for an old one of its token to be gone.
const GONE_PATIENCE: Duration = Duration::from_secs(5);

/// How long a delete waits for the worker to have done it.
const DELETE_PATIENCE: Duration = Duration::from_secs(5);

/// The state of a session that is pairing and whose account must prove itself with a passkey.
const PASSKEY_STATE: &str = "passkey";

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Its public name, and the routing key of its jobs.
    #[schema(value_type = String)]
    pub token: Token,
    /// `new`, `connecting`, `pairing`, `passkey` (pairing, and the account must prove itself), `open`, `closed` or
    /// `logged-out`.
    pub state: &'static str,
    /// Whether it is to be connected.
    pub wanted: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The account it is paired with.
    pub jid: Option<String>,
    /// Hidden id of the account.
    pub lid: Option<String>,
    /// Name the account goes by.
    pub push_name: Option<String>,
    /// Kind of phone.
    pub platform: Option<String>,
    /// Why it last closed, in the manner of HTTP; 511: a passkey was asked for. Null when it is open.
    pub close_reason: Option<u16>,
    /// What that number means, and what would end it, for people.
    pub close_detail: Option<&'static str>,
    /// Why it is not open at this moment; absent when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<SessionWaiting>,
    /// How far linking with a passkey is, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passkey: Option<Passkey>,
    /// What it says of itself while it is connected: `unavailable` (its phone goes on ringing) or `available`; null for
    /// what the deployment says (`PRESENCE`).
    #[schema(schema_with = schema::nullable::<Presence>)]
    pub presence: Option<Presence>,
    /// The proxy that it leaves by, as scheme, host and port (never with user and password); null for the deployment's
    /// (`WHATSAPP_PROXY`).
    pub proxy: Option<String>,
    /// What it does with calls: `ring`, or `reject` each by itself.
    #[schema(schema_with = schema::reference::<Calls>)]
    pub calls: Calls,
    /// What keeps it from writing to new contacts: people who have never written to it.
    pub restriction: Option<SessionRestriction>,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    /// When its state last changed.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: OffsetDateTime,
    /// When it was paired.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub paired_at: Option<OffsetDateTime>,
}

impl From<SessionRecord> for Session {
    fn from(record: SessionRecord) -> Self {
        let close_detail = waiting::close_detail(&record);
        let owner = record.owner;
        let is_proving = record.passkey.as_ref().is_some_and(|stage| stage.is_open());
        Self {
            token: record.token,
            state: match record.state {
                SessionState::Pairing if is_proving => PASSKEY_STATE,
                state => state.as_str(),
            },
            wanted: record.wanted,
            deleting: record.deleting_at.is_some(),
            jid: owner.as_ref().map(|owner| owner.jid.clone()),
            lid: owner.as_ref().and_then(|owner| owner.lid.clone()),
            push_name: owner.as_ref().and_then(|owner| owner.push_name.clone()),
            platform: owner.and_then(|owner| owner.platform),
            close_reason: record.close_reason,
            close_detail,
            waiting: None,
            passkey: record.passkey.map(|stage| Passkey::from(*stage)),
            presence: record.presence,
            proxy: record.proxy.map(|proxy| proxy.address),
            calls: record.calls,
            restriction: record.restriction.map(SessionRestriction::from),
            created_at: record.created_at,
            updated_at: record.updated_at,
            paired_at: record.paired_at,
        }
    }
}

/// Why a session is not open.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionWaiting {
    /// For programs; a reason of those that queues have.
    #[schema(schema_with = schema::reference::<Reason>)]
    pub reason: Reason,
    /// For people: what it is, and what would end it.
    pub detail: &'static str,
}

impl Session {
    /// A session as it truly stands: what is stored, unless nobody is there to make it so.
    fn as_it_is(record: SessionRecord, worker: Worker) -> Self {
        let waiting =
            waiting::not_open(&record, worker).map(|(reason, detail)| SessionWaiting { reason, detail });
        let is_on = matches!(
            record.state,
            SessionState::Open | SessionState::Connecting | SessionState::Pairing
        );
        let is_gone = worker == Worker::Absent && is_on;
        let mut session = Self::from(record);
        if is_gone {
            session.state = SessionState::Closed.as_str();
        }
        session.waiting = waiting;
        session
    }
}

/// What keeps a session from writing to new contacts.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionRestriction {
    /// `time-lock`, `refused` or `cap`, as in the event `session.restricted`.
    #[schema(schema_with = schema::reference::<RestrictionKind>)]
    pub kind: RestrictionKind,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub since: OffsetDateTime,
    /// When WhatsApp is asked again; new contacts go on then unless it prolongs the restriction.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub until: OffsetDateTime,
    /// WhatsApp's own word for the reason.
    pub reason: Option<String>,
}

impl From<Restriction> for SessionRestriction {
    fn from(restriction: Restriction) -> Self {
        Self {
            kind: restriction.kind,
            since: restriction.since,
            until: restriction.until,
            reason: restriction.why,
        }
    }
}

/// The body of `POST /v1/sessions`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct NewSession {
    /// 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub token: Token,
    /// What it says of itself while it is connected; the deployment's `PRESENCE` when absent. A session that is there
    /// already changes to it.
    #[serde(default, deserialize_with = "deserialize_presence")]
    #[schemars(with = "Option<Presence>")]
    pub presence: Option<Presence>,
    /// The proxy that its connection and its files leave by; the deployment's (`WHATSAPP_PROXY`) when absent. A session
    /// that is there already changes to it.
    #[serde(
        default,
        deserialize_with = "proxy::deserialize",
        serialize_with = "proxy::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<ProxyUrl>")]
    pub proxy: Option<ProxyUrl>,
    /// What it does with calls that come in; they ring when it is absent. A session that is there already changes to it.
    #[serde(
        default,
        deserialize_with = "deserialize_calls",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Calls")]
    pub calls: Option<Calls>,
}

/// Create a session and start pairing it. A token that is there already is started again; one whose session is being
/// deleted is waited for, for a few seconds, and then refused with 409 and `Retry-After`.
#[utoipa::path(post, path = "/v1/sessions", request_body = ref("#/components/schemas/NewSession"), tag = "sessions", responses(
    (status = 201, body = Session), (status = 200, body = Session, description = "it was there already"),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn create(State(app): State<Arc<App>>, JsonBytes(body): JsonBytes) -> Result<Response, Problem> {
    let NewSession {
        token,
        presence,
        proxy,
        calls,
    } = extract::fields(&body)?;
    let settings = NewSettings {
        presence,
        proxy: proxy.as_ref(),
        calls,
    };
    let created = open(&app, &token, settings).await?;
    let (Created::New(record) | Created::Existing(record)) = &created;
    let worker = standing::worker(&app, record).await?;
    let status = if matches!(created, Created::New(_)) {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let location = format!("/v1/sessions/{token}");
    Ok((
        status,
        [(header::LOCATION, location)],
        Json(Session::as_it_is(created.into_record(), worker)),
    )
        .into_response())
}

/// Makes sure that a session exists and is set like this, if like anything, that its jobs reach its shard, and that its
/// worker starts it: not before it is set, since it must not leave by another way meanwhile.
///
/// # Errors
/// 409 while an older session of the token is being deleted; 503 when the broker or the database is away, 504 when the
/// worker of one that is to change does not answer. What was done by then is done again by the next call.
pub async fn open(app: &App, token: &Token, settings: NewSettings<'_>) -> Result<Created, Problem> {
    let mut created = create_when_free(app, token, settings).await?;
    let is_new = matches!(created, Created::New(_));
    let (Created::New(record) | Created::Existing(record)) = &mut created;
    app.tokens.remember(record);
    let worker = standing::worker(app, record).await?;
    // What is stored of one without a worker, or that is about to stop, is not so for long.
    let starts = !linking::is_connected(record, worker) || !record.wanted;
    if starts {
        app.bind(token, record.shard).await?;
    }
    let changed = SessionUpdateJob {
        presence: Some(settings.presence)
            .filter(|presence| presence.is_some() && *presence != record.presence),
        // Which one it has, only its worker can read.
        proxy: settings.proxy.map(|proxy| Some(proxy.clone())),
        calls: settings.calls.filter(|calls| *calls != record.calls),
    };
    if !is_new && changed != SessionUpdateJob::default() {
        *record = change(app, record, changed).await?;
    }
    if starts {
        app.publish(token, &app.job_id(), &Job::SessionStart).await?;
    }
    Ok(created)
}

/// A session that is being deleted can't be started: its worker would let it go all the same.
async fn create_when_free(app: &App, token: &Token, settings: NewSettings<'_>) -> Result<Created, Problem> {
    let mut looks = app.looks(GONE_PATIENCE);
    loop {
        let created = sessions::create_with(&app.store, token, app.shards, settings).await?;
        match &created {
            Created::Existing(record) if record.deleting_at.is_some() => {}
            _ => return Ok(created),
        }
        if !looks.again().await {
            return Err(being_deleted(token));
        }
    }
}

/// List sessions, in the order of their tokens.
#[utoipa::path(get, path = "/v1/sessions", params(PageQuery), tag = "sessions", responses(
    (status = 200, body = Page<Session>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(
    State(app): State<Arc<App>>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Session>>, Problem> {
    let (limit, after) = (page.limit()?, page.after::<Token>()?);
    let rows = sessions::list(&app.store, after.as_ref(), u32::from(limit) + 1).await?;
    let held = leases::held(&app.store).await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.token.clone(),
        |row| {
            let worker = match held.contains(&row.shard) {
                true => Worker::Running,
                false => Worker::Absent,
            };
            Session::as_it_is(row, worker)
        },
    )))
}

/// Show a session.
#[utoipa::path(get, path = "/v1/sessions/{token}", params(("token" = String, Path)), tag = "sessions", responses(
    (status = 200, body = Session),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn show(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
) -> Result<Json<Session>, Problem> {
    shown(&app, &token).await.map(Json)
}

/// The session of a token as it is now, for an answer.
///
/// # Errors
/// 404 when there is none, 503 when the database is away.
pub async fn shown(app: &App, token: &Token) -> Result<Session, Problem> {
    let record = find(app, token).await?;
    let worker = standing::worker(app, &record).await?;
    Ok(Session::as_it_is(record, worker))
}

/// Change settings of a session; those that are absent stay. Answers when its worker has them: one that is connected
/// follows at once.
#[utoipa::path(patch, path = "/v1/sessions/{token}", params(("token" = String, Path)), tag = "sessions",
    request_body = ref("#/components/schemas/SessionUpdateJob"), responses((status = 200, body = Session),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn update(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Session>, Problem> {
    let settings = job::from_fields(extract::object(&body)?)?;
    let session = find(&app, &token).await?;
    if session.deleting_at.is_some() {
        return Err(being_deleted(&token));
    }
    let record = change(&app, &session, settings).await?;
    let worker = standing::worker(&app, &record).await?;
    Ok(Json(Session::as_it_is(record, worker)))
}

/// Has a session's worker change its settings; the session as it is then.
async fn change(
    app: &App,
    session: &SessionRecord,
    settings: SessionUpdateJob,
) -> Result<SessionRecord, Problem> {
    let token = &session.token;
    if standing::worker(app, session).await? == Worker::Absent {
        return Err(standing::no_worker());
    }
    match app.call(token, &Job::SessionUpdate(settings)).await? {
        Answer::Done { .. } => find(app, token).await,
        other => Err(jobs::unexpected(&other)),
    }
}

/// Log a session out at WhatsApp and delete it with its credentials and queues. Answers 204 when that is done, 202
/// when the worker is still at it after a few seconds.
#[utoipa::path(delete, path = "/v1/sessions/{token}", params(("token" = String, Path)), tag = "sessions", responses(
    (status = 204), (status = 202, description = "It is marked, and takes nothing more; its worker has not deleted it within five seconds, and does so when it can."),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn delete(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
) -> Result<StatusCode, Problem> {
    let session = find(&app, &token).await?;
    match close(&app, &session).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Ok(StatusCode::ACCEPTED),
    }
}

/// Marks a session for deletion, asks its worker to log it out and delete it, and gives it a few seconds; says whether
/// it is gone by then.
///
/// # Errors
/// 503 when the broker or the database is away.
pub async fn close(app: &App, session: &SessionRecord) -> Result<bool, Problem> {
    let token = &session.token;
    if sessions::mark_deleting(&app.store, session.id).await? {
        let asked = app.publish(token, &app.job_id(), &Job::SessionDelete).await;
        if let Err(problem) = asked {
            // Nobody may know of it; a worker that does marks it itself.
            sessions::unmark_deleting(&app.store, session.id).await?;
            return Err(problem);
        }
    }
    app.tokens.forget(token);
    let mut looks = app.looks(DELETE_PATIENCE);
    loop {
        match sessions::find(&app.store, token).await? {
            Some(now) if now.id == session.id && now.deleting_at.is_none() => {
                let text = "the session's worker could not be asked to delete it; try again";
                return Err(jobs::broker_away(text));
            }
            Some(now) if now.id == session.id => {}
            // Gone, or another one by now.
            _ => return Ok(true),
        }
        if !looks.again().await {
            return Ok(false);
        }
    }
}

/// The session of a token as it is now.
///
/// # Errors
/// 404 when there is none, 503 when the database is away.
pub async fn find(app: &App, token: &Token) -> Result<SessionRecord, Problem> {
    sessions::find(&app.store, token)
        .await?
        .ok_or_else(|| unknown(token))
}
