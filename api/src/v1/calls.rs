//! Calls: rejecting one that rings. That somebody calls is told by the event `call`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use shared::id::{StanzaId, Token};
use shared::job::{Answer, CallJob, Job};
use utoipa::ToSchema;

use super::control;
use crate::app::App;
use crate::extract;
use crate::jobs;
use crate::problem::{Problem, ProblemBody};

/// A call that was rejected.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedCall {
    /// Its id.
    pub call_id: String,
}

/// Reject a call that rings, as the event `call` told it: the caller is told, and it rings nowhere any more. 404 `call_not_found`
/// for one that has ended, was taken, or began before the session connected.
#[utoipa::path(post, path = "/v1/sessions/{token}/calls/{call}/reject",
    params(("token" = String, Path), ("call" = String, Path, description = "A callId.")), tag = "calls",
    responses((status = 200, body = RejectedCall),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn reject(
    State(app): State<Arc<App>>,
    Path((token, call)): Path<(String, String)>,
) -> Result<Json<RejectedCall>, Problem> {
    let token: Token = extract::text("token", &token)?;
    let call_id: StanzaId = extract::text("callId", &call)?;
    let job = Job::RejectCall(CallJob { call_id });
    match control::ask(&app, &token, &job).await? {
        Answer::Done { .. } => Ok(Json(RejectedCall { call_id: call })),
        other => Err(jobs::unexpected(&other)),
    }
}
