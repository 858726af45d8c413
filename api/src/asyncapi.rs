//! The AsyncAPI document: the file in `docs`, which the tests of `shared` make from the types of jobs and events.

use axum::http::header;
use axum::response::IntoResponse;

/// The document, JSON.
pub const DOCUMENT: &str = include_str!("../../docs/asyncapi.json");

/// Answers with it. It needs no key, as the OpenAPI document needs none.
pub async fn show() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
