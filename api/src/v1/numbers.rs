//! Numbers, some at a time: which are on WhatsApp, and that they be blocked or unblocked.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use shared::id::Token;
use shared::job::{Answer, IsExistsJob, Job, NumberAnswer, NumbersJob};
use shared::recipient::Number;
use utoipa::ToSchema;

use super::control;
use crate::app::App;
use crate::extract::{self, JsonBytes, SessionPath};
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

/// Ask whether one number is on WhatsApp. One that the session knows, by a question, a send or the phone's history, is
/// answered from what is kept; any other is looked up, at the pace of look-ups (`LOOK_UP_GAP`, `LOOK_UPS_PER_DAY`): the
/// request waits for its turn for some seconds, else 429 says when to try again.
#[utoipa::path(get, path = "/v1/sessions/{token}/numbers/{number}", params(("token" = String, Path),
    ("number" = String, Path, description = "A phone number with its country code, or its jid.")), tag = "numbers",
    responses((status = 200, body = ref("#/components/schemas/NumberAnswer")),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn show(
    State(app): State<Arc<App>>,
    Path((token, number)): Path<(String, String)>,
) -> Result<Json<NumberAnswer>, Problem> {
    let token: Token = extract::text("token", &token)?;
    let number = Number::phone(&number).map_err(|error| Problem::field("number", error.to_string()))?;
    let question = Job::IsExists(IsExistsJob {
        number: number.clone(),
    });
    match control::ask(&app, &token, &question).await? {
        Answer::IsExists { exists, jid, lid } => Ok(Json(NumberAnswer {
            number: number.user().to_owned(),
            exists,
            jid,
            lid,
            blocked: None,
            error: None,
        })),
        other => Err(not_asked(&app, &other)),
    }
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
        other => Err(not_asked(app, &other)),
    }
}

/// What it means when a question about numbers came to nothing.
fn not_asked(app: &App, answer: &Answer) -> Problem {
    match answer {
        Answer::Failed {
            message,
            until: Some(until),
            ..
        } => jobs::look_up_limit(message, *until, app.clock.wall()),
        other => jobs::unexpected(other),
    }
}
