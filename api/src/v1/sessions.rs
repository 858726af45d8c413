//! Sessions: create, list, get, delete, and what pairs them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::event::RestrictionKind;
use shared::id::Token;
use shared::job::{self, Answer, Job, PairingCodeJob, Presence, SessionUpdateJob, deserialize_presence};
use shared::recipient::{Number, deserialize_phone};
use shared::store::sessions::{self, Created, Expiring, Restriction, SessionRecord, SessionState};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::passkey::Passkey;
use crate::app::App;
use crate::extract::{self, JsonBytes, Query, SessionPath};
use crate::jobs;
use crate::paging::{Page, PageQuery};
use crate::problem::{Code, Problem, ProblemBody};
use crate::qr;
use crate::tokens::{being_deleted, unknown};
use crate::v1::waiting;

/// How long a request for a QR code waits for one to come.
const QR_PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no QR code.
const NO_QR: &str = "there is no QR code at this moment; create the session again to get one";

/// When to ask again of a session that waits for a newer version of WhatsApp Web: it comes within about this time.
const OUTDATED_AGAIN: Duration = Duration::from_secs(60);

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
    /// Why it last closed, in the manner of HTTP; 511: a passkey was asked for.
    pub close_reason: Option<u16>,
    /// What that means, and what would end it, for people; only where the number says too little.
    pub close_detail: Option<&'static str>,
    /// How far linking with a passkey is, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passkey: Option<Passkey>,
    /// What it says of itself while it is connected: `unavailable` (its phone goes on ringing) or `available`; null for
    /// what the deployment says (`PRESENCE`).
    #[schema(value_type = Option<String>)]
    pub presence: Option<Presence>,
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
            passkey: record.passkey.map(|stage| Passkey::from(*stage)),
            presence: record.presence,
            restriction: record.restriction.map(SessionRestriction::from),
            created_at: record.created_at,
            updated_at: record.updated_at,
            paired_at: record.paired_at,
        }
    }
}

/// What keeps a session from writing to new contacts.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionRestriction {
    /// `time-lock`, `refused` or `cap`, as in the event `session.restricted`.
    #[schema(value_type = String)]
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
#[derive(Debug, Deserialize, JsonSchema)]
pub struct NewSession {
    /// 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub token: Token,
    /// What it says of itself while it is connected; the deployment's `PRESENCE` when absent. A session that is there
    /// already changes to it.
    #[serde(default, deserialize_with = "deserialize_presence")]
    #[schemars(with = "Option<Presence>")]
    pub presence: Option<Presence>,
}

/// The body of `POST /v1/sessions/{token}/pairing-code`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct PairingCodeRequest {
    /// The phone number of the account to pair with.
    #[serde(deserialize_with = "deserialize_phone")]
    pub phone: Number,
}

/// A pairing code.
#[derive(Debug, Serialize, ToSchema)]
pub struct PairingCode {
    /// Eight characters to type into the phone.
    pub code: String,
}

/// A QR code.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QrCode {
    /// The text of the code.
    pub code: String,
    /// The picture, as data URL.
    pub base64: String,
    /// When it stops working.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: OffsetDateTime,
}

/// How a QR code is to be shown.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct QrQuery {
    /// `png`, `text` or `json`; by default what `Accept` asks for, else `json`.
    format: Option<String>,
}

