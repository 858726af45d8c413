//! The control API over HTTP: what tests do to the simulated world and ask of it. README.md describes it.
//!
//! Translates requests to calls of the [`Handle`] and refusals to answers that name the field.

mod app_state;
mod groups;
mod linking;
mod people;
mod saying;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::fault::Fault;
use crate::handle::Handle;
use crate::media;
use crate::number::Addressing;
use crate::page;
use crate::population::{Manners, Reply};
use crate::refusal::Refusal;
use crate::request::{Answer, Body, created, done, number, parse};
use crate::sharing::{MAX_PAST, Sharing};
use crate::world::{
    AccountAddressing, Labels, NewsBy, Proofs, PropertyChange, SaltChange, Speaker, Special, TokenChange,
};

/// Longest text.
const MAX_TEXT_BYTES: usize = 65_536;
/// Longest name.
const MAX_NAME_BYTES: usize = 256;
/// Longest wait before a receipt.
const MAX_WAIT_MS: u64 = 86_400_000;

/// Serves until stopped.
pub async fn serve(listener: TcpListener, handle: Handle, stop: CancellationToken) {
    let served = axum::serve(listener, router(handle)).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!("control API failed: {error}");
    }
}

fn router(handle: Handle) -> Router {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/phones", post(create_phone))
        .route("/phones/{number}/addressing", put(set_addressing))
        .route("/phones/{number}/sharing", post(share))
        .route("/phones/{number}/name", post(rename))
        .route("/phones/{number}/privacy", post(set_privacy))
        .route("/phones/{number}/messages", post(phone_says).get(phone_messages))
        .route("/phones/{number}/sent", get(phone_sent))
        .route("/phones/{number}/tokens", post(change_tokens))
        .route("/phones/{number}/properties", post(set_properties))
        .route("/phones/{number}/stanzas", post(send_special))
        .route("/phones/{number}/restrict", post(restrict).delete(lift))
        .route("/phones/{number}/cap", post(cap).delete(uncap))
        .route("/phones/{number}/rate-limit", post(rate_limit))
        .route("/contacts", post(create_contacts))
        .route("/contacts/{number}/devices", post(add_contact_device))
        .route("/contacts/{number}/lid", post(renew_lid))
        .route("/contacts/{number}/identity", post(register_anew))
        .route("/contacts/{number}/spellings", post(spell))
        .route(
            "/contacts/{number}/messages",
            post(contact_says).get(contact_messages),
        )
        .route("/contacts/{number}/sent", get(contact_sent))
        .route("/labels", post(set_labels))
        .route("/faults", post(add_fault).get(list_faults).delete(clear_faults))
        .route("/faults/{id}", delete(end_fault))
        .route("/sessions", get(sessions))
        .route("/audit", get(audit))
        .route("/audit/mark", post(mark_audit))
        .merge(app_state::router())
        .merge(groups::router())
        .merge(linking::router())
        .merge(people::router())
        .merge(saying::router())
        .merge(media::router())
        .merge(page::router())
        .fallback(|| async { Refusal::unknown("path") })
        .method_not_allowed_fallback(|| async {
            Refusal {
                status: 405,
                field: "method".into(),
                problem: "is not one of this path's".into(),
            }
        })
        .with_state(handle)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhoneBody {
    number: String,
    #[serde(default)]
    name: Option<String>,
}

async fn create_phone(State(handle): State<Handle>, Body(body): Body) -> Answer {
    let body: PhoneBody = parse(&body)?;
    let number = number("number", &body.number)?;
    if body.name.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES) {
        return Err(Refusal::bad(
            "name",
            format!("is longer than {MAX_NAME_BYTES} bytes"),
        ));
    }
    let name = handle.make_phone(number, body.name).await?;
    created(&json!({ "number": number.to_string(), "name": name }))
}

