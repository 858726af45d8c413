//! Chats: a list of them, one of them, and that one be forgotten.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::id::Token;
use shared::job::{Answer, ChatActionJob, ChatId, ChatJob, Forgotten, HistoryAsked, HistoryJob, Job};
use shared::store::chats::listing::{self, Listing, Which};
use shared::store::chats::place;
use shared::store::chats::state::Muted;
use shared::store::chats::{ChatRecord, Last};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::control;
use crate::app::App;
use crate::extract::{self, JsonBytes, Query, SessionPath};
use crate::jobs;
use crate::paging::{Page, PageQuery};
use crate::problem::{Code, Problem, ProblemBody};

/// A chat.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// Its jid: the other side, by number where that is known, or the group.
    pub id: String,
    /// What it is called, or the name that the other side goes by.
    pub name: Option<String>,
    /// The other side's phone number, digits only; null where it is not known, and of a group.
    pub number: Option<String>,
    /// The other side's hidden id, where it is known.
    pub lid: Option<String>,
    /// Whether it is a group.
    pub is_group: bool,
    /// Messages that came in since the account last wrote or read there, on any of its devices or by Fanfare.
    pub unread: u32,
    /// When its newest message was sent, but for those that Fanfare sent. Of a chat that only Fanfare wrote to: when the newest of
    /// them was asked for. The list is in this order.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: OffsetDateTime,
    /// Its newest message, whoever sent it.
    pub last_message: LastMessage,
    /// Whether it is in the archive.
    pub archived: bool,
    /// When it was pinned above the others; null where it is not.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub pinned_at: Option<OffsetDateTime>,
    /// Whether it makes no sound.
    pub muted: bool,
    /// Until when it makes none; null where it makes one, or none for good.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub muted_until: Option<OffsetDateTime>,
    /// Whether it was marked as unread on a device of the account, to look at it again.
    pub marked_unread: bool,
    /// The ids of the labels that it has.
    pub labels: Vec<String>,
}

/// The newest message of a chat, in short.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastMessage {
    /// Its id.
    pub id: String,
    /// Whether the account wrote it.
    pub from_me: bool,
    /// Who wrote it, in a group.
    pub sender: Option<String>,
    /// Its kind, as in `new.message`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The first 200 characters of its words.
    pub text: Option<String>,
    /// When it was sent.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: OffsetDateTime,
    /// How it stands, if Fanfare sent it.
    pub state: Option<&'static str>,
}

/// Which chats to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChatQuery {
    /// Only those whose name or number has these letters in it.
    text: Option<String>,
    /// `received`: only those in which something came in. Without it a broadcast lists each of its recipients.
    only: Option<String>,
}

