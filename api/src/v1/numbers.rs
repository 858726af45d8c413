//! Numbers, some at a time: which are on WhatsApp, and that they be blocked or unblocked.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use shared::id::Token;
use shared::job::{Answer, Job, NumberAnswer, NumbersJob};
use utoipa::ToSchema;

use super::control;
use crate::app::App;
use crate::extract::{JsonBytes, SessionPath};
use crate::jobs;
use crate::problem::{Problem, ProblemBody};
use crate::schema;

/// What is so of each number, in the order in which they were named first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Numbers {
    /// One entry per number.
    #[schema(schema_with = schema::list::<NumberAnswer>)]
    pub numbers: Vec<NumberAnswer>,
}

/// Ask which of up to 50 numbers are on WhatsApp. Each counts as one look-up of the session: where the pace of look-ups
/// (`LOOK_UP_GAP`, `LOOK_UPS_PER_DAY`) does not allow them yet, nothing is asked and 429 says when to try again.
#[utoipa::path(post, path = "/v1/sessions/{token}/numbers/look-up", params(("token" = String, Path)), tag = "numbers",
    request_body = ref("#/components/schemas/NumbersJob"), responses((status = 200, body = Numbers),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn look_up(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Numbers>, Problem> {
    let job = NumbersJob::parse(&body)?;
    ask(&app, &token, Job::LookUp(job)).await
}

/// Block up to 50 numbers: they can't write to the account, and sends to them fail with 403. Each counts as one look-up,
/// since WhatsApp blocks by hidden id.
#[utoipa::path(post, path = "/v1/sessions/{token}/numbers/block", params(("token" = String, Path)), tag = "numbers",
    request_body = ref("#/components/schemas/NumbersJob"), responses((status = 200, body = Numbers),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn block(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Numbers>, Problem> {
    let job = NumbersJob::parse(&body)?;
    ask(&app, &token, Job::Block(job)).await
}

/// Unblock up to 50 numbers.
#[utoipa::path(post, path = "/v1/sessions/{token}/numbers/unblock", params(("token" = String, Path)), tag = "numbers",
    request_body = ref("#/components/schemas/NumbersJob"), responses((status = 200, body = Numbers),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn unblock(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Numbers>, Problem> {
    let job = NumbersJob::parse(&body)?;
    ask(&app, &token, Job::Unblock(job)).await
}

async fn ask(app: &App, token: &Token, job: Job) -> Result<Json<Numbers>, Problem> {
    match control::ask(app, token, &job).await? {
        Answer::Numbers { numbers } => Ok(Json(Numbers { numbers })),
        Answer::Failed {
            message,
            until: Some(until),
            ..
        } => Err(jobs::look_up_limit(&message, until, app.clock.wall())),
        other => Err(jobs::unexpected(&other)),
    }
}
