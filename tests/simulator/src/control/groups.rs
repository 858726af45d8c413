//! Groups in the control API: making them, who comes and goes, how they stand.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use crate::handle::Handle;
use crate::request::{Answer, Body, created, done, number, parse};

pub(super) fn router() -> Router<Handle> {
    Router::new()
        .route("/groups", post(make))
        .route("/groups/{jid}", get(show).post(change))
        .route("/contacts/{number}/groups", post(set_group_add))
}

async fn make(State(handle): State<Handle>, Body(body): Body) -> Answer {
    let jid = handle.make_group(parse(&body)?).await?;
    created(&json!({ "jid": jid }))
}

async fn show(State(handle): State<Handle>, Path(jid): Path<String>) -> Answer {
    done(&handle.group(&jid).await?)
}

async fn change(State(handle): State<Handle>, Path(jid): Path<String>, Body(body): Body) -> Answer {
    handle.change_group(&jid, parse(&body)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupAddBody {
    addable: bool,
}

async fn set_group_add(
    State(handle): State<Handle>,
    Path(contact): Path<String>,
    Body(body): Body,
) -> Answer {
    let GroupAddBody { addable } = parse(&body)?;
    let contact = number("number", &contact)?;
    match addable {
        true => handle.let_into_groups(contact).await?,
        false => handle.keep_out_of_groups(contact).await?,
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
