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
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use whatsapp::media::{MediaKey, MediaKind, Sealer};

use crate::handle::Handle;
use crate::number::Number;
use crate::refusal::Refusal;
use crate::request::{Answer, created, number};
use crate::world::{MediaChange, NewFile, SentFile, Speaker};

/// Its routes.
pub(crate) fn router() -> Router<Handle> {
    Router::new()
        .route("/media", post(change))
        .route("/media/{id}", get(file))
        .route(
            "/contacts/{number}/files",
            post(contact_sends).layer(DefaultBodyLimit::max(MAX_FILE_BYTES)),
        )
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    to: String,
    name: String,
    mimetype: String,
}

/// A contact sends a document.
async fn contact_sends(
    State(handle): State<Handle>,
    Path(contact): Path<String>,
    Query(document): Query<Document>,
    content: Bytes,
) -> Answer {
    let speaker = Speaker::Contact(number("number", &contact)?);
    let to: Number = number("to", &document.to)?;
    let file = spawn_blocking(move || sealed(document, &content)).await;
    let file = file.map_err(|error| Refusal::bad("body", error.to_string()))?;
    let id = handle.send_file(speaker, to, file).await?;
    created(&json!({ "id": id.as_str() }))
}

/// A document as phones upload it, under a key that is made of what it says.
fn sealed(document: Document, content: &[u8]) -> SentFile {
    let key: [u8; 32] = Sha256::new()
        .chain_update(b"key of ")
        .chain_update(content)
        .finalize()
        .into();
    let (mut sealer, mut sealed) = (Sealer::new(MediaKind::Document, &MediaKey::new(key)), Vec::new());
    sealed.reserve(content.len() + 64);
    for piece in content.chunks(SEALED_AT_A_TIME) {
        sealer.push(piece, &mut sealed);
    }
    let seal = sealer.finish(&mut sealed);
    SentFile {
        name: document.name,
        mimetype: document.mimetype,
        key,
        sealed: sealed.into(),
        sha256: seal.sha256,
        enc_sha256: seal.enc_sha256,
        length: seal.length,
    }
}

/// Bytes that are sealed in one go.
const SEALED_AT_A_TIME: usize = 64 * 1024;
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
