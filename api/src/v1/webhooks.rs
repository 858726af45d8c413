//! Webhooks: register, list, delete, and what became of their deliveries.

use std::sync::Arc;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::config::Secret;
use shared::event::EventName;
use shared::id::{DeliveryId, EventId, Token, WebhookId};
use shared::store::deliveries::{self, DeliveryRecord, DeliveryState, HistoryEntry};
use shared::store::webhooks::{self, Dialect, EVENTS_MAX, NewWebhook, WebhookRecord};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::extract::{self, JsonBytes, MAX_BODY_BYTES, Query};
use crate::idempotency::{self, Key};
use crate::paging::{Page, PageQuery};
use crate::problem::{Code, Problem, ProblemBody};

/// Bytes of a secret that we choose.
const SECRET_BYTES: usize = 32;

/// Fewest and most bytes of a secret that the client chooses, by Standard Webhooks.
const SECRET_MIN: usize = 24;
const SECRET_MAX: usize = 64;

/// What a secret begins with.
const SECRET_PREFIX: &str = "whsec_";

/// The body of `POST /v1/webhooks`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWebhook {
    /// Where to post: http or https.
    url: String,
    /// The session whose events it wants; all sessions when absent.
    token: Option<String>,
    /// Names of the events it wants, `*` at the end of a name standing for any rest; all events when absent.
    #[serde(default)]
    events: Vec<String>,
    /// `whsec_` and 24 to 64 bytes in base64; chosen for you when absent.
    secret: Option<String>,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub id: WebhookId,
    /// Where its events are posted.
    pub url: String,
    /// The session whose events it wants; null for all.
    #[schema(value_type = Option<String>)]
    pub token: Option<Token>,
    /// Names of the events it wants; empty for all.
    pub events: Vec<String>,
    /// `standard` (signed envelopes), or `seed` for the global `WEBHOOK` of the settings.
    #[schema(value_type = String)]
    pub dialect: Dialect,
    /// Why nothing is sent to it any more; null while it is enabled.
    pub disabled_why: Option<String>,
    /// Since when nothing is sent to it.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub disabled_at: Option<OffsetDateTime>,
    /// When it was registered.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    /// What signs the posts; shown once, when it is registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl From<WebhookRecord> for Webhook {
    fn from(record: WebhookRecord) -> Self {
        let (disabled_at, disabled_why) = record.disabled.unzip();
        Self {
            id: record.id,
            url: record.url,
            token: record.token,
            events: record.events,
            dialect: record.dialect,
            disabled_why,
            disabled_at,
            created_at: record.created_at,
            secret: None,
        }
    }
}

/// A delivery that was not taken at the first attempt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub id: DeliveryId,
    /// The event: the `webhook-id` of each attempt.
    #[schema(value_type = String, format = Uuid)]
    pub event_id: EventId,
    /// The event's session.
    pub token: String,
    /// The event's name.
    pub event: String,
    /// `pending`, `delivered`, `dead` or `cancelled`.
    #[schema(value_type = String)]
    pub state: DeliveryState,
    /// Attempts since it was made or last replayed.
    pub attempts: u32,
    /// When the next attempt is due.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<OffsetDateTime>,
    /// HTTP status of the last answer.
    pub last_status: Option<u16>,
    /// What went wrong at the last attempt.
    pub last_error: Option<String>,
    /// The attempts, oldest first: `{at, status, error, ms}`.
    #[schema(value_type = Vec<Object>)]
    pub history: Vec<HistoryEntry>,
    /// When the first attempt failed.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    /// When it was delivered, given up or cancelled.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<OffsetDateTime>,
}

impl From<DeliveryRecord> for Delivery {
    fn from(record: DeliveryRecord) -> Self {
        Self {
            id: record.id,
            event_id: record.event_id,
            token: record.token,
            event: record.event,
            state: record.state,
            attempts: record.attempts,
            next_attempt_at: record.next_attempt_at,
            last_status: record.last_status,
            last_error: record.last_error,
            history: record.history,
            created_at: record.created_at,
            finished_at: record.finished_at,
        }
    }
}

/// Which deliveries to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// Only those of this state.
    state: Option<String>,
}

/// Register a webhook. Its secret is shown in this answer only.
#[utoipa::path(post, path = "/v1/webhooks", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = CreateWebhook, tag = "webhooks", responses((status = 201, body = Webhook),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn create(
    State(app): State<Arc<App>>,
    Key(key): Key,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let new = checked(&app, extract::fields(&body)?)?;
    let work = {
        let app = app.clone();
        Box::pin(async move {
            let mut webhook = Webhook::from(app.register(&new).await?);
            webhook.secret = Some(new.secret.expose().to_owned());
            Ok((StatusCode::CREATED, Json(webhook)).into_response())
        })
    };
    located(idempotency::once(&app, "webhooks".to_owned(), key, body, work).await?).await
}

/// Says where the webhook of this answer is: of one that was kept for its key there is only the body.
async fn located(response: Response) -> Result<Response, Problem> {
    let (mut parts, body) = response.into_parts();
    let unread = |_| Problem::new(Code::Internal, "the answer could not be put together");
    let bytes = to_bytes(body, MAX_BODY_BYTES).await.map_err(unread)?;
    let webhook: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let location = webhook["id"].as_str().map(|id| format!("/v1/webhooks/{id}"));
    if let Some(location) = location.and_then(|path| HeaderValue::try_from(path).ok()) {
        parts.headers.insert(header::LOCATION, location);
    }
    Ok(Response::from_parts(parts, bytes.into()))
}

