//! What became of the deliveries of a webhook, and how they are made again.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::clock::unix_millis;
use shared::id::{DeliveryId, EventId, Token};
use shared::store::deliveries::replays::{self, Filter, REPLAY_MAX};
use shared::store::deliveries::{
    self, DeliveryRecord, DeliveryState, Fate, HistoryEntry, NewDelivery, TEST_EVENT,
};
use shared::store::webhooks::{Dialect, WebhookRecord};
use shared::trace;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};

use super::webhooks;
use crate::app::App;
use crate::extract::{self, JsonBytes, Query};
use crate::paging::{Page, PageQuery};
use crate::problem::{Code, Problem, ProblemBody};
use crate::schema;

/// A delivery: one event for one webhook.
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
    #[schema(schema_with = schema::reference::<DeliveryState>)]
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
    /// The attempts, oldest first.
    pub history: Vec<DeliveryAttempt>,
    /// The beginning of what the receiver answered; of tests alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// When the first attempt was over, or put off.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    /// When it was delivered, given up or cancelled.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<OffsetDateTime>,
}

/// One attempt at a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryAttempt {
    /// When it ended.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: OffsetDateTime,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub ms: u32,
}

impl From<HistoryEntry> for DeliveryAttempt {
    fn from(entry: HistoryEntry) -> Self {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(entry.at) * 1_000_000);
        Self {
            // What is stored is a time of ours.
            at: at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
            status: entry.status,
            error: entry.error,
            ms: entry.ms,
        }
    }
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
            history: record.history.into_iter().map(DeliveryAttempt::from).collect(),
            answer: record.answer,
            created_at: record.created_at,
            finished_at: record.finished_at,
        }
    }
}

/// Which deliveries to list: those for which all of it is so.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// Only those of this state: `pending`, `delivered`, `dead` or `cancelled`.
    #[param(schema_with = schema::reference::<DeliveryState>)]
    state: Option<String>,
    /// Only those of this session.
    token: Option<String>,
    /// Only those of this event; a name may end in `*`.
    event: Option<String>,
    /// Only those that were made at this time or later, as in RFC 3339.
    since: Option<String>,
    /// Only those that were made before this time.
    until: Option<String>,
}

/// Which deliveries to make again: those for which all of it is so.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayDeliveries {
    /// Those of this state: `dead` when absent, else `pending`, `delivered` or `cancelled`.
    pub state: Option<String>,
    /// Those of this session.
    pub token: Option<String>,
    /// Those of this event; a name may end in `*`.
    pub event: Option<String>,
    /// Those that were made at this time or later, as in RFC 3339.
    pub since: Option<String>,
    /// Those that were made before this time.
    pub until: Option<String>,
    /// Most that this request makes again, 1 to 1000; 1000 when absent.
    pub limit: Option<u32>,
    /// `next` of the answer before: goes on behind it.
    pub cursor: Option<String>,
}

/// What a replay of many did.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayedDeliveries {
    /// How many deliveries are due again.
    pub replayed: u64,
    /// The `cursor` of the next request; null where there are no more.
    #[schema(value_type = Option<String>)]
    pub next: Option<DeliveryId>,
}

impl DeliveryQuery {
    fn filter(&self) -> Result<Filter, Problem> {
        Ok(Filter {
            state: self.state.as_deref().map(delivery_state).transpose()?,
            token: self
                .token
                .as_deref()
                .map(|token| extract::text("token", token))
                .transpose()?,
            event: self.event.as_deref().map(event_name).transpose()?,
            since: self
                .since
                .as_deref()
                .map(|text| moment("since", text))
                .transpose()?,
            until: self
                .until
                .as_deref()
                .map(|text| moment("until", text))
                .transpose()?,
        })
    }
}

