//! Webhooks: register, list, change, delete. Must not know their deliveries.

mod fields;

use std::sync::Arc;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use shared::id::{Token, WebhookId};
use shared::store::webhooks::{self, Dialect, WebhookRecord};
use time::OffsetDateTime;
use utoipa::ToSchema;

pub use self::fields::{CreateWebhook, UpdateWebhook};
use crate::app::App;
use crate::extract::{self, JsonBytes, MAX_BODY_BYTES, Query};
use crate::idempotency::{self, Key};
use crate::paging::{Page, PageQuery};
use crate::problem::{Code, Problem, ProblemBody};

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub id: WebhookId,
    /// Where its events are posted.
    pub url: String,
    /// The session whose events it wants; null where it is not one alone.
    #[schema(value_type = Option<String>)]
    pub token: Option<Token>,
    /// The sessions whose events it wants; empty for all.
    #[schema(value_type = Vec<String>)]
    pub tokens: Vec<Token>,
    /// Names of the events it wants; empty for all.
    pub events: Vec<String>,
    /// Names of the headers of its own, whose values are not shown.
    pub header_names: Vec<String>,
    /// Most attempts that one webhook worker begins in a second; null for no limit.
    pub max_per_second: Option<f64>,
    /// Most attempts that one webhook worker has under way; null for 16.
    pub max_concurrent: Option<u16>,
    /// `standard` (signed envelopes), or `seed` for the global `WEBHOOK` of the settings.
    #[schema(value_type = String)]
    pub dialect: Dialect,
    /// Whether events are sent to it.
    pub enabled: bool,
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
    /// Until when the secret before this one signs the posts too.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub old_secret_until: Option<OffsetDateTime>,
    /// What signs the posts; shown once, when it is registered or changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl From<WebhookRecord> for Webhook {
    fn from(record: WebhookRecord) -> Self {
        let (disabled_at, disabled_why) = record.disabled.unzip();
        let token = match record.tokens.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        };
        Self {
            id: record.id,
            url: record.url,
            token,
            tokens: record.tokens,
            events: record.events,
            header_names: record.headers.into_iter().map(|header| header.name).collect(),
            max_per_second: record.limits.max_per_second,
            max_concurrent: record.limits.max_concurrent,
            enabled: disabled_at.is_none(),
            old_secret_until: record.old_secret.map(|old| old.until),
            dialect: record.dialect,
            disabled_why,
            disabled_at,
            created_at: record.created_at,
            secret: None,
        }
    }
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
    let new = extract::fields::<CreateWebhook>(&body)?.checked(&app).await?;
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

/// List webhooks.
#[utoipa::path(get, path = "/v1/webhooks", params(PageQuery), tag = "webhooks", responses(
    (status = 200, body = Page<Webhook>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(
    State(app): State<Arc<App>>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Webhook>>, Problem> {
    let (limit, after) = (page.limit()?, page.after::<WebhookId>()?);
    let rows = webhooks::list(&app.store, after, u32::from(limit) + 1).await?;
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

/// Change a webhook. Workers take it up with the next event or retry. What waits for one that is enabled again is sent,
/// in the order of its events; what happened while it was disabled was not kept for it.
#[utoipa::path(patch, path = "/v1/webhooks/{webhook}", params(("webhook" = String, Path)),
    request_body = UpdateWebhook, tag = "webhooks", responses((status = 200, body = Webhook),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn update(
    State(app): State<Arc<App>>,
    Path(webhook): Path<String>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Webhook>, Problem> {
    let record = find(&app, &webhook).await?;
    let asked = UpdateWebhook::read(&body)?;
    if record.dialect == Dialect::Seed && asked.is_of_more_than_enabled() {
        let detail = "this is the webhook of the setting WEBHOOK: nothing but `enabled` can be changed here";
        return Err(Problem::new(Code::Conflict, detail));
    }
    let change = asked.checked(&app).await?;
    let changed = app.change_webhook(record.id, &change).await?;
    let mut webhook = Webhook::from(changed.ok_or_else(no_such_webhook)?);
    webhook.secret = change
        .rotation
        .map(|rotation| rotation.secret.expose().to_owned());
    Ok(Json(webhook))
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

/// The webhook that a path names.
///
/// # Errors
/// 404 when there is none, 400 when the text is no id, 503 when the database is away.
pub async fn find(app: &App, webhook: &str) -> Result<WebhookRecord, Problem> {
    let id = extract::text("webhook", webhook)?;
    webhooks::find(&app.store, id).await?.ok_or_else(no_such_webhook)
}

/// The answer where no webhook has an id.
pub fn no_such_webhook() -> Problem {
    Problem::new(Code::WebhookNotFound, "no webhook has this id")
}