fn checked(app: &App, body: CreateWebhook) -> Result<NewWebhook, Problem> {
    app.reach
        .check(&body.url)
        .map_err(|error| Problem::field("url", error.to_string()))?;
    let token = body
        .token
        .as_deref()
        .map(|token| extract::text("token", token))
        .transpose()?;
    if body.events.len() > EVENTS_MAX {
        return Err(Problem::field(
            "events",
            format!("must name at most {EVENTS_MAX} events"),
        ));
    }
    for (index, wanted) in body.events.iter().enumerate() {
        if !EventName::ALL
            .iter()
            .any(|event| webhooks::matches(wanted, event.as_str()))
        {
            return Err(Problem::field(format!("events[{index}]"), EventName::must_be()));
        }
    }
    let secret = match body.secret {
        Some(secret) => check_secret(secret)?,
        None => new_secret(&mut app.random.fork()),
    };
    Ok(NewWebhook {
        id: WebhookId::fresh(&mut app.random.fork()),
        token,
        url: body.url,
        secret,
        events: body.events,
        dialect: Dialect::Standard,
    })
}

fn check_secret(secret: String) -> Result<Secret, Problem> {
    let bytes = secret
        .strip_prefix(SECRET_PREFIX)
        .and_then(|text| STANDARD.decode(text).ok());
    match bytes {
        Some(bytes) if (SECRET_MIN..=SECRET_MAX).contains(&bytes.len()) => Ok(Secret::new(secret)),
        _ => {
            let problem = format!("must be {SECRET_PREFIX} and {SECRET_MIN} to {SECRET_MAX} bytes in base64");
            Err(Problem::field("secret", problem))
        }
    }
}

fn new_secret(rng: &mut impl Rng) -> Secret {
    let mut bytes = [0_u8; SECRET_BYTES];
    rng.fill_bytes(&mut bytes);
    Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes)))
}

/// List webhooks.
#[utoipa::path(get, path = "/v1/webhooks", params(PageQuery), tag = "webhooks", responses(
    (status = 200, body = Page<Webhook>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(
    State(app): State<Arc<App>>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Webhook>>, Problem> {
    let (limit, after) = (page.limit()?, page.after::<WebhookId>()?);
    let rows = webhooks::list(&app.store, None, after, u32::from(limit) + 1).await?;
    Ok(Json(Page::new(rows, limit, |row| row.id, Webhook::from)))
}

/// Show a webhook.
#[utoipa::path(get, path = "/v1/webhooks/{webhook}", params(("webhook" = String, Path)), tag = "webhooks", responses(
    (status = 200, body = Webhook),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn show(
    State(app): State<Arc<App>>,
    Path(webhook): Path<String>,
) -> Result<Json<Webhook>, Problem> {
    find(&app, &webhook).await.map(Webhook::from).map(Json)
}

/// Delete a webhook with its deliveries. Attempts under way end; nothing new is sent.
#[utoipa::path(delete, path = "/v1/webhooks/{webhook}", params(("webhook" = String, Path)), tag = "webhooks",
    responses((status = 204),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn delete(State(app): State<Arc<App>>, Path(webhook): Path<String>) -> Result<StatusCode, Problem> {
    let id = extract::text("webhook", &webhook)?;
    if webhooks::delete(&app.store, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(no_such_webhook())
    }
}

/// List deliveries that were not taken at the first attempt, the newest first.
#[utoipa::path(get, path = "/v1/webhooks/{webhook}/deliveries",
    params(("webhook" = String, Path), PageQuery, DeliveryQuery), tag = "webhooks",
    responses((status = 200, body = Page<Delivery>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn deliveries(
    State(app): State<Arc<App>>,
    Path(webhook): Path<String>,
    Query(page): Query<PageQuery>,
    Query(filter): Query<DeliveryQuery>,
) -> Result<Json<Page<Delivery>>, Problem> {
    let (limit, before) = (page.limit()?, page.after::<DeliveryId>()?);
    let only = filter.state.as_deref().map(delivery_state).transpose()?;
    let id = find(&app, &webhook).await?.id;
    let rows = deliveries::list(&app.store, id, only, before, u32::from(limit) + 1).await?;
    Ok(Json(Page::new(rows, limit, |row| row.id, Delivery::from)))
}

/// Attempt a delivery again now, whatever became of it, under the same `webhook-id`.
#[utoipa::path(post, path = "/v1/webhooks/{webhook}/deliveries/{delivery}/replay",
    params(("webhook" = String, Path), ("delivery" = String, Path)), tag = "webhooks",
    responses((status = 202, body = Delivery),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn replay(
    State(app): State<Arc<App>>,
    Path((webhook, delivery)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let id = find(&app, &webhook).await?.id;
    let delivery = extract::text("delivery", &delivery)?;
    match deliveries::replay(&app.store, id, delivery).await? {
        Some(record) => Ok((StatusCode::ACCEPTED, Json(Delivery::from(record))).into_response()),
        None => Err(Problem::new(
            Code::DeliveryNotFound,
            "this webhook has no such delivery",
        )),
    }
}

async fn find(app: &App, webhook: &str) -> Result<WebhookRecord, Problem> {
    let id = extract::text("webhook", webhook)?;
    webhooks::find(&app.store, id).await?.ok_or_else(no_such_webhook)
}

fn no_such_webhook() -> Problem {
    Problem::new(Code::WebhookNotFound, "no webhook has this id")
}

fn delivery_state(text: &str) -> Result<DeliveryState, Problem> {
    DeliveryState::find(text).ok_or_else(|| Problem::field("state", DeliveryState::must_be()))
}
