//! The media host: the files that phones have sealed, and the switch that makes them fail.
//!
//! Part of the control address, whose refusals it answers in.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;

use crate::handle::Handle;
use crate::refusal::Refusal;

/// Its routes.
pub(crate) fn router() -> Router<Handle> {
    Router::new()
        .route("/media", post(change))
        .route("/media/{id}", get(file))
}

async fn file(State(handle): State<Handle>, Path(id): Path<String>) -> Result<Bytes, Refusal> {
    handle.file(format!("/media/{id}")).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    refuse: u32,
}

async fn change(State(handle): State<Handle>, body: Bytes) -> Result<StatusCode, Refusal> {
    let body: ChangeBody =
        serde_json::from_slice(&body).map_err(|error| Refusal::bad("body", error.to_string()))?;
    handle.refuse_files(body.refuse).await?;
    Ok(StatusCode::NO_CONTENT)
}
