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
use crate::world::{Speaker, Writing};

pub(super) fn router() -> Router<Handle> {
    Router::new()
        .route("/groups", post(make))
        .route("/groups/{jid}", get(show).post(change))
        .route("/groups/{jid}/deletions", post(delete))
        .route("/contacts/{number}/groups", post(set_group_add))
        .route("/contacts/{number}/writing", post(writes))
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
struct DeletionBody {
    by: String,
    author: String,
    id: String,
}

async fn delete(State(handle): State<Handle>, Path(jid): Path<String>, Body(body): Body) -> Answer {
    let DeletionBody { by, author, id } = parse(&body)?;
    let (by, author) = (number("by", &by)?, number("author", &author)?);
    let id = handle
        .delete_in_group(Speaker::Contact(by), &jid, &id, author)
        .await?;
    created(&json!({ "id": id.as_str() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WritingBody {
    to: String,
    writing: Writing,
}

async fn writes(State(handle): State<Handle>, Path(contact): Path<String>, Body(body): Body) -> Answer {
    let WritingBody { to, writing } = parse(&body)?;
    let (contact, to) = (number("number", &contact)?, number("to", &to)?);
    handle.writes(contact, to, writing).await?;
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
