//! What a send would do: nothing of it is published or kept.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use shared::job::{DryRun, DryRunAnswer};
use shared::store::outlook;

use crate::app::App;
use crate::extract::{JsonBytes, SessionPath};
use crate::problem::{Problem, ProblemBody};

/// Ask what a send would do: who would get what, who can't be sent to, who is named twice, and when it would end. The body is
/// that of a `send` job, to one or to many. Nothing is sent. Recipients that can't be sent to are told, and no reason to
/// refuse.
#[utoipa::path(post, path = "/v1/sessions/{token}/messages/dry-run", params(("token" = String, Path)),
    operation_id = "dry_run", request_body = ref("#/components/schemas/SendBody"), tag = "messages",
    responses((status = 200, body = ref("#/components/schemas/DryRunAnswer")),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn dry_run(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    JsonBytes(body): JsonBytes,
) -> Result<Json<DryRunAnswer>, Problem> {
    let run = DryRun::parse(&body)?;
    let now = app.clock.wall();
    app.limits.check_delay(run.job.delay)?;
    app.limits.check_start(run.job.start_at, now)?;
    let session = app.tokens.look_up(&app.store, &token).await?;
    let outlook = outlook::of(&app.store, &session, &run, now, app.delay).await?;
    Ok(Json(run.answer(&outlook)))
}
