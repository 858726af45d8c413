//! What became of the deliveries of a webhook, and how they are made again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use shared::id::{DeliveryId, EventId};
use shared::store::deliveries::replays::{self, Filter};
use shared::store::deliveries::{DeliveryRecord, DeliveryState, HistoryEntry};
use shared::store::webhooks::WebhookRecord;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::webhooks;
use crate::app::App;
use crate::extract::{self, Query};
use crate::paging::{Page, PageQuery};
use crate::problem::{Code, Problem, ProblemBody};

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

/// List deliveries that were not taken at the first attempt, the newest first.
#[utoipa::path(get, path = "/v1/webhooks/{webhook}/deliveries",
    params(("webhook" = String, Path), PageQuery, DeliveryQuery), tag = "webhooks",
    responses((status = 200, body = Page<Delivery>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(
    State(app): State<Arc<App>>,
    Path(webhook): Path<String>,
    Query(page): Query<PageQuery>,
    Query(filter): Query<DeliveryQuery>,
) -> Result<Json<Page<Delivery>>, Problem> {
    let (limit, before) = (page.limit()?, page.after::<DeliveryId>()?);
    let only = filter.state.as_deref().map(delivery_state).transpose()?;
    let id = webhooks::find(&app, &webhook).await?.id;
    let filter = Filter {
        state: only,
        ..Filter::default()
    };
    let rows = replays::list(&app.store, id, &filter, before, u32::from(limit) + 1).await?;
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
    let id = enabled(&app, &webhook).await?.id;
    let delivery = extract::text("delivery", &delivery)?;
    match replays::replay(&app.store, id, delivery).await? {
        Some(record) if record.state == DeliveryState::Pending => {
            Ok((StatusCode::ACCEPTED, Json(Delivery::from(record))).into_response())
        }
        // Disabled a moment ago.
        Some(_) => Err(disabled("disabled")),
        None => Err(Problem::new(
            Code::DeliveryNotFound,
            "this webhook has no such delivery",
        )),
    }
}

/// A webhook to which something is to be sent.
async fn enabled(app: &App, webhook: &str) -> Result<WebhookRecord, Problem> {
    let record = webhooks::find(app, webhook).await?;
    match &record.disabled {
        Some((_, why)) => Err(disabled(why)),
        None => Ok(record),
    }
}

fn disabled(why: &str) -> Problem {
    let detail =
        format!("nothing is sent to this webhook ({why}); enable it first: PATCH it with \"enabled\": true");
    Problem::new(Code::WebhookDisabled, detail)
}

fn delivery_state(text: &str) -> Result<DeliveryState, Problem> {
    DeliveryState::find(text).ok_or_else(|| Problem::field("state", DeliveryState::must_be()))
}
