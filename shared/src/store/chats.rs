//! Chats, who wrote in them, and messages: read here, written by the owner of their session through [`super::commit`].
//!
//! What came in, and what was written on other devices of the account, is kept in rows of its own. What Fanfare sent is
//! not written again: it is read from the recipients of queues, by whom it went to and in the order of the queues.

pub mod change;
pub mod deletion;
pub mod labels;
pub mod listing;
pub mod messages;
pub mod oldest;
pub mod past;
pub mod people;
pub mod place;
pub mod polls;
mod record;
pub mod retention;
pub mod search;
pub mod state;

use tokio_postgres::Row;

use self::change::Peer;
pub use self::record::{ChatRecord, ContactRecord, Found, Last};
use super::{Store, StoreError};
use crate::id::SessionId;

/// Most rows that one page holds.
pub const PAGE_MAX: u32 = 1_000;

/// The names of a chat that is known by one of them: its own, and the hidden id. One that is not known has the one.
pub async fn names(store: &Store, session: SessionId, jid: &str) -> Result<Peer, StoreError> {
    let sql = "-- chats::names
        SELECT jid, lid FROM chat WHERE session_id = $1 /* session */ AND (jid = $2 /* jid */ OR lid = $2)
        UNION ALL
        SELECT jid, lid FROM contact WHERE session_id = $1 AND (jid = $2 OR lid = $2)";
    let rows = store.query(sql, &[&session.get(), &jid]).await?;
    let mut names = Peer {
        jid: jid.to_owned(),
        lid: None,
    };
    for row in &rows {
        let (jid, lid): (String, Option<String>) = (row.try_get("jid")?, row.try_get("lid")?);
        if lid.is_some() {
            return Ok(Peer { jid, lid });
        }
        names.jid = jid;
    }
    Ok(names)
}

/// Those who wrote to a session or are in its address book, by their jids, behind `after`.
pub async fn contacts(
    store: &Store,
    session: SessionId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<ContactRecord>, StoreError> {
    let sql = "-- chats::contacts
        SELECT jid, lid, coalesce(saved_name, name) AS name, business, about, picture FROM contact WHERE session_id = $1 /* session */ AND ($2::text IS NULL OR jid > $2 /* after */)
        ORDER BY jid LIMIT $3 /* limit */";
    let limit = i64::from(limit.min(PAGE_MAX));
    let rows = store.query(sql, &[&session.get(), &after, &limit]).await?;
    let contact = |row: &Row| {
        Ok(ContactRecord {
            jid: row.try_get("jid")?,
            lid: row.try_get("lid")?,
            name: row.try_get("name")?,
            business: row.try_get("business")?,
            about: row.try_get("about")?,
            picture: row.try_get("picture")?,
        })
    };
    rows.iter().map(contact).collect()
}
