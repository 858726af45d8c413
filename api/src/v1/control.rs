//! The control of a session: start, stop, restart, log out. Each is answered when its worker has it in the database.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use shared::id::Token;
use shared::job::{Answer, Job, LogoutJob};

use super::sessions::{self, Session};
use super::standing;
use super::waiting::Worker;
use crate::app::App;
use crate::extract::{JsonBytes, SessionPath};
use crate::jobs;
use crate::problem::{Problem, ProblemBody};
use crate::tokens::being_deleted;

/// Connect a session, or have it show QR codes if it has no account. One that is connected stays so.
#[utoipa::path(post, path = "/v1/sessions/{token}/start", params(("token" = String, Path)), tag = "sessions",
    responses((status = 200, body = Session),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn start(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
) -> Result<Json<Session>, Problem> {
    command(&app, &token, Job::SessionStart).await
}

/// Disconnect a session and keep its credentials: its queues wait until it is started again.
#[utoipa::path(post, path = "/v1/sessions/{token}/stop", params(("token" = String, Path)), tag = "sessions",
    responses((status = 200, body = Session),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn stop(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
) -> Result<Json<Session>, Problem> {
    command(&app, &token, Job::SessionStop).await
}

/// Disconnect a session and connect it again. Nothing of its queues is lost.
#[utoipa::path(post, path = "/v1/sessions/{token}/restart", params(("token" = String, Path)), tag = "sessions",
    responses((status = 200, body = Session),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn restart(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
) -> Result<Json<Session>, Problem> {
    command(&app, &token, Job::SessionRestart).await
}

/// Log a session out at WhatsApp and keep it, to be paired again. Its queues wait for that (`keep`, the default) or are
/// deleted (`drop`). Answers when WhatsApp has taken it.
#[utoipa::path(post, path = "/v1/sessions/{token}/logout", params(("token" = String, Path)), tag = "sessions",
    request_body = ref("#/components/schemas/LogoutJob"), responses((status = 200, body = Session),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn logout(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Session>, Problem> {
    let job = LogoutJob::parse(&body)?;
    command(&app, &token, Job::SessionLogout(job)).await
}

async fn command(app: &App, token: &Token, job: Job) -> Result<Json<Session>, Problem> {
    match ask(app, token, &job).await? {
        Answer::Done { .. } => sessions::shown(app, token).await.map(Json),
        other => Err(jobs::unexpected(&other)),
    }
}

/// Asks the worker of a session, if there is one.
///
/// # Errors
/// 404 without a session, 409 while it is being deleted, 503 when nobody could answer, 504 when nobody does.
pub async fn ask(app: &App, token: &Token, job: &Job) -> Result<Answer, Problem> {
    let session = sessions::find(app, token).await?;
    if session.deleting_at.is_some() {
        return Err(being_deleted(token));
    }
    if standing::worker(app, &session).await? == Worker::Absent {
        return Err(standing::no_worker());
    }
    app.call(token, job).await
}