async fn set_addressing(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let rules: AccountAddressing = parse(&body)?;
    handle.set_addressing(number("number", &phone)?, rules).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn share(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let sharing: Sharing = parse(&body)?;
    if let Some(past) = &sharing.past {
        number("past.first", &past.first)?;
        let each = u64::from(past.messages) + u64::from(past.older);
        if u64::from(past.chats) * each > MAX_PAST {
            return Err(Refusal::bad(
                "past",
                format!("must have at most {MAX_PAST} messages in all"),
            ));
        }
    }
    for chat in &sharing.chats {
        number("chats.number", &chat.number)?;
        if chat
            .token
            .as_ref()
            .is_some_and(|token| hex::decode(token).is_err())
        {
            return Err(Refusal::bad("chats.token", "must be hexadecimal"));
        }
    }
    handle.share(number("number", &phone)?, sharing).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameBody {
    name: String,
    #[serde(default)]
    by: NewsBy,
}

async fn rename(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let body: NameBody = parse(&body)?;
    if body.name.is_empty() || body.name.len() > MAX_NAME_BYTES {
        return Err(Refusal::bad(
            "name",
            format!("must be 1 to {MAX_NAME_BYTES} bytes"),
        ));
    }
    handle
        .rename(number("number", &phone)?, body.name, body.by)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrivacyBody {
    name: String,
    value: String,
}

async fn set_privacy(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let body: PrivacyBody = parse(&body)?;
    let known = [
        "all",
        "contacts",
        "contact_blacklist",
        "match_last_seen",
        "known",
        "none",
    ];
    if !known.contains(&body.value.as_str()) {
        return Err(Refusal::bad(
            "value",
            format!("must be one of {}", known.join(", ")),
        ));
    }
    let number = number("number", &phone)?;
    handle.set_privacy(number, &body.name, &body.value).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn phone_says(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    saying::say(&handle, Speaker::Phone(number("number", &phone)?), &body).await
}

async fn contact_says(State(handle): State<Handle>, Path(contact): Path<String>, Body(body): Body) -> Answer {
    saying::say(&handle, Speaker::Contact(number("number", &contact)?), &body).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfDevice {
    #[serde(default)]
    device: u16,
}

type DeviceQuery = Result<Query<OfDevice>, QueryRejection>;

async fn phone_messages(State(handle): State<Handle>, Path(phone): Path<String>) -> Answer {
    done(
        &handle
            .messages(Speaker::Phone(number("number", &phone)?), 0)
            .await?,
    )
}

async fn contact_messages(
    State(handle): State<Handle>,
    Path(contact): Path<String>,
    query: DeviceQuery,
) -> Answer {
    let Query(of) = query.map_err(|error| Refusal::bad("device", format!("is not understood: {error}")))?;
    done(
        &handle
            .messages(Speaker::Contact(number("number", &contact)?), of.device)
            .await?,
    )
}

async fn send_special(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let special: Special = parse(&body)?;
    let id = handle.special(number("number", &phone)?, special).await?;
    created(&json!({ "id": id.as_str() }))
}

async fn phone_sent(State(handle): State<Handle>, Path(phone): Path<String>) -> Answer {
    done(&handle.sent(Speaker::Phone(number("number", &phone)?)).await?)
}

async fn contact_sent(State(handle): State<Handle>, Path(contact): Path<String>) -> Answer {
    done(&handle.sent(Speaker::Contact(number("number", &contact)?)).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensBody {
    #[serde(default)]
    proofs: Option<Proofs>,
    #[serde(default)]
    salt: Option<SaltChange>,
}

async fn change_tokens(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let TokensBody { proofs, salt } = parse(&body)?;
    let change = TokenChange { proofs, salt };
    let salt = handle.change_tokens(number("number", &phone)?, change).await?;
    done(&json!({ "salt": salt.map(hex::encode) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PropertiesBody {
    #[serde(default)]
    values: BTreeMap<u32, Vec<String>>,
    #[serde(default)]
    refresh: Option<String>,
}

async fn set_properties(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let PropertiesBody { values, refresh } = parse(&body)?;
    let change = PropertyChange { values, refresh };
    handle.set_properties(number("number", &phone)?, change).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelsBody {
    labels: Labels,
}

async fn set_labels(State(handle): State<Handle>, Body(body): Body) -> Answer {
    let LabelsBody { labels } = parse(&body)?;
    handle.set_labels(labels).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactsBody {
    prefix: String,
    count: u64,
    /// Absent: at once. Null: never.
    #[serde(default = "at_once")]
    deliver_ms: Option<u64>,
    #[serde(default)]
    read_ms: Option<u64>,
    #[serde(default)]
    reply: Option<ReplyBody>,
    #[serde(default)]
    dedupe: Option<bool>,
    #[serde(default)]
    addressing: Option<AddressingBody>,
}

#[allow(clippy::unnecessary_wraps)]
const fn at_once() -> Option<u64> {
    Some(0)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ReplyBody {
    Echo(bool),
    Text(String),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AddressingBody {
    Pn,
    Lid,
}

impl ContactsBody {
    fn manners(&self) -> Result<Manners, Refusal> {
        let wait = |field, ms: Option<u64>| match ms {
            Some(ms) if ms > MAX_WAIT_MS => Err(Refusal::bad(field, format!("must be 0 to {MAX_WAIT_MS}"))),
            ms => Ok(ms.map(Duration::from_millis)),
        };
        let reply = match &self.reply {
            None | Some(ReplyBody::Echo(false)) => None,
            Some(ReplyBody::Echo(true)) => Some(Reply::Echo),
            Some(ReplyBody::Text(text)) if text.len() > MAX_TEXT_BYTES => {
                return Err(Refusal::bad(
                    "reply",
                    format!("is longer than {MAX_TEXT_BYTES} bytes"),
                ));
            }
            Some(ReplyBody::Text(text)) if text.is_empty() => None,
            Some(ReplyBody::Text(text)) => Some(Reply::Text(text.clone())),
        };
        Ok(Manners {
            deliver_after: wait("deliver_ms", self.deliver_ms)?,
            read_after: wait("read_ms", self.read_ms)?,
            reply,
            dedupe: self.dedupe.unwrap_or(true),
            addressing: match self.addressing {
                Some(AddressingBody::Lid) => Addressing::Lid,
                Some(AddressingBody::Pn) | None => Addressing::Pn,
            },
        })
    }
}

async fn create_contacts(State(handle): State<Handle>, Body(body): Body) -> Answer {
    let body: ContactsBody = parse(&body)?;
    let run = handle
        .create_contacts(&body.prefix, body.count, body.manners()?)
        .await?;
    created(&json!({
        "prefix": body.prefix,
        "count": run.count,
        "width": run.width,
        "first": run.first.to_string(),
        "last": (run.first + run.count - 1).to_string(),
    }))
}

async fn add_contact_device(State(handle): State<Handle>, Path(contact): Path<String>) -> Answer {
    let device = handle.add_contact_device(number("number", &contact)?).await?;
    created(&json!({ "device": device }))
}

async fn restrict(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let restrict = parse(&body)?;
    handle.restrict(number("number", &phone)?, Some(restrict)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn lift(State(handle): State<Handle>, Path(phone): Path<String>) -> Answer {
    handle.restrict(number("number", &phone)?, None).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn cap(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let cap = parse(&body)?;
    handle.cap(number("number", &phone)?, Some(cap)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn uncap(State(handle): State<Handle>, Path(phone): Path<String>) -> Answer {
    handle.cap(number("number", &phone)?, None).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateLimitBody {
    seconds: u64,
}

async fn rate_limit(State(handle): State<Handle>, Path(phone): Path<String>, Body(body): Body) -> Answer {
    let body: RateLimitBody = parse(&body)?;
    handle.rate_limit(number("number", &phone)?, body.seconds).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn register_anew(State(handle): State<Handle>, Path(contact): Path<String>) -> Answer {
    handle.register_anew(number("number", &contact)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn renew_lid(State(handle): State<Handle>, Path(contact): Path<String>) -> Answer {
    let lid = handle.renew_lid(number("number", &contact)?).await?;
    created(&json!({ "lid": lid }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpellingBody {
    number: String,
}

async fn spell(State(handle): State<Handle>, Path(contact): Path<String>, Body(body): Body) -> Answer {
    let body: SpellingBody = parse(&body)?;
    let other = number("number", &body.number)?;
    handle.spell(number("number", &contact)?, other).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn add_fault(State(handle): State<Handle>, Body(body): Body) -> Answer {
    let fault: Fault = parse(&body)?;
    let (id, struck) = handle.add_fault(fault).await?;
    created(&json!({ "id": id, "struck": struck }))
}

async fn list_faults(State(handle): State<Handle>) -> Answer {
    done(&handle.faults().await?)
}

async fn clear_faults(State(handle): State<Handle>) -> Answer {
    handle.end_faults(None).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn end_fault(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let id = id.parse().map_err(|_| Refusal::bad("id", "must be a number"))?;
    handle.end_faults(Some(id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn sessions(State(handle): State<Handle>) -> Answer {
    done(&handle.sessions().await?)
}

async fn audit(State(handle): State<Handle>) -> Answer {
    done(&handle.audit().await?)
}

async fn mark_audit(State(handle): State<Handle>) -> Answer {
    handle.mark_audit().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
