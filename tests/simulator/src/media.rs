//! The media host: the files that phones have sealed, the switch that makes them fail, and what clients are told of hosts.
//!
//! Part of the control address, whose refusals it answers in.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};

use crate::handle::Handle;
use crate::refusal::Refusal;
use crate::world::MediaChange;

/// Its routes.
pub(crate) fn router() -> Router<Handle> {
    Router::new()
        .route("/media", post(change))
        .route("/media/{id}", get(file))
}

async fn file(State(handle): State<Handle>, Path(id): Path<String>) -> Result<Bytes, Refusal> {
    handle.file(format!("/media/{id}")).await
}

async fn change(State(handle): State<Handle>, body: Bytes) -> Result<StatusCode, Refusal> {
    let change: MediaChange =
        serde_json::from_slice(&body).map_err(|error| Refusal::bad("body", error.to_string()))?;
    handle.change_media(change).await?;
    Ok(StatusCode::NO_CONTENT)
}
