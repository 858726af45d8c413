//! Labels of an account and what has them, as they are kept and read.

use tokio_postgres::Row;

use super::PAGE_MAX;
use super::change::{ID_MAX, NAME_MAX, Peer};
use crate::id::SessionId;
use crate::store::{Store, StoreError};

/// What becomes of the labels of a session.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelChange {
    /// A label was made, or is called or coloured otherwise.
    Edited(Label),
    /// A label was deleted, by its id: what had it has it no more.
    Deleted(String),
    /// Something has a label.
    Given(Labeling),
    /// Something has a label no more.
    Taken(Labeling),
}

/// A label.
#[derive(Clone, Eq, PartialEq)]
pub struct Label {
    /// Its id, as the account's devices count them.
    pub id: String,
    /// What it says.
    pub name: String,
    /// The number of its colour, as WhatsApp counts them.
    pub color: i32,
    /// The number of the label that WhatsApp gives everybody, if it is one of those.
    pub predefined: Option<i32>,
}

impl std::fmt::Debug for Label {
    /// What it says is never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Label({})", self.id)
    }
}

/// A chat or a message, and a label.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Labeling {
    /// The label's id.
    pub label: String,
    /// The chat.
    pub chat: Peer,
    /// The id of the message in it; `None` for the chat.
    pub message: Option<String>,
}

impl LabelChange {
    /// The same as far as the database has room for it; `None` of names that it has not.
    pub fn storable(mut self) -> Option<Self> {
        let fits = |id: &str| (1..=ID_MAX).contains(&id.chars().count()) && !id.contains('\0');
        let is_storable = match &mut self {
            Self::Edited(label) => {
                label.name = label.name.replace('\0', "").chars().take(NAME_MAX).collect();
                fits(&label.id)
            }
            Self::Deleted(id) => fits(id),
            Self::Given(labeling) | Self::Taken(labeling) => {
                fits(&labeling.label)
                    && labeling.chat.is_storable()
                    && labeling.message.as_deref().is_none_or(fits)
            }
        };
        is_storable.then_some(self)
    }
}

/// A label, and how much has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LabelRecord {
    /// The label.
    pub label: Label,
    /// Chats that have it.
    pub chats: u64,
    /// Messages that have it.
    pub messages: u64,
}

/// What has a label.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LabeledRecord {
    /// The chat: the other side, by number where that is known, or the group.
    pub jid: String,
    /// The other side's hidden id, where it is known beside the number.
    pub lid: Option<String>,
    /// The id of the message in it; `None` for the chat.
    pub message: Option<String>,
}

/// The labels of a session by their ids, behind `after`.
pub async fn list(
    store: &Store,
    session: SessionId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<LabelRecord>, StoreError> {
    let sql = "-- labels::list
        SELECT l.id, l.name, l.color, l.predefined_id, g.chats, g.messages
        FROM (SELECT * FROM label
            WHERE session_id = $1 /* session */ AND ($2::text IS NULL OR id > $2 /* after */)
            ORDER BY id LIMIT $3 /* limit */) l
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE message_id = '') AS chats, count(*) FILTER (WHERE message_id <> '') AS messages
            FROM label_given WHERE session_id = l.session_id AND label_id = l.id) g
        ORDER BY l.id";
    let limit = i64::from(limit.min(PAGE_MAX));
    let rows = store.query(sql, &[&session.get(), &after, &limit]).await?;
    rows.iter().map(label).collect()
}

/// Whether the account has this label.
pub async fn exists(store: &Store, session: SessionId, label: &str) -> Result<bool, StoreError> {
    let sql = "-- labels::exists
        SELECT 1 FROM label WHERE session_id = $1 /* session */ AND id = $2 /* label */";
    let row = store.query_opt(sql, &[&session.get(), &label]).await?;
    Ok(row.is_some())
}

/// What has a label, by chat, the chat itself before its messages, behind a chat and a message of it (empty: the chat itself).
pub async fn given(
    store: &Store,
    session: SessionId,
    label: &str,
    after: Option<(&str, &str)>,
    limit: u32,
) -> Result<Vec<LabeledRecord>, StoreError> {
    let sql = "-- labels::given
        SELECT g.jid, k.lid, g.message_id FROM label_given g
        LEFT JOIN contact k ON k.session_id = g.session_id AND k.jid = g.jid
        WHERE g.session_id = $1 /* session */ AND g.label_id = $2 /* label */
          AND ($3::text IS NULL OR (g.jid, g.message_id) > ($3 /* jid */, $4::text /* message */))
        ORDER BY g.jid, g.message_id LIMIT $5 /* limit */";
    let (jid, message) = after.unzip();
    let limit = i64::from(limit.min(PAGE_MAX));
    let rows = store
        .query(sql, &[&session.get(), &label, &jid, &message, &limit])
        .await?;
    let labeled = |row: &Row| {
        let message: String = row.try_get("message_id")?;
        Ok(LabeledRecord {
            jid: row.try_get("jid")?,
            lid: row.try_get("lid")?,
            message: Some(message).filter(|message| !message.is_empty()),
        })
    };
    rows.iter().map(labeled).collect()
}

fn label(row: &Row) -> Result<LabelRecord, StoreError> {
    let (chats, messages): (i64, i64) = (row.try_get("chats")?, row.try_get("messages")?);
    Ok(LabelRecord {
        label: Label {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            color: row.try_get("color")?,
            predefined: row.try_get("predefined_id")?,
        },
        chats: chats.unsigned_abs(),
        messages: messages.unsigned_abs(),
    })
}