/// List the chats of a session, the newest first: those in which something came in, and those that only Fanfare wrote to. A page
/// may be short, even empty, and have another one behind it.
#[utoipa::path(get, path = "/v1/sessions/{token}/chats", params(("token" = String, Path), PageQuery, ChatQuery), tag = "chats",
    responses((status = 200, body = Page<Chat>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    Query(page): Query<PageQuery>,
    Query(only): Query<ChatQuery>,
) -> Result<Json<Page<Chat>>, Problem> {
    let before = page.after::<place::Place>()?;
    let listing = Listing {
        which: only.which()?,
        letters: only.letters()?,
        before: before.as_ref(),
        limit: u32::from(page.limit()?),
    };
    let session = app.tokens.look_up(&app.store, &token).await?.id;
    let found = listing::list(&app.store, session, listing).await?;
    Ok(Json(Page::with_next(
        found.rows.into_iter().map(Chat::from),
        found.next,
    )))
}

/// Show a chat, by any of its names.
#[utoipa::path(get, path = "/v1/sessions/{token}/chats/{chat}", params(("token" = String, Path), ("chat" = String, Path)),
    tag = "chats", responses((status = 200, body = Chat),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn show(
    State(app): State<Arc<App>>,
    Path((token, chat)): Path<(String, String)>,
) -> Result<Json<Chat>, Problem> {
    let (token, chat) = names(&token, &chat)?;
    let session = app.tokens.look_up(&app.store, &token).await?.id;
    let found = listing::find(&app.store, session, chat.as_str()).await?;
    found.map(|record| Json(record.into())).ok_or_else(no_such_chat)
}

/// Do something to a chat, a message, a contact or a label on all devices of the account: `action` says what, and the other fields
/// are those that it needs. Answers when WhatsApp has taken it; what came of it is told by events, as where another device does it.
#[utoipa::path(post, path = "/v1/sessions/{token}/chats", params(("token" = String, Path)), tag = "chats",
    request_body = ref("#/components/schemas/ChatActionJob"), responses((status = 204),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn act(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    JsonBytes(body): JsonBytes,
) -> Result<StatusCode, Problem> {
    let job = Job::Chat(Box::new(ChatActionJob::parse(&body)?));
    match control::ask(&app, &token, &job).await? {
        Answer::Done { .. } => Ok(StatusCode::NO_CONTENT),
        other => Err(jobs::unexpected(&other)),
    }
}

/// Forget a chat: its messages that came in, or were written on other devices, and that it is listed, until something comes in or
/// is sent there again. What WhatsApp and the phones have of it stays, and what Fanfare sent there is kept with its queues.
/// Done again, it changes nothing.
#[utoipa::path(delete, path = "/v1/sessions/{token}/chats/{chat}", params(("token" = String, Path), ("chat" = String, Path)),
    tag = "chats", responses((status = 200, body = ref("#/components/schemas/Forgotten")),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn forget(
    State(app): State<Arc<App>>,
    Path((token, chat)): Path<(String, String)>,
) -> Result<Json<Forgotten>, Problem> {
    let (token, chat) = names(&token, &chat)?;
    forgotten(&app, &token, Job::ForgetChat(ChatJob { chat })).await
}

/// Ask the account's phone for older messages of a chat. They are kept, and told as `messages.set`, some time later:
/// `history.progress` with the id of the request comes behind the last. A phone that is away answers when it is back, or never.
#[utoipa::path(post, path = "/v1/sessions/{token}/chats/{chat}/history", params(("token" = String, Path), ("chat" = String, Path)),
    tag = "chats", request_body = ref("#/components/schemas/HistoryBody"),
    responses((status = 202, body = ref("#/components/schemas/HistoryAsked")),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn history(
    State(app): State<Arc<App>>,
    Path((token, chat)): Path<(String, String)>,
    JsonBytes(body): JsonBytes,
) -> Result<(StatusCode, Json<HistoryAsked>), Problem> {
    let (token, chat) = names(&token, &chat)?;
    let job = Job::History(HistoryJob::of_chat(chat, &body)?);
    match control::ask(&app, &token, &job).await? {
        Answer::History(asked) => Ok((StatusCode::ACCEPTED, Json(asked))),
        other => Err(jobs::unexpected(&other)),
    }
}

/// Asks the session's worker to forget.
pub(super) async fn forgotten(app: &App, token: &Token, job: Job) -> Result<Json<Forgotten>, Problem> {
    match control::ask(app, token, &job).await? {
        Answer::Forgotten(forgotten) => Ok(Json(forgotten)),
        other => Err(jobs::unexpected(&other)),
    }
}

/// The session and the chat that a path names.
pub(super) fn names(token: &str, chat: &str) -> Result<(Token, ChatId), Problem> {
    Ok((extract::text("token", token)?, extract::text("chat", chat)?))
}

/// The answer where a chat is not kept.
pub fn no_such_chat() -> Problem {
    Problem::new(
        Code::ChatNotFound,
        "nothing came in by this chat, and nothing was sent there",
    )
}

impl ChatQuery {
    fn which(&self) -> Result<Which, Problem> {
        match self.only.as_deref() {
            None => Ok(Which::All),
            Some("received") => Ok(Which::Received),
            Some(_) => Err(Problem::field("only", "must be received, or absent for all")),
        }
    }

    fn letters(&self) -> Result<Option<&str>, Problem> {
        match self.text.as_deref() {
            Some(text) if text.trim().is_empty() || text.contains('\0') => {
                Err(Problem::field("text", "must have letters or digits"))
            }
            text => Ok(text),
        }
    }
}

impl From<ChatRecord> for Chat {
    fn from(record: ChatRecord) -> Self {
        Self {
            number: record.jid.strip_suffix("@s.whatsapp.net").map(str::to_owned),
            lid: match record.jid.ends_with("@lid") {
                true => Some(record.jid.clone()),
                false => record.lid,
            },
            is_group: record.jid.ends_with("@g.us"),
            id: record.jid,
            name: record.name,
            unread: record.unread,
            timestamp: whole_second(record.last_at),
            last_message: record.last.into(),
            archived: record.archived,
            pinned_at: record.pinned_at,
            muted: record.muted != Muted::No,
            muted_until: match record.muted {
                Muted::Until(at) => Some(at),
                Muted::No | Muted::Always => None,
            },
            marked_unread: record.marked_unread,
            labels: record.labels,
        }
    }
}

impl From<Last> for LastMessage {
    fn from(last: Last) -> Self {
        Self {
            id: last.id,
            from_me: last.from_me,
            sender: Some(last.sender).filter(|sender| !sender.is_empty()),
            kind: last.kind,
            text: last.text,
            timestamp: match last.state {
                Some(_) => last.at,
                None => whole_second(last.at),
            },
            state: last.state.map(|state| state.as_str()),
        }
    }
}

/// A time as WhatsApp tells it: what is kept beside that is only for the order within the second.
pub(super) fn whole_second(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).unwrap_or(time)
}

/// A row's place in a list that is in the order of times, as a cursor holds it.
pub(super) struct Place {
    nanos: i128,
    name: String,
}

impl Place {
    pub(super) fn of(time: OffsetDateTime, name: &str) -> Self {
        Self {
            nanos: time.unix_timestamp_nanos(),
            name: name.to_owned(),
        }
    }

    /// The time and the name.
    pub(super) fn into_pair(self) -> (OffsetDateTime, String) {
        let time = OffsetDateTime::from_unix_timestamp_nanos(self.nanos);
        (time.unwrap_or(OffsetDateTime::UNIX_EPOCH), self.name)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.nanos, self.name)
    }
}

impl std::str::FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (nanos, name) = text.split_once('/').ok_or(())?;
        let nanos = nanos.parse().map_err(|_| ())?;
        // Beyond what the database has for a time.
        let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| ())?;
        let is_storable = (1..=9_999).contains(&time.year()) && !name.contains('\0');
        is_storable
            .then(|| Self {
                nanos,
                name: name.to_owned(),
            })
            .ok_or(())
    }
}
