//! People and the own account beside messages: pictures, abouts, business profiles, block list, privacy, typing. One request
//! for all of it, as over AMQP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use shared::job::{Answer, Job, ProfileAnswer, ProfileJob};

use super::control;
use crate::app::App;
use crate::extract::{JsonBytes, SessionPath};
use crate::jobs;
use crate::problem::{Problem, ProblemBody};

/// Ask about somebody or the own account, or change that: `action` says what, and the other fields are those that it needs.
/// The answer is empty (`{}`) where there is nothing to tell, or nothing that the account may see.
#[utoipa::path(post, path = "/v1/sessions/{token}/profile", params(("token" = String, Path)), tag = "profile",
    request_body = ref("#/components/schemas/ProfileJob"),
    responses((status = 200, body = ref("#/components/schemas/ProfileAnswer")),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn act(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Box<ProfileAnswer>>, Problem> {
    let job = Job::Profile(Box::new(ProfileJob::parse(&body)?));
    match control::ask(&app, &token, &job).await? {
        Answer::Profile(told) => Ok(Json(told)),
        Answer::Done { .. } => Ok(Json(Box::default())),
        other => Err(jobs::unexpected(&other)),
    }
}
