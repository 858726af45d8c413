//! Chats and contacts, as they are read.

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::change;
use super::state::Muted;
use crate::store::StoreError;
use crate::store::recipients::{RecipientState, told};

/// A chat as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRecord {
    /// The other side, by number where that is known, or the group.
    pub jid: String,
    /// The other side's hidden id, where it is known beside the number.
    pub lid: Option<String>,
    /// What it is called, or the name that the other side goes by.
    pub name: Option<String>,
    /// How many messages came in since the account last wrote there, through Fanfare or another device, or read there.
    pub unread: u32,
    /// When its newest message was sent, but for those that Fanfare sent. Of a chat that only Fanfare wrote to: when the
    /// newest was asked for.
    pub last_at: OffsetDateTime,
    /// Its newest message, whoever sent it.
    pub last: Last,
    /// Whether it is in the archive.
    pub archived: bool,
    /// When it was pinned above the others, if it is.
    pub pinned_at: Option<OffsetDateTime>,
    /// How long it makes no sound.
    pub muted: Muted,
    /// Whether somebody marked it as unread, to look at it again.
    pub marked_unread: bool,
    /// The ids of the labels that it has.
    pub labels: Vec<String>,
}

/// The newest message of a chat, in short.
#[derive(Clone, PartialEq)]
pub struct Last {
    /// Its id.
    pub id: String,
    /// Whether the account wrote it.
    pub from_me: bool,
    /// Who wrote it, in a group; empty elsewhere.
    pub sender: String,
    /// Its kind, as events tell it.
    pub kind: String,
    /// The first of its words.
    pub text: Option<String>,
    /// When it was sent.
    pub at: OffsetDateTime,
    /// How it stands, if Fanfare sent it.
    pub state: Option<RecipientState>,
}

impl std::fmt::Debug for Last {
    /// What was said is never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Last({})", self.kind)
    }
}

/// Somebody who wrote.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContactRecord {
    /// By number where that is known.
    pub jid: String,
    /// The hidden id, where it is known beside the number.
    pub lid: Option<String>,
    /// The name that they go by.
    pub name: Option<String>,
    /// The name of their business.
    pub business: Option<String>,
    /// What they say about themselves, as far as WhatsApp told it.
    pub about: Option<String>,
    /// The id of their picture, if WhatsApp told one; empty if they removed it.
    pub picture: Option<String>,
}

/// Those of a page, and where the next one begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T, P> {
    /// The rows, newest first.
    pub rows: Vec<T>,
    /// The place behind which there may be more.
    pub next: Option<P>,
}

/// A chat in which something came in, with what Fanfare sent there since.
pub(super) fn chat(row: &Row) -> Result<ChatRecord, StoreError> {
    let (unread, fresh): (i32, Option<i32>) = (row.try_get("unread")?, row.try_get("fresh")?);
    let last_at = row.try_get("last_at")?;
    let ours: Option<String> = row.try_get("stanza_id")?;
    let answered = ours.is_some();
    let last = match ours {
        Some(id) => sent(row, id)?,
        None => Last {
            id: row.try_get("last_id")?,
            from_me: row.try_get("last_from_me")?,
            sender: row.try_get("last_sender")?,
            kind: row.try_get("last_kind")?,
            text: row.try_get("last_text")?,
            at: last_at,
            state: None,
        },
    };
    Ok(ChatRecord {
        jid: row.try_get("jid")?,
        lid: row.try_get("lid")?,
        name: row.try_get("name")?,
        // Whoever answers has read.
        unread: if answered {
            0
        } else {
            fresh.unwrap_or(unread).unsigned_abs()
        },
        last_at,
        last,
        archived: row.try_get("archived")?,
        pinned_at: row.try_get("pinned_at")?,
        muted: muted(row)?,
        marked_unread: row.try_get("marked_unread")?,
        labels: row.try_get("labels")?,
    })
}

/// A chat that only Fanfare wrote to.
pub(super) fn sent_chat(row: &Row) -> Result<ChatRecord, StoreError> {
    Ok(ChatRecord {
        jid: row.try_get("jid")?,
        lid: row.try_get("lid")?,
        name: row.try_get("name")?,
        unread: 0,
        last_at: row.try_get("created_at")?,
        last: sent(row, row.try_get("stanza_id")?)?,
        archived: row.try_get("archived")?,
        pinned_at: row.try_get("pinned_at")?,
        muted: muted(row)?,
        marked_unread: row.try_get("marked_unread")?,
        labels: row.try_get("labels")?,
    })
}

fn muted(row: &Row) -> Result<Muted, StoreError> {
    let until: Option<OffsetDateTime> = row.try_get("muted_until")?;
    Ok(match (row.try_get("muted")?, until) {
        (false, _) => Muted::No,
        (true, Some(at)) => Muted::Until(at),
        (true, None) => Muted::Always,
    })
}

fn sent(row: &Row, id: String) -> Result<Last, StoreError> {
    let content = told(row)?;
    let state = RecipientState::from_code(row.try_get("state")?);
    let said = change::words(&content.message()).map(|text| text.chars().take(change::SHORT_MAX).collect());
    Ok(Last {
        id,
        from_me: true,
        sender: String::new(),
        kind: content.message_type().to_owned(),
        text: said,
        at: row.try_get("sent_at")?,
        state: Some(state.ok_or(StoreError::Corrupt("recipient state out of range"))?),
    })
}
