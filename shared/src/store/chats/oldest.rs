//! The oldest message that is kept of a chat: what lies before it, only the account's phone knows.

use time::OffsetDateTime;

use super::names;
use crate::id::SessionId;
use crate::store::{Store, StoreError};

/// The oldest message of a chat that came in, or was written on another device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Oldest {
    /// The chat, by number where that is known, or the group.
    pub chat: String,
    /// Its id.
    pub id: String,
    /// Whether the account wrote it.
    pub from_me: bool,
    /// When it was sent.
    pub at: OffsetDateTime,
}

/// Finds it, by any name of the chat; `None` where nothing is kept.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn of_chat(store: &Store, session: SessionId, jid: &str) -> Result<Option<Oldest>, StoreError> {
    let chat = names(store, session, jid).await?.jid;
    let sql = "-- oldest::of_chat
        SELECT id, from_me, at FROM message
        WHERE session_id = $1 /* session */ AND chat = $2 /* chat */ AND target IS NULL
        ORDER BY at, id LIMIT 1";
    let row = store.query_opt(sql, &[&session.get(), &chat]).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Oldest {
        chat,
        id: row.try_get("id")?,
        from_me: row.try_get("from_me")?,
        at: row.try_get("at")?,
    }))
}
