//! The older API: `POST /api/whatsapp/*`, with the paths, fields and success bodies that its clients know.
//!
//! Parses and answers in that shape; what is done is what `/v1` does.

pub mod bodies;
pub mod dialect;
mod files;
pub mod groups;
pub mod media;
pub mod profile;
mod request;
pub mod scheduler;
mod sending;
pub mod sends;
pub mod store;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use shared::job::{self, IsExistsJob, Job};
use shared::recipient::Number;
use shared::store::sessions::{NewSettings, SessionRecord};
use time::OffsetDateTime;

use crate::app::App;
use crate::extract::{self, JsonBytes};
use crate::idempotency::{self, Key, Meaning};
use crate::jobs;
use crate::legacy::bodies::{Answer, NumberBody, TextBody, TokenBody};
use crate::legacy::dialect::ErrorBody;
use crate::legacy::sending::{send_many, send_one};
use crate::problem::{Code, Problem};
use crate::qr;
use crate::v1::waiting::Worker;
use crate::v1::{linking, pairing, sessions, standing};

/// All routes under `/api/whatsapp`.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/create-instance", post(create_instance))
        .route("/delete-credential", post(delete_credential))
        .route("/send-text", post(send_text))
        .route("/send-media", post(media::send_media))
        .route("/send-button-message", post(sends::buttons))
        .route("/send-template-message", post(sends::template))
        .route("/send-list-message", post(sends::list))
        .route("/send-reaction", post(sends::reaction))
        .route("/delete-for-every-one", post(sends::delete))
        .route("/is-exists", post(is_exists))
        .route("/group-metadata", post(groups::group_metadata))
        .route("/get-profile-picture", post(profile::picture))
        .route("/store/chats", post(store::chats))
        .route("/scheduler", post(scheduler::list))
        .route("/scheduler/add-scheduler", post(scheduler::add_scheduler))
        .route("/scheduler/stop-scheduler", post(scheduler::stop))
}

/// Create a session, or tell how it stands: `qrcode` holds the picture to scan while there is one.
#[utoipa::path(post, path = "/api/whatsapp/create-instance", tag = "legacy", security(("basic" = [])),
    request_body = ref("#/components/schemas/TokenBody"), responses((status = 200, body = Answer),
    (status = "default", body = ErrorBody)))]
pub async fn create_instance(
    State(app): State<Arc<App>>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Answer>, Problem> {
    let TokenBody { token } = extract::fields(&body)?;
    let created = sessions::open(&app, &token, NewSettings::default()).await?;
    let session = created.into_record();
    let worker = standing::worker(&app, &session).await?;
    connection_answer(&session, worker, app.clock.wall()).map(Json)
}

fn connection_answer(
    session: &SessionRecord,
    worker: Worker,
    now: OffsetDateTime,
) -> Result<Answer, Problem> {
    if linking::is_connected(session, worker) {
        return Ok(Answer::done("Already connected"));
    }
    let Some(code) = pairing::scannable(session, worker, now) else {
        return Ok(Answer::done("Processing"));
    };
    let picture = qr::data_url(&code.text).map_err(|error| {
        tracing::error!(%error, "a QR code could not be drawn");
        Problem::new(Code::Internal, "the QR code could not be drawn")
    })?;
    Ok(Answer {
        status: false,
        qrcode: Some(picture),
        ..Answer::done("Please scan qrcode")
    })
}

/// Log a session out at WhatsApp and delete it with all that belongs to it.
#[utoipa::path(post, path = "/api/whatsapp/delete-credential", tag = "legacy", security(("basic" = [])),
    request_body = ref("#/components/schemas/TokenBody"), responses((status = 200, body = Answer),
    (status = "default", body = ErrorBody)))]
pub async fn delete_credential(
    State(app): State<Arc<App>>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Answer>, Problem> {
    let TokenBody { token } = extract::fields(&body)?;
    let session = sessions::find(&app, &token).await?;
    // Gone or not after a few seconds: it will be, and is as good as gone for all that is asked meanwhile.
    sessions::close(&app, &session).await?;
    let done = json!({ "status": true, "message": "Deleting session and credential" });
    Ok(Json(Answer::with_data(done)))
}

/// Send a text to one number, or to many as a queue.
#[utoipa::path(post, path = "/api/whatsapp/send-text", tag = "legacy", security(("basic" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ref("#/components/schemas/TextBody"), responses((status = 200, body = Answer),
    (status = "default", body = ErrorBody)))]
pub async fn send_text(
    State(app): State<Arc<App>>,
    Key(key): Key,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let request = request::read::<TextBody>(&body)?;
    let (many, job) = (request.is_to_many(), request.job()?);
    let meaning = Meaning::of_job(key.as_ref(), &job);
    let to = app.tokens.session(&app.store, request.token).await?;
    let scope = format!("send-text {}", to.token);
    let work = {
        let (app, key) = (app.clone(), key.clone());
        Box::pin(async move {
            let answer = if many {
                send_many(&app, to, key, job).await?
            } else {
                let sent = send_one(&app, &to, key, job).await?;
                Answer {
                    data: Some(sent.clone()),
                    ..Answer::done(sent)
                }
            };
            Ok(Json(answer).into_response())
        })
    };
    idempotency::once(&app, scope, key, meaning, work).await
}

/// Ask whether a number is on WhatsApp. One that was found once, by a question or a send, is answered from what is kept; any
/// other is looked up, which a session may do only so often (429 `look_up_limit`, with `Retry-After`).
#[utoipa::path(post, path = "/api/whatsapp/is-exists", tag = "legacy", security(("basic" = [])),
    request_body = ref("#/components/schemas/NumberBody"), responses((status = 200, body = Answer),
    (status = "default", body = ErrorBody)))]
pub async fn is_exists(
    State(app): State<Arc<App>>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Answer>, Problem> {
    let NumberBody { token, number } = extract::fields(&body)?;
    let number =
        Number::phone(&number.into_text()).map_err(|error| Problem::field("number", error.to_string()))?;
    let to = app.tokens.session(&app.store, token).await?;
    let question = Job::IsExists(IsExistsJob {
        number: number.clone(),
    });
    match app.call(&to.token, &question).await? {
        job::Answer::IsExists { exists, jid, .. } => {
            let jid = jid.unwrap_or_else(|| number.jid());
            Ok(Json(Answer::with_data(json!({ "exists": exists, "jid": jid }))))
        }
        job::Answer::Failed {
            message,
            until: Some(until),
            ..
        } => Err(jobs::look_up_limit(&message, until, app.clock.wall())),
        other => Err(jobs::unexpected(&other)),
    }
}
