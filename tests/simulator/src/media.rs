//! The media host: the files that phones have sealed and clients have uploaded, the switch that makes them fail, and what clients are told of hosts.
//!
//! Part of the control address, whose refusals it answers in.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::handle::Handle;
use crate::refusal::Refusal;
use crate::world::{MediaChange, NewFile};

/// Its routes.
pub(crate) fn router() -> Router<Handle> {
    Router::new()
        .route("/media", post(change))
        .route("/media/{id}", get(file))
        .route(
            "/mms/{kind}/{token}",
            post(upload).layer(DefaultBodyLimit::max(MAX_FILE_BYTES)),
        )
}

#[derive(Deserialize)]
struct Shown {
    auth: String,
    token: String,
}

/// What a client uploads, under the hash of it.
async fn upload(
    State(handle): State<Handle>,
    Path((kind, token)): Path<(String, String)>,
    Query(shown): Query<Shown>,
    headers: HeaderMap,
    file: Bytes,
) -> Result<Json<serde_json::Value>, Refusal> {
    if shown.token != token {
        return Err(Refusal::bad("token", "is another than that of the path"));
    }
    if headers
        .get(ORIGIN)
        .is_none_or(|origin| origin != "https://web.whatsapp.com")
    {
        return Err(Refusal::bad("origin", "must be that of WhatsApp Web"));
    }
    let auth = shown.auth;
    let new = NewFile {
        kind,
        auth,
        token,
        file,
    };
    let path = handle.upload(new).await?;
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    Ok(Json(
        json!({ "url": format!("http://{host}{path}"), "direct_path": path }),
    ))
}

/// Largest file taken.
const MAX_FILE_BYTES: usize = 512 * 1024 * 1024;

async fn file(State(handle): State<Handle>, Path(id): Path<String>) -> Result<Bytes, Refusal> {
    handle.file(format!("/media/{id}")).await
}

async fn change(State(handle): State<Handle>, body: Bytes) -> Result<StatusCode, Refusal> {
    let change: MediaChange =
        serde_json::from_slice(&body).map_err(|error| Refusal::bad("body", error.to_string()))?;
    handle.change_media(change).await?;
    Ok(StatusCode::NO_CONTENT)
}
