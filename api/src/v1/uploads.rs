//! Files of one's own: uploaded once, and used by many sends as `media: {"id": …}`.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest as _, Multipart, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::{Stream, TryStreamExt as _};
use rand::RngExt as _;
use serde::Serialize;
use shared::id::MediaId;
use shared::store::media::{self, MediaRecord};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::app::App;
use crate::extract;
use crate::jobs;
use crate::problem::{Code, Problem, ProblemBody};
use crate::uploads::{NewFile, UploadError};

/// A file that was uploaded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredMedia {
    /// What sends name it by: `media: {"id": …}`.
    #[schema(value_type = String, format = Uuid)]
    pub id: MediaId,
    /// Its type, if that was said.
    pub mimetype: Option<String>,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of it, in hex.
    pub sha256: String,
    /// When it came.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    /// When it is removed. Sends that begin later fail.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: OffsetDateTime,
}

impl From<MediaRecord> for StoredMedia {
    fn from(record: MediaRecord) -> Self {
        Self {
            id: record.id,
            mimetype: record.mimetype,
            length: record.length,
            sha256: hex::encode(record.sha256),
            created_at: record.created_at,
            expires_at: record.expires_at,
        }
    }
}

/// Upload a file, to be sent by its `id` as often as is wanted until it expires: as the body, with its type in
/// `Content-Type`, or as the first file of a form (`multipart/form-data`). It is written as it comes, and is there only when
/// all of it has come. 507 `media_store_full` where there is no room for it (`MEDIA_STORE_FILES`, `MEDIA_STORE_BYTES`), 503
/// `uploads_busy` where as many come as may at a time (`MEDIA_UPLOADS`).
#[utoipa::path(post, path = "/v1/media", tag = "media",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = StoredMedia),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn create(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<(StatusCode, Json<StoredMedia>), Problem> {
    // A task of its own: when its client leaves, what has come of the file is removed.
    let taken = app.tasks.spawn(taken(Arc::clone(&app), request)).await;
    let taken = taken.unwrap_or_else(|error| {
        tracing::error!(%error, "an upload ended in a panic; it is answered with 500");
        Err(Problem::new(
            Code::Internal,
            "something failed on our side; the log says what",
        ))
    });
    taken.map(|record| (StatusCode::CREATED, Json(record.into())))
}

async fn taken(app: Arc<App>, request: Request) -> Result<MediaRecord, Problem> {
    let id = MediaId::new(uuid::Builder::from_random_bytes(app.random.fork().random()).into_uuid());
    let told = essence(request.headers());
    if told.as_deref() == Some("multipart/form-data") {
        let form = Multipart::from_request(request, &()).await;
        let mut form = form.map_err(|error| Problem::new(Code::MalformedBody, error.body_text()))?;
        let field = first_file(&mut form).await?;
        let new = NewFile {
            id,
            mimetype: field.content_type().map(str::to_owned),
            length: None,
        };
        let pieces = field.map_err(|error| error.body_text());
        return take(&app, new, Box::pin(pieces)).await;
    }
    let new = NewFile {
        id,
        mimetype: told.and_then(|_| full(request.headers())),
        length: request.body().size_hint().exact(),
    };
    let pieces = Body::into_data_stream(request.into_body()).map_err(|error| error.to_string());
    take(&app, new, pieces).await
}

/// Show a file that was uploaded.
#[utoipa::path(get, path = "/v1/media/{media}", params(("media" = String, Path)), tag = "media",
    responses((status = 200, body = StoredMedia),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<StoredMedia>, Problem> {
    let id: MediaId = extract::text("id", &id)?;
    let record = media::find(&app.store, id).await?;
    record.map(|record| Json(record.into())).ok_or_else(no_such_media)
}

/// Remove a file that was uploaded, before its time is over. Sends that were begun go on; others that name it fail.
#[utoipa::path(delete, path = "/v1/media/{media}", params(("media" = String, Path)), tag = "media",
    responses((status = 204),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn delete(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let id: MediaId = extract::text("id", &id)?;
    if media::find(&app.store, id).await?.is_none() {
        return Err(no_such_media());
    }
    app.uploads.delete(&app.store, id).await.map_err(not_taken)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The problem of a file that is not there.
pub fn no_such_media() -> Problem {
    let words = "no uploaded file has this id, or not any more (KEEP_UPLOADS_DAYS)";
    Problem::new(Code::MediaNotFound, words)
}

/// Takes a file in; what is wrong with it is named `body`.
///
/// # Errors
/// 400, 408, 413, 503; nothing of it is kept.
pub(super) async fn take(
    app: &App,
    new: NewFile,
    pieces: impl Stream<Item = Result<bytes::Bytes, String>> + Unpin,
) -> Result<MediaRecord, Problem> {
    let taken = app.uploads.take(&app.store, app.clock, new, pieces).await;
    taken.map_err(not_taken)
}

/// The first part of a form that is a file.
async fn first_file(form: &mut Multipart) -> Result<axum::extract::multipart::Field<'_>, Problem> {
    let field = form.next_field().await;
    let field = field.map_err(|error| Problem::new(Code::MalformedBody, error.body_text()))?;
    field.ok_or_else(|| Problem::field("file", "must be the first part of the form"))
}

fn not_taken(error: UploadError) -> Problem {
    let words = error.to_string();
    match error {
        UploadError::NoStore => Problem::new(Code::NoMediaStore, words),
        UploadError::Busy => Problem::new(Code::UploadsBusy, words).retry_after(jobs::RETRY_AFTER),
        UploadError::Full(_) => Problem::new(Code::MediaStoreFull, words),
        UploadError::TooLarge(_) => Problem::new(Code::BodyTooLarge, "").with_field("body", words),
        UploadError::Empty => Problem::field("body", words),
        UploadError::Late => Problem::new(Code::BodyTimeout, words),
        UploadError::BrokeOff(_) => Problem::new(Code::MalformedBody, words),
        UploadError::Files(_) => {
            tracing::warn!(
                error = words,
                "a file was not stored; its sender is told to try again"
            );
            Problem::new(
                Code::NoMediaStore,
                "the store of files is not available; try again",
            )
            .retry_after(jobs::RETRY_AFTER)
        }
        UploadError::Database(error) => error.into(),
    }
}

fn full(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?.trim();
    (value.contains('/') && value.len() <= MIMETYPE_MAX_BYTES).then(|| value.to_owned())
}

/// A type without its parameters.
fn essence(headers: &HeaderMap) -> Option<String> {
    let full = full(headers)?;
    let essence = full.split(';').next()?.trim().to_ascii_lowercase();
    (!essence.is_empty()).then_some(essence)
}

/// Most bytes of a type, with its parameters.
const MIMETYPE_MAX_BYTES: usize = 255;
