//! Profile pictures, as the document shows them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::id::Token;
use shared::job::{self, Job, ProfileAction, ProfileJob};
use shared::recipient::Number;

use super::bodies::Answer;
use super::dialect::ErrorBody;
use crate::app::App;
use crate::extract::{self, JsonBytes};
use crate::jobs;
use crate::problem::{Code, Problem};
use crate::v1::control;

/// A question where a picture is.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PictureBody {
    /// The session that asks.
    pub token: Token,
    /// Whose: a phone number, or a jid, of a group too.
    pub number: Number,
    /// The large one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highrest: Option<bool>,
}

/// Tell where the picture of somebody or of a group is. Where there is none, or none that the account may see, it is 404.
#[utoipa::path(post, path = "/api/whatsapp/get-profile-picture", tag = "legacy", security(("basic" = [])),
    request_body = ref("#/components/schemas/PictureBody"), responses((status = 200, body = Answer),
    (status = "default", body = ErrorBody)))]
pub async fn picture(
    State(app): State<Arc<App>>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Answer>, Problem> {
    let PictureBody {
        token,
        number,
        highrest,
    } = extract::fields(&body)?;
    let question = ProfileJob {
        full: highrest,
        ..ProfileJob::new(ProfileAction::Picture, Some(number))
    };
    match control::ask(&app, &token, &Job::Profile(Box::new(question))).await? {
        job::Answer::Profile(told) => match told.picture {
            Some(picture) => Ok(Json(Answer::with_data(picture.url.into()))),
            None => Err(no_picture()),
        },
        other => Err(jobs::unexpected(&other)),
    }
}

/// The answer where there is no picture.
pub fn no_picture() -> Problem {
    Problem::new(
        Code::PictureNotFound,
        "there is no picture, or none that the account may see",
    )
}
