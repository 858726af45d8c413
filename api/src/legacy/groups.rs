//! Groups in the older API: what one is and who is in it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::id::Token;
use shared::job::{self, GroupAction, GroupId, GroupJob, GroupMetadata, Job};

use super::bodies::Answer;
use super::dialect::ErrorBody;
use crate::app::App;
use crate::extract::{self, JsonBytes};
use crate::jobs;
use crate::problem::Problem;
use crate::v1::control;

/// A question about a group.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct GroupBody {
    /// The session that asks.
    pub token: Token,
    /// The group's jid (`…@g.us`).
    pub number: GroupId,
}

/// Tell what a group is and who is in it.
#[utoipa::path(post, path = "/api/whatsapp/group-metadata", tag = "legacy", security(("basic" = [])),
    request_body = ref("#/components/schemas/GroupBody"), responses((status = 200, body = Answer),
    (status = "default", body = ErrorBody)))]
pub async fn group_metadata(
    State(app): State<Arc<App>>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Answer>, Problem> {
    let GroupBody { token, number } = extract::fields(&body)?;
    let question = Job::Group(Box::new(GroupJob::of(GroupAction::Metadata, number)));
    match control::ask(&app, &token, &question).await? {
        job::Answer::Group(told) => match told.group {
            Some(group) => Ok(Json(Answer::with_data(shown(&group)))),
            None => Err(jobs::unexpected(&job::Answer::Group(told))),
        },
        other => Err(jobs::unexpected(&other)),
    }
}

/// A group as the document shows it.
pub fn shown(group: &GroupMetadata) -> Value {
    let participants = group.participants.iter();
    let participants: Vec<Value> = participants
        .map(|one| json!({ "id": one.id, "admin": one.admin }))
        .collect();
    json!({
        "id": group.id,
        "subject": group.subject,
        "creation": group.creation,
        "owner": group.owner,
        "restrict": group.restrict,
        "announce": group.announce,
        "participants": participants,
    })
}
