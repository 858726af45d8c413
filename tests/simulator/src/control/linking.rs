//! Devices are linked and unlinked: by QR code, by a code that is typed, with a passkey.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;

use crate::handle::Handle;
use crate::passkey::{Rules, authenticator::Ask};
use crate::request::{Answer, Body, created, done, number, parse};

/// The routes.
pub(super) fn router() -> Router<Handle> {
    Router::new()
        .route("/phones/{number}/scan", post(scan))
        .route(
            "/phones/{number}/passkey",
            post(guard).get(passkey).delete(unguard),
        )
        .route("/phones/{number}/passkey/sign", post(sign))
        .route("/companions/refresh", post(refresh))
        .route("/companions/codes", post(set_codes))
        .route("/phones/{number}/link-code", post(link_code))
        .route("/phones/{number}/unlink", post(unlink))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScanBody {
    qr: String,
    #[serde(default)]
    refresh: Option<String>,
}

async fn scan(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let body: ScanBody = parse(&body)?;
    let number = number("number", &phone)?;
    done(&match body.refresh {
        Some(child) => handle.scan_and_refresh(number, body.qr, child).await?,
        None => handle.scan(number, body.qr).await?,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefreshBody {
    qr: String,
    #[serde(default = "refresh_child")]
    child: String,
}

fn refresh_child() -> String {
    "companion_reg_refresh".to_owned()
}

async fn refresh(State(handle): State<Handle>, Body(body): Body) -> Answer {
    let body: RefreshBody = parse(&body)?;
    handle.refresh(body.qr, body.child).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodesBody {
    count: usize,
}

async fn set_codes(State(handle): State<Handle>, Body(body): Body) -> Answer {
    let CodesBody { count } = parse(&body)?;
    handle.set_codes(count).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn guard(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let rules: Rules = if body.is_empty() {
        Rules::default()
    } else {
        parse(&body)?
    };
    handle
        .guard(number("number", &phone)?, Some(rules.clone()))
        .await?;
    created(&json!(rules))
}

async fn unguard(State(handle): State<Handle>, Path(phone): Path<String>) -> Answer {
    handle.guard(number("number", &phone)?, None).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn passkey(State(handle): State<Handle>, Path(phone): Path<String>) -> Answer {
    done(&handle.passkey(number("number", &phone)?).await?)
}

async fn sign(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let ask: Ask = parse(&body)?;
    done(&handle.sign(number("number", &phone)?, ask).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeBody {
    code: String,
}

async fn link_code(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let body: CodeBody = parse(&body)?;
    done(&handle.link_code(number("number", &phone)?, &body.code).await?)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnlinkBody {
    #[serde(default)]
    device: Option<u16>,
}

async fn unlink(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let body: UnlinkBody = if body.is_empty() {
        UnlinkBody::default()
    } else {
        parse(&body)?
    };
    let count = handle.unlink(number("number", &phone)?, body.device).await?;
    done(&json!({ "unlinked": count }))
}
