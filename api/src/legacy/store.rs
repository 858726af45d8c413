//! What is kept of chats, contacts and messages, in the shapes of the document: no envelope, newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use shared::id::{SessionId, Token};
use shared::job::ChatId;
use shared::store::chats::change::Peer;
use shared::store::chats::messages::{self, KeptMessage};
use shared::store::chats::{self, ChatRecord, listing};
use shared::store::recipients::RecipientState;

use super::dialect::ErrorBody;
use crate::app::App;
use crate::extract::{self, JsonBytes};
use crate::problem::Problem;

/// A question about what is kept.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StoreBody {
    /// The session.
    pub token: Token,
    /// What of it.
    #[serde(rename = "type")]
    pub kind: StoreKind,
    /// Of `messages`: only those of this chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jid: Option<ChatId>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// The newest 1000 chats.
    Chats,
    /// The first 10000 contacts, and the groups among the newest 1000 chats.
    Contacts,
    /// The newest 500 messages of a chat; without one, the newest 50 of each of the newest 20 chats.
    Messages,
}

/// Chats that are told at once.
const CHATS_MAX: u32 = 1_000;
/// Contacts that are told at once, and how many are read at a time.
const CONTACTS_MAX: usize = 10_000;
/// Messages of one chat that are told at once.
const MESSAGES_MAX: u32 = 500;
/// Chats of which messages are told where none is named, and how many of each.
const SEVERAL_CHATS: u32 = 20;
const OF_SEVERAL: u32 = 50;

/// Tell what is kept of chats, contacts or messages. `/v1/sessions/{token}/chats` and what is below it tell more, in pages.
#[utoipa::path(post, path = "/api/whatsapp/store/chats", tag = "legacy", security(("basic" = [])),
    request_body = ref("#/components/schemas/StoreBody"), responses((status = 200, body = Value),
    (status = "default", body = ErrorBody)))]
pub async fn chats(State(app): State<Arc<App>>, JsonBytes(body): JsonBytes) -> Result<Json<Value>, Problem> {
    let StoreBody { token, kind, jid } = extract::fields(&body)?;
    let session = app.tokens.look_up(&app.store, &token).await?.id;
    Ok(Json(match (kind, jid) {
        (StoreKind::Chats, _) => {
            let rows = listing::newest(&app.store, session, CHATS_MAX).await?;
            rows.iter().map(shown).collect()
        }
        (StoreKind::Contacts, _) => contacts(&app, session).await?,
        (StoreKind::Messages, Some(jid)) => {
            let names = chats::names(&app.store, session, jid.as_str()).await?;
            of_chat(&app, session, &names, MESSAGES_MAX).await?
        }
        (StoreKind::Messages, None) => of_several(&app, session).await?,
    }))
}

fn shown(chat: &ChatRecord) -> Value {
    json!({
        "id": chat.jid,
        "conversationTimestamp": chat.last.at.unix_timestamp(),
        "unreadCount": chat.unread,
    })
}

async fn contacts(app: &App, session: SessionId) -> Result<Value, Problem> {
    let mut told = Map::new();
    let mut add = |jid: String, name: Option<String>| {
        let mut contact = json!({ "id": jid });
        if let Some(name) = name {
            contact["name"] = name.into();
        }
        told.insert(jid, contact);
    };
    let groups = listing::newest(&app.store, session, CHATS_MAX).await?;
    for group in groups.into_iter().filter(|chat| chat.jid.ends_with("@g.us")) {
        add(group.jid, group.name);
    }
    let (mut after, mut count) = (None, 0);
    while count < CONTACTS_MAX {
        let page = chats::contacts(&app.store, session, after.as_deref(), chats::PAGE_MAX).await?;
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.jid.clone());
        count += page.len();
        page.into_iter()
            .for_each(|contact| add(contact.jid, contact.name));
    }
    Ok(told.into())
}

async fn of_several(app: &App, session: SessionId) -> Result<Value, Problem> {
    let mut told = Map::new();
    for chat in listing::newest(&app.store, session, SEVERAL_CHATS).await? {
        let names = Peer {
            jid: chat.jid,
            lid: chat.lid,
        };
        let messages = of_chat(app, session, &names, OF_SEVERAL).await?;
        told.insert(names.jid, messages);
    }
    Ok(told.into())
}

async fn of_chat(app: &App, session: SessionId, names: &Peer, most: u32) -> Result<Value, Problem> {
    let kept = messages::of_chat(&app.store, session, names, None, most).await?;
    Ok(kept.into_iter().map(message).collect())
}

/// A message as the document shows it.
fn message(kept: KeptMessage) -> Value {
    let mut key = json!({ "remoteJid": kept.chat, "fromMe": kept.from_me, "id": kept.id });
    if !kept.sender.is_empty() {
        key["participant"] = kept.sender.into();
    }
    let body = kept
        .body
        .and_then(|body| serde_json::from_str::<Value>(&body).ok());
    let said = body.map(|body| json!({ kept.kind: body }));
    let mut told = json!({
        "key": key,
        "message": said,
        "messageTimestamp": kept.at.unix_timestamp().to_string(),
    });
    if let Some(name) = kept.push_name {
        told["pushName"] = name.into();
    }
    if let Some((_, state)) = kept.sent {
        told["status"] = status(state).into();
    }
    told
}

/// The protocol's word for how a message of ours stands.
fn status(state: RecipientState) -> &'static str {
    match state {
        RecipientState::Queued | RecipientState::Sending => "PENDING",
        RecipientState::Sent => "SERVER_ACK",
        RecipientState::Delivered => "DELIVERY_ACK",
        RecipientState::Read => "READ",
        RecipientState::Failed
        | RecipientState::Skipped
        | RecipientState::Unknown
        | RecipientState::Duplicate => "ERROR",
    }
}
