//! Messages that are kept: those of a chat, and those that are searched for.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::id::QueueId;
use shared::job::ChatId;
use shared::store::chats::change::Peer;
use shared::store::chats::search::{self, Search};
use shared::store::chats::{self, messages, place};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};

use super::chats::{Place, names, whole_second};
use crate::app::App;
use crate::extract::{self, Query, SessionPath};
use crate::paging::{Page, PageQuery};
use crate::problem::{Problem, ProblemBody};

/// A message of a chat.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptMessage {
    /// Its id.
    pub id: String,
    /// The chat's jid.
    pub chat: String,
    /// Whether the account wrote it.
    pub from_me: bool,
    /// Who wrote it, in a group.
    pub sender: Option<String>,
    /// The name that they went by.
    pub push_name: Option<String>,
    /// When it was sent; of one of ours that is not sent yet, when that was asked for.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: OffsetDateTime,
    /// Its kind, as in `new.message`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its words: a text, a caption, a name.
    pub text: Option<String>,
    /// What it says, as in `new.message`; null if it was deleted for everyone, or is larger than `STORE_MESSAGE_BYTES`.
    pub message: Value,
    /// When its sender changed it last.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub edited_at: Option<OffsetDateTime>,
    /// When it was deleted for everyone.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<OffsetDateTime>,
    /// Who reacted, and how.
    pub reactions: Vec<KeptReaction>,
    /// How it stands, if Fanfare sent it.
    pub state: Option<&'static str>,
    /// Its queue, if Fanfare sent it.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub queue_id: Option<QueueId>,
}

/// A reaction to a message.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptReaction {
    /// Whose; null where it is the account's.
    pub sender: Option<String>,
    /// Whether it is the account's.
    pub from_me: bool,
    /// The emoji.
    pub text: String,
}

/// What to search for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// Words, each of which is in the message or begins a word of it.
    text: Option<String>,
    /// Only those of this chat: a phone number, or a jid.
    chat: Option<String>,
    /// Only those sent at this time or later: ISO 8601 with its offset, or milliseconds since 1970.
    from: Option<String>,
    /// Only those sent before this time.
    to: Option<String>,
}

/// List the messages of a chat, the newest first: what came in, what was written on other devices of the account, and what
/// Fanfare sent there, with its state.
#[utoipa::path(get, path = "/v1/sessions/{token}/chats/{chat}/messages",
    params(("token" = String, Path), ("chat" = String, Path), PageQuery), tag = "chats",
    responses((status = 200, body = Page<KeptMessage>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn of_chat(
    State(app): State<Arc<App>>,
    Path((token, chat)): Path<(String, String)>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<KeptMessage>>, Problem> {
    let (token, chat) = names(&token, &chat)?;
    let (limit, before) = (page.limit()?, page.after::<Place>()?);
    let session = app.tokens.look_up(&app.store, &token).await?.id;
    let names = chats::names(&app.store, session, chat.as_str()).await?;
    let before = before.map(Place::into_pair);
    let most = u32::from(limit) + 1;
    let rows = messages::of_chat(&app.store, session, &names, before.as_ref(), most).await?;
    Ok(Json(Page::new(rows, limit, place, KeptMessage::from)))
}

/// Search messages, the newest first: what came in, what was written on other devices of the account, and what Fanfare sent,
/// which stands where it was asked for. A page may be short, even empty, and have another one behind it.
#[utoipa::path(get, path = "/v1/sessions/{token}/messages", params(("token" = String, Path), SearchQuery, PageQuery),
    tag = "chats", responses((status = 200, body = Page<KeptMessage>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn search(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    Query(wanted): Query<SearchQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<KeptMessage>>, Problem> {
    let (limit, before) = (page.limit()?, page.after::<place::Place>()?);
    let mut search = wanted.read()?;
    search.before = before;
    let session = app.tokens.look_up(&app.store, &token).await?.id;
    if let Some(chat) = &search.chat {
        search.chat = Some(chats::names(&app.store, session, &chat.jid).await?);
    }
    let found = search::search(&app.store, session, &search, u32::from(limit)).await?;
    Ok(Json(Page::with_next(
        found.rows.into_iter().map(KeptMessage::from),
        found.next,
    )))
}

fn place(row: &messages::KeptMessage) -> Place {
    Place::of(row.at, &row.id)
}

impl SearchQuery {
    fn read(self) -> Result<Search, Problem> {
        let chat = self
            .chat
            .as_deref()
            .map(|chat| extract::text::<ChatId>("chat", chat));
        let has_words = |text: &String| text.chars().any(char::is_alphanumeric);
        if self.text.as_ref().is_some_and(|text| !has_words(text)) {
            return Err(Problem::field("text", "must have letters or digits"));
        }
        Ok(Search {
            text: self.text,
            chat: chat.transpose()?.map(|chat| Peer {
                jid: chat.as_str().to_owned(),
                lid: None,
            }),
            from: self.from.map(|from| moment("from", &from)).transpose()?,
            to: self.to.map(|to| moment("to", &to)).transpose()?,
            before: None,
        })
    }
}

/// A time, as callers write it.
fn moment(field: &str, text: &str) -> Result<OffsetDateTime, Problem> {
    let millis: Option<i128> = text.parse().ok();
    let time = match millis {
        Some(millis) => millis
            .checked_mul(1_000_000)
            .and_then(|nanos| OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()),
        None => OffsetDateTime::parse(text, &Rfc3339).ok(),
    };
    time.filter(|time| (1..=9_999).contains(&time.year()))
        .ok_or_else(|| {
            let must =
                "must be a time with its offset, such as 2026-12-24T09:00:00Z, or milliseconds since 1970";
            Problem::field(field, must)
        })
}

impl From<messages::KeptMessage> for KeptMessage {
    fn from(kept: messages::KeptMessage) -> Self {
        let (queue_id, state) = kept.sent.unzip();
        // The other side of a chat between two is named by the chat.
        let chat = kept.chat.clone();
        let reactions = kept.reactions.into_iter().map(|reaction| KeptReaction {
            sender: match (reaction.from_me, reaction.sender.is_empty()) {
                (true, _) => None,
                (false, true) => Some(chat.clone()),
                (false, false) => Some(reaction.sender),
            },
            from_me: reaction.from_me,
            text: reaction.text,
        });
        Self {
            reactions: reactions.collect(),
            id: kept.id,
            chat: kept.chat,
            from_me: kept.from_me,
            sender: Some(kept.sender).filter(|sender| !sender.is_empty()),
            push_name: kept.push_name,
            timestamp: match state {
                Some(_) => kept.at,
                None => whole_second(kept.at),
            },
            kind: kept.kind,
            text: kept.words,
            message: kept
                .body
                .and_then(|body| serde_json::from_str(&body).ok())
                .unwrap_or_default(),
            edited_at: kept.edited_at,
            deleted_at: kept.deleted_at,
            state: state.map(|state| state.as_str()),
            queue_id,
        }
    }
}