/// List deliveries, the newest first: what was not taken at the first attempt, and the newest of what was
/// (`WEBHOOK_KEEP_DELIVERED`).
#[utoipa::path(get, path = "/v1/webhooks/{webhook}/deliveries",
    params(("webhook" = String, Path), PageQuery, DeliveryQuery), tag = "deliveries",
    responses((status = 200, body = Page<Delivery>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(
    State(app): State<Arc<App>>,
    Path(webhook): Path<String>,
    Query(page): Query<PageQuery>,
    Query(asked): Query<DeliveryQuery>,
) -> Result<Json<Page<Delivery>>, Problem> {
    let (limit, before) = (page.limit()?, page.after::<DeliveryId>()?);
    let filter = asked.filter()?;
    let id = webhooks::find(&app, &webhook).await?.id;
    let rows = replays::list(&app.store, id, &filter, before, u32::from(limit) + 1).await?;
    Ok(Json(Page::new(rows, limit, |row| row.id, Delivery::from)))
}

/// Show a delivery.
#[utoipa::path(get, path = "/v1/webhooks/{webhook}/deliveries/{delivery}",
    params(("webhook" = String, Path), ("delivery" = String, Path)), tag = "deliveries",
    responses((status = 200, body = Delivery),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn show(
    State(app): State<Arc<App>>,
    Path((webhook, delivery)): Path<(String, String)>,
) -> Result<Json<Delivery>, Problem> {
    let id = webhooks::find(&app, &webhook).await?.id;
    let delivery = extract::text("delivery", &delivery)?;
    let found = replays::find(&app.store, id, delivery).await?;
    found
        .map(|record| Json(Delivery::from(record)))
        .ok_or_else(no_such_delivery)
}

/// Post a signed `webhook.test` event now, once, the way that every event goes, and answer with what came back. Where that
/// takes longer than the request may, it is answered with 202, and the delivery tells later.
#[utoipa::path(post, path = "/v1/webhooks/{webhook}/test", params(("webhook" = String, Path)), tag = "deliveries",
    responses((status = 200, body = Delivery), (status = 202, body = Delivery,
        description = "The attempt is not over after 20 seconds, or no webhook worker runs. `Location` is where it is told later."),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn test(State(app): State<Arc<App>>, Path(webhook): Path<String>) -> Result<Response, Problem> {
    let record = enabled(&app, &webhook).await?;
    if record.dialect == Dialect::Seed {
        let detail = "this is the webhook of the setting WEBHOOK, which gets messages and nothing else";
        return Err(Problem::new(Code::Conflict, detail));
    }
    let new = test_delivery(&app, &record);
    deliveries::insert(&app.store, &new)
        .await?
        .ok_or_else(webhooks::no_such_webhook)?;
    let mut looks = app.looks(TEST_PATIENCE);
    loop {
        let found = replays::find(&app.store, record.id, new.id).await?;
        let found = found.ok_or_else(webhooks::no_such_webhook)?;
        let is_over = found.state != DeliveryState::Pending;
        if is_over || !looks.again().await {
            let status = if is_over {
                StatusCode::OK
            } else {
                StatusCode::ACCEPTED
            };
            let place = format!("/v1/webhooks/{}/deliveries/{}", record.id, new.id);
            return Ok((status, [(header::LOCATION, place)], Json(Delivery::from(found))).into_response());
        }
    }
}

fn test_delivery(app: &App, webhook: &WebhookRecord) -> NewDelivery {
    let (now, mut rng) = (app.clock.wall(), app.random.fork());
    let event_id = EventId::fresh(now, &mut rng);
    let token = webhook.tokens.first().cloned().unwrap_or_else(test_token);
    let body = json!({
        "event": TEST_EVENT,
        "instance": { "owner": null, "name": token },
        "data": { "webhookId": webhook.id },
        "id": event_id,
        "timestamp": unix_millis(now),
        "sequence": 0,
    });
    NewDelivery {
        id: DeliveryId::fresh(now, &mut rng),
        webhook: webhook.id,
        event_id,
        token,
        event: TEST_EVENT.to_owned(),
        sequence: 0,
        body: body.to_string(),
        attempted: None,
        fate: Fate::InTurn,
        lease: None,
        trace: trace::current(),
    }
}

/// Whose event a test is where the webhook is for all sessions.
fn test_token() -> Token {
    // Unwrap safety: a constant of the right form.
    #[allow(clippy::unwrap_used)]
    Token::new("test").unwrap()
}

/// How long a test's answer is waited for: what most endpoints answer in, and clients wait.
const TEST_PATIENCE: Duration = Duration::from_secs(20);

/// Attempt deliveries again now, oldest first, in the order of their events and under the same `webhook-id`. One request
/// makes a limited number due; go on with `next` as `cursor`.
#[utoipa::path(post, path = "/v1/webhooks/{webhook}/deliveries/replay", params(("webhook" = String, Path)),
    request_body = ReplayDeliveries, tag = "deliveries", responses((status = 202, body = ReplayedDeliveries,
        description = "So many are due now, and listed as `pending` until a webhook worker has attempted them."),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn replay_all(
    State(app): State<Arc<App>>,
    Path(webhook): Path<String>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let asked: ReplayDeliveries = extract::fields(&body)?;
    let limit = asked.limit.unwrap_or(REPLAY_MAX);
    if !(1..=REPLAY_MAX).contains(&limit) {
        return Err(Problem::field("limit", format!("must be 1 to {REPLAY_MAX}")));
    }
    let after = asked
        .cursor
        .as_deref()
        .map(|cursor| extract::text("cursor", cursor))
        .transpose()?;
    let query = DeliveryQuery {
        state: asked.state,
        token: asked.token,
        event: asked.event,
        since: asked.since,
        until: asked.until,
    };
    let mut filter = query.filter()?;
    filter.state.get_or_insert(DeliveryState::Dead);
    let id = enabled(&app, &webhook).await?.id;
    let replayed = replays::replay_all(&app.store, id, &filter, after, limit).await?;
    let replayed = ReplayedDeliveries {
        replayed: replayed.replayed,
        next: replayed.last,
    };
    Ok((StatusCode::ACCEPTED, Json(replayed)).into_response())
}

/// Attempt a delivery again now, whatever became of it, under the same `webhook-id`.
#[utoipa::path(post, path = "/v1/webhooks/{webhook}/deliveries/{delivery}/replay",
    params(("webhook" = String, Path), ("delivery" = String, Path)), tag = "deliveries",
    responses((status = 202, body = Delivery,
        description = "It is due now, and `pending` until a webhook worker has attempted it."),
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
        None => Err(no_such_delivery()),
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

/// The answer where nothing is sent to a webhook, for this reason.
pub fn disabled(why: &str) -> Problem {
    let detail =
        format!("nothing is sent to this webhook ({why}); enable it first: PATCH it with \"enabled\": true");
    Problem::new(Code::WebhookDisabled, detail)
}

fn delivery_state(text: &str) -> Result<DeliveryState, Problem> {
    DeliveryState::find(text).ok_or_else(|| Problem::field("state", DeliveryState::must_be()))
}

/// The answer where a webhook has no such delivery.
pub fn no_such_delivery() -> Problem {
    Problem::new(Code::DeliveryNotFound, "this webhook has no such delivery")
}

fn event_name(text: &str) -> Result<String, Problem> {
    match text.len() <= NAME_MAX_BYTES && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(Problem::field("event", "must be the name of an event")),
    }
}

/// Most bytes of an event's name.
const NAME_MAX_BYTES: usize = 255;

fn moment(field: &str, text: &str) -> Result<OffsetDateTime, Problem> {
    let problem = |_| {
        Problem::field(
            field,
            "must be a time as in RFC 3339, such as 2026-01-31T09:00:00Z",
        )
    };
    OffsetDateTime::parse(text, &Rfc3339).map_err(problem)
}
