//! The page that names the current version of WhatsApp Web, as clients fetch it, and the switches for it.
//!
//! Part of the control address, whose refusals it answers in.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use whatsapp::version::ClientVersion;

use crate::handle::Handle;
use crate::refusal::Refusal;
use crate::world::{Page, VersionChange, VersionInfo};

/// Its routes.
pub(crate) fn router() -> Router<Handle> {
    Router::new()
        .route("/sw.js", get(script))
        .route("/version", get(versions).post(change_versions))
        .route("/version/expiration", post(announce_expiration))
}

/// Without the header that browsers send for a page that nobody links to, WhatsApp answers 400.
async fn script(State(handle): State<Handle>, headers: HeaderMap) -> Result<Response, Refusal> {
    if headers.get("sec-fetch-site").is_none_or(|site| site != "none") {
        return Ok((StatusCode::BAD_REQUEST, "Bad Request").into_response());
    }
    let (page, text) = handle.page().await?;
    let kind = [(header::CONTENT_TYPE, "application/javascript; charset=utf-8")];
    Ok(match page {
        Page::Hanging => std::future::pending().await,
        Page::Error => (StatusCode::INTERNAL_SERVER_ERROR, text).into_response(),
        Page::Script | Page::Document | Page::Rubbish => (kind, text).into_response(),
    })
}

async fn versions(State(handle): State<Handle>) -> Result<Json<VersionInfo>, Refusal> {
    handle.versions(VersionChange::default()).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    #[serde(default)]
    min: Option<String>,
    #[serde(default)]
    max_age_days: Option<u32>,
    #[serde(default)]
    published: Option<String>,
    #[serde(default)]
    page: Option<String>,
}

async fn change_versions(State(handle): State<Handle>, body: Bytes) -> Result<Json<VersionInfo>, Refusal> {
    let body: ChangeBody = parse(&body)?;
    let version = |field: &str, text: Option<String>| -> Result<Option<ClientVersion>, Refusal> {
        let parsed = text.map(|text| text.parse()).transpose();
        parsed.map_err(|error: whatsapp::version::NoVersion| Refusal::bad(field, error.to_string()))
    };
    let page = body.page.map(|name| {
        let known = Page::ALL.into_iter().find(|page| page.name() == name);
        known.ok_or_else(|| Refusal::bad("page", "must be script, document, rubbish, error or hanging"))
    });
    let change = VersionChange {
        min: version("min", body.min)?,
        max_age_days: body.max_age_days,
        published: version("published", body.published)?,
        page: page.transpose()?,
    };
    handle.versions(change).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpirationBody {
    #[serde(default)]
    t: Option<String>,
}

async fn announce_expiration(State(handle): State<Handle>, body: Bytes) -> Result<Response, Refusal> {
    let body: ExpirationBody = parse(&body)?;
    let told = handle.announce_expiration(body.t).await?;
    Ok(Json(json!({ "told": told })).into_response())
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad("body", error.to_string()))
}
