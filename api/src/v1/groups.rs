//! Groups: what they are, who is in them, and what an account does with them. One request for all of it, as over AMQP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use shared::job::{Answer, GroupAnswer, GroupJob, Job};

use super::control;
use crate::app::App;
use crate::extract::{JsonBytes, SessionPath};
use crate::jobs;
use crate::problem::{Problem, ProblemBody};

/// Ask about groups, or do something with one: `action` says what, and the other fields are those that it needs. The answer
/// is empty (`{}`) where there is nothing to tell.
#[utoipa::path(post, path = "/v1/sessions/{token}/groups", params(("token" = String, Path)), tag = "groups",
    request_body = ref("#/components/schemas/GroupJob"),
    responses((status = 200, body = ref("#/components/schemas/GroupAnswer")),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn act(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Box<GroupAnswer>>, Problem> {
    let job = Job::Group(Box::new(GroupJob::parse(&body)?));
    match control::ask(&app, &token, &job).await? {
        Answer::Group(told) => Ok(Json(told)),
        Answer::Done { .. } => Ok(Json(Box::default())),
        other => Err(jobs::unexpected(&other)),
    }
}
