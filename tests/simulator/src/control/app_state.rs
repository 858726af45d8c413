//! The app state in the control API: what a phone does to chats, contacts and labels, and what is in it.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Deserialize;

use crate::handle::Handle;
use crate::request::{Answer, Body, done, number, parse};
use crate::world::{PhoneChange, Spoil};

pub(super) fn router() -> Router<Handle> {
    Router::new().route("/phones/{number}/app-state", get(show).post(change))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    change: PhoneChange,
    #[serde(default)]
    spoil: Option<Spoil>,
}

async fn change(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let ChangeBody { change, spoil } = parse(&body)?;
    handle
        .change_state(number("number", &phone)?, change, spoil)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn show(State(handle): State<Handle>, Path(phone): Path<String>) -> Answer {
    done(&handle.app_state(number("number", &phone)?).await?)
}
