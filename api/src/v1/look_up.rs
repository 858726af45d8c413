//! Messages by their ids: every id that got a 2xx is found, from that moment on.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use shared::id::{QueueId, SessionId, StanzaId, Token};
use shared::store::recipients::{self, RecipientRecord};
use shared::store::requests::{self, RequestRecord};
use utoipa::ToSchema;

use crate::app::App;
use crate::extract;
use crate::problem::{Code, Problem, ProblemBody};
use crate::v1::asked::{self, RequestState, SendRequest};
use crate::v1::queues::Recipient;

/// A message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The id that it was asked for by.
    #[schema(value_type = String)]
    pub message_id: StanzaId,
    /// The session that sends it.
    #[schema(value_type = String)]
    pub token: Token,
    /// The recipient's state (`queued`, `sending`, `sent`, `delivered`, `read`, `failed`, `skipped`, `unknown`); before its
    /// worker has stored it `accepted`, and `rejected` where it never does.
    pub state: &'static str,
    /// Its queue; null for a moment where only the id of the message is known.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub queue_id: Option<QueueId>,
    /// To whom, and what became of it; null before it is stored.
    pub recipient: Option<Recipient>,
    /// What was asked for while there is no recipient: why it waits, or why it was rejected.
    pub request: Option<SendRequest>,
    /// Other sends that asked for the same id, and were rejected.
    pub rejected: Vec<SendRequest>,
}

/// Show a message of a session by its id: its recipient, its queue, and how it stands. An id that a request was answered
/// with is found at once, and one that was rejected after that says why.
#[utoipa::path(get, path = "/v1/sessions/{token}/messages/{message}",
    params(("token" = String, Path), ("message" = String, Path, description = "A messageId.")), tag = "messages",
    responses((status = 200, body = Message),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn show(
    State(app): State<Arc<App>>,
    Path((token, message)): Path<(String, String)>,
) -> Result<Json<Message>, Problem> {
    let token: Token = extract::text("token", &token)?;
    let message: StanzaId = extract::text("messageId", &message)?;
    let known = app.tokens.known(&app.store, &token).await?;
    if let Some(found) = find(&app, (&token, known), &message).await? {
        return Ok(Json(found));
    }
    // Perhaps the token has another session by now.
    let newest = app.tokens.look_up(&app.store, &token).await?.id;
    let found = match newest == known {
        true => None,
        false => find(&app, (&token, newest), &message).await?,
    };
    let found = match found {
        Some(found) => Some(found),
        None => asked::of_message(&app, &token, &message)
            .await?
            .map(|request| requested(&message, request)),
    };
    found.map(Json).ok_or_else(|| no_such_message(&token))
}

/// The answer where a session has no message of an id.
pub fn no_such_message(token: &Token) -> Problem {
    Problem::new(
        Code::MessageNotFound,
        format!("the session {token} has no such message"),
    )
}

/// What is stored of a message, and of those who asked for its id.
async fn find(
    app: &App,
    (token, session): (&Token, SessionId),
    message: &StanzaId,
) -> Result<Option<Message>, Problem> {
    let asked = requests::of_message(&app.store, session, message).await?;
    if let Some((queue, recipient)) = recipients::of_message(&app.store, session, message).await? {
        let mut found = stored(token, message, (queue, recipient));
        for other in asked
            .into_iter()
            .filter(|other| other.rejection.is_some() && other.queue != queue)
        {
            found
                .rejected
                .push(SendRequest::recorded(app, token, other).await?);
        }
        return Ok(Some(found));
    }
    let Some(asked) = newest(asked) else {
        return Ok(None);
    };
    // The same job may have come before, without an id for its message: then that has another one.
    if asked.rejection.is_none()
        && let Some(recipient) = recipients::page(&app.store, asked.queue, None, None, 1)
            .await?
            .pop()
    {
        return Ok(Some(stored(token, message, (asked.queue, recipient))));
    }
    let request = SendRequest::recorded(app, token, asked).await?;
    Ok(Some(requested(message, request)))
}

/// What counts of those who asked for an id: one that may still be sent, else the newest.
fn newest(asked: Vec<RequestRecord>) -> Option<RequestRecord> {
    let open = asked.iter().position(|asked| asked.rejection.is_none());
    asked.into_iter().nth(open.unwrap_or_default())
}

fn stored(token: &Token, message: &StanzaId, (queue, recipient): (QueueId, RecipientRecord)) -> Message {
    Message {
        message_id: message.clone(),
        token: token.clone(),
        state: recipient.state.as_str(),
        queue_id: Some(queue),
        recipient: Some(recipient.into()),
        request: None,
        rejected: Vec::new(),
    }
}

fn requested(message: &StanzaId, request: SendRequest) -> Message {
    Message {
        message_id: message.clone(),
        token: request.token.clone(),
        state: match request.state {
            RequestState::Accepted => "accepted",
            RequestState::Rejected => "rejected",
        },
        queue_id: request.queue_id,
        recipient: None,
        request: Some(request),
        rejected: Vec::new(),
    }
}