/// Create a session and start pairing it. A token that is there already is started again; one whose session is being
/// deleted is waited for, for a few seconds, and then refused with 409 and `Retry-After`.
#[utoipa::path(post, path = "/v1/sessions", request_body = ref("#/components/schemas/NewSession"), tag = "sessions", responses(
    (status = 201, body = Session), (status = 200, body = Session, description = "it was there already"),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn create(State(app): State<Arc<App>>, JsonBytes(body): JsonBytes) -> Result<Response, Problem> {
    let NewSession { token, presence } = extract::fields(&body)?;
    let created = open(&app, &token, presence).await?;
    let status = if matches!(created, Created::New(_)) {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let location = format!("/v1/sessions/{token}");
    Ok((
        status,
        [(header::LOCATION, location)],
        Json(Session::from(created.into_record())),
    )
        .into_response())
}

/// Makes sure that a session exists and says this of itself, if anything, that its jobs reach its shard, and that its
/// worker starts it.
///
/// # Errors
/// 409 while an older session of the token is being deleted; 503 when the broker or the database is away, 504 when the
/// worker of one that is to change does not answer. What was done by then is done again by the next call.
pub async fn open(app: &App, token: &Token, presence: Option<Presence>) -> Result<Created, Problem> {
    let mut created = create_when_free(app, token, presence).await?;
    let (Created::New(record) | Created::Existing(record)) = &mut created;
    app.tokens.remember(record);
    if record.state != SessionState::Open {
        app.bind(token, record.shard).await?;
        app.publish(token, &app.job_id(), &Job::SessionStart).await?;
    }
    if presence.is_some() && record.presence != presence {
        let presence = Some(presence);
        *record = change(app, token, SessionUpdateJob { presence }).await?;
    }
    Ok(created)
}

/// A session that is being deleted can't be started: its worker would let it go all the same.
async fn create_when_free(app: &App, token: &Token, presence: Option<Presence>) -> Result<Created, Problem> {
    let mut looks = app.looks(GONE_PATIENCE);
    loop {
        let created = sessions::create_with(&app.store, token, app.shards, presence).await?;
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
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.token.clone(),
        Session::from,
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
    find(&app, &token).await.map(Session::from).map(Json)
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
    if find(&app, &token).await?.deleting_at.is_some() {
        return Err(being_deleted(&token));
    }
    change(&app, &token, settings).await.map(Session::from).map(Json)
}

/// Has a session's worker change its settings; the session as it is then.
async fn change(app: &App, token: &Token, settings: SessionUpdateJob) -> Result<SessionRecord, Problem> {
    match app.call(token, &Job::SessionUpdate(settings)).await? {
        Answer::Done { .. } => find(app, token).await,
        other => Err(jobs::unexpected(&other)),
    }
}

/// Log a session out at WhatsApp and delete it with its credentials and queues. Answers 204 when that is done, 202
/// when the worker is still at it after a few seconds.
#[utoipa::path(delete, path = "/v1/sessions/{token}", params(("token" = String, Path)), tag = "sessions", responses(
    (status = 204), (status = 202, description = "under way"),
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

/// Show the QR code to scan now, as PNG, text or JSON; waits a few seconds for the first one.
#[utoipa::path(get, path = "/v1/sessions/{token}/qr", params(("token" = String, Path), QrQuery), tag = "sessions",
    responses((status = 200, content((QrCode = "application/json"), (Vec<u8> = "image/png"), (String = "text/plain"))),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn qr(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    Query(query): Query<QrQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let format = QrFormat::choose(&query, &headers)?;
    let mut looks = app.looks(QR_PATIENCE);
    loop {
        let session = find(&app, &token).await?;
        if session.state == SessionState::Open {
            return Err(Problem::new(
                Code::AlreadyConnected,
                "the session is connected; there is nothing to scan",
            ));
        }
        let is_outdated = waiting::is_outdated(&session);
        if let Some(code) = valid(session.qr, app.clock.wall()) {
            return format.show(code);
        }
        if !looks.again().await {
            let (text, again) = match is_outdated {
                true => (waiting::OUTDATED, OUTDATED_AGAIN),
                false => (NO_QR, Duration::from_secs(1)),
            };
            return Err(Problem::new(Code::QrNotReady, text).retry_after(again));
        }
    }
}

/// A code that still works.
pub fn valid(code: Option<Expiring>, now: OffsetDateTime) -> Option<Expiring> {
    code.filter(|code| code.expires_at > now)
}

/// Ask for a code to type into the phone instead of scanning a QR code.
#[utoipa::path(post, path = "/v1/sessions/{token}/pairing-code", params(("token" = String, Path)),
    request_body = ref("#/components/schemas/PairingCodeRequest"), tag = "sessions", responses((status = 200, body = PairingCode),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn pairing_code(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    JsonBytes(body): JsonBytes,
) -> Result<Json<PairingCode>, Problem> {
    let PairingCodeRequest { phone } = extract::fields(&body)?;
    let session = find(&app, &token).await?;
    if session.state == SessionState::Open {
        return Err(Problem::new(
            Code::AlreadyConnected,
            "the session is connected; there is nothing to pair",
        ));
    }
    if session.paired_at.is_some() {
        let text =
            "the session is paired and not connected at this moment; delete it to pair another account";
        return Err(Problem::new(Code::AlreadyPaired, text));
    }
    if session.deleting_at.is_some() {
        return Err(being_deleted(&token));
    }
    if waiting::is_outdated(&session) {
        let problem = Problem::new(Code::SessionNotConnected, waiting::OUTDATED);
        return Err(problem.retry_after(OUTDATED_AGAIN));
    }
    match app
        .call(&session.token, &Job::PairingCode(PairingCodeJob { phone }))
        .await?
    {
        Answer::PairingCode { code } => Ok(Json(PairingCode { code })),
        other => Err(jobs::unexpected(&other)),
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

#[derive(Debug, Clone, Copy)]
enum QrFormat {
    Png,
    Text,
    Json,
}

impl QrFormat {
    fn choose(query: &QrQuery, headers: &HeaderMap) -> Result<Self, Problem> {
        if let Some(format) = query.format.as_deref() {
            return match format {
                "png" => Ok(Self::Png),
                "text" => Ok(Self::Text),
                "json" => Ok(Self::Json),
                _ => Err(Problem::field("format", "must be png, text or json")),
            };
        }
        let accept = headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        Ok(if accept.contains("image/png") {
            Self::Png
        } else if accept.contains("text/plain") {
            Self::Text
        } else {
            Self::Json
        })
    }

    fn show(self, code: Expiring) -> Result<Response, Problem> {
        let drawn = |error: qr::QrError| {
            tracing::error!(%error, "a QR code could not be drawn");
            Problem::new(Code::Internal, "the QR code could not be drawn")
        };
        // A code is good for half a minute at most and for one account: nobody in between may keep it.
        let uncached = (header::CACHE_CONTROL, "no-store");
        Ok(match self {
            Self::Png => {
                let png = qr::png(&code.text).map_err(drawn)?;
                ([(header::CONTENT_TYPE, "image/png"), uncached], png).into_response()
            }
            Self::Text => (
                [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), uncached],
                code.text,
            )
                .into_response(),
            Self::Json => {
                let base64 = qr::data_url(&code.text).map_err(drawn)?;
                let body = QrCode {
                    base64,
                    code: code.text,
                    expires_at: code.expires_at,
                };
                ([uncached], Json(body)).into_response()
            }
        })
    }
}
