//! What contacts change of themselves, and calls, in the control API.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use crate::handle::Handle;
use crate::request::{Answer, Body, created, done, number, parse};
use crate::world::CallTurn;

/// The routes.
pub(super) fn router() -> Router<Handle> {
    Router::new()
        .route("/contacts/{number}/news", post(change))
        .route("/contacts/{number}/calls", post(call))
        .route("/calls/{id}", get(show).post(turn))
}

async fn change(State(handle): State<Handle>, Path(contact): Path<String>, Body(body): Body) -> Answer {
    let news = parse(&body)?;
    handle.change_person(number("number", &contact)?, news).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn call(State(handle): State<Handle>, Path(contact): Path<String>, Body(body): Body) -> Answer {
    let new = parse(&body)?;
    let id = handle.call(number("number", &contact)?, new).await?;
    created(&json!({ "id": id }))
}

async fn show(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    done(&handle.show_call(&id).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TurnBody {
    turn: CallTurn,
}

async fn turn(State(handle): State<Handle>, Path(id): Path<String>, Body(body): Body) -> Answer {
    let TurnBody { turn } = parse(&body)?;
    handle.turn_call(&id, turn).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
