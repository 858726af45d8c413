//! Labels of an account, and what has them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use shared::event::Labeled;
use shared::id::Token;
use shared::store::chats::labels::{self, LabelRecord, LabeledRecord};
use utoipa::ToSchema;

use crate::app::App;
use crate::extract::{self, Query, SessionPath};
use crate::paging::{Page, PageQuery};
use crate::problem::{Code, Problem, ProblemBody};
use crate::schema;

/// A label of the account.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Label {
    /// Its id, as `labels.edit` tells it, and as the action `label` of `POST /v1/sessions/{token}/chats` wants it.
    pub id: String,
    /// What it says.
    pub name: String,
    /// The number of its colour, as WhatsApp counts them.
    pub color: i32,
    /// The number of the label that WhatsApp gives everybody; null if it is none of those.
    pub predefined_id: Option<i32>,
    /// How many chats have it.
    pub chats: u64,
    /// How many messages have it.
    pub messages: u64,
}

/// A chat or a message that has a label.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelAssignment {
    /// What has it: the chat, or a message in it.
    #[serde(rename = "type")]
    #[schema(schema_with = schema::reference::<Labeled>)]
    pub kind: Labeled,
    /// The jid of the chat: the other side, by number where that is known, or the group.
    pub chat: String,
    /// The other side's hidden id, where it is known.
    pub lid: Option<String>,
    /// The id of the message; null of a chat.
    pub message_id: Option<String>,
}

/// List the labels of a session's account by their ids, with how much has them. They are kept as messages are
/// (`STORE_MESSAGES`), from when the session was paired on.
#[utoipa::path(get, path = "/v1/sessions/{token}/labels", params(("token" = String, Path), PageQuery), tag = "chats",
    responses((status = 200, body = Page<Label>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn labels(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Label>>, Problem> {
    let (limit, after) = (page.limit()?, page.after::<Id>()?);
    let after = after.as_ref().map(|Id(id)| id.as_str());
    let session = app.tokens.look_up(&app.store, &token).await?.id;
    let rows = labels::list(&app.store, session, after, u32::from(limit) + 1).await?;
    let place = |row: &LabelRecord| row.label.id.clone();
    Ok(Json(Page::new(rows, limit, place, Label::from)))
}

/// List the chats and messages that have a label, by chat.
#[utoipa::path(get, path = "/v1/sessions/{token}/labels/{label}", params(("token" = String, Path),
    ("label" = String, Path, description = "The id of the label."), PageQuery), tag = "chats",
    responses((status = 200, body = Page<LabelAssignment>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn labeled(
    State(app): State<Arc<App>>,
    Path((token, label)): Path<(String, String)>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<LabelAssignment>>, Problem> {
    let token: Token = extract::text("token", &token)?;
    let (limit, after) = (page.limit()?, page.after::<Place>()?);
    let session = app.tokens.look_up(&app.store, &token).await?.id;
    // The database has no such text.
    let is_known = !label.contains('\0') && labels::exists(&app.store, session, &label).await?;
    if !is_known {
        return Err(no_such_label());
    }
    let after = after.as_ref().map(|place| (&*place.jid, &*place.message));
    let rows = labels::given(&app.store, session, &label, after, u32::from(limit) + 1).await?;
    Ok(Json(Page::new(rows, limit, Place::of, LabelAssignment::from)))
}

/// The answer where there is no such label.
pub fn no_such_label() -> Problem {
    Problem::new(Code::LabelNotFound, "the account has no label of this id")
}

impl From<LabelRecord> for Label {
    fn from(record: LabelRecord) -> Self {
        let LabelRecord {
            label,
            chats,
            messages,
        } = record;
        Self {
            id: label.id,
            name: label.name,
            color: label.color,
            predefined_id: label.predefined,
            chats,
            messages,
        }
    }
}

impl From<LabeledRecord> for LabelAssignment {
    fn from(record: LabeledRecord) -> Self {
        Self {
            kind: match record.message {
                Some(_) => Labeled::Message,
                None => Labeled::Chat,
            },
            lid: match record.jid.ends_with("@lid") {
                true => Some(record.jid.clone()),
                false => record.lid,
            },
            chat: record.jid,
            message_id: record.message,
        }
    }
}

/// A label's id, as a cursor holds it.
struct Id(String);

impl std::str::FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        (!text.contains('\0')).then(|| Self(text.to_owned())).ok_or(())
    }
}

/// The place of a chat or a message in the list, as a cursor holds it.
struct Place {
    jid: String,
    /// Empty of the chat itself.
    message: String,
}

impl Place {
    fn of(row: &LabeledRecord) -> Self {
        Self {
            jid: row.jid.clone(),
            message: row.message.clone().unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\0{}", self.jid, self.message)
    }
}

impl std::str::FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (jid, message) = text.split_once('\0').ok_or(())?;
        (!message.contains('\0'))
            .then(|| Self {
                jid: jid.to_owned(),
                message: message.to_owned(),
            })
            .ok_or(())
    }
}
