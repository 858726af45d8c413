//! Chats, who wrote in them, and messages: read here, written by the owner of their session through [`super::commit`].
//!
//! What came in, and what was written on other devices of the account, is kept in rows of its own. What Fanfare sent is
//! not written again: it is read from the recipients of queues, by whom it went to.

pub mod change;
pub mod deletion;
pub mod messages;
pub mod retention;

use time::OffsetDateTime;
use tokio_postgres::Row;

use self::change::Peer;
use super::recipients::{RecipientState, told};
use super::{Store, StoreError};
use crate::id::SessionId;

/// Most rows that one page holds.
pub const PAGE_MAX: u32 = 1_000;

/// A chat as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRecord {
    /// The other side, by number where that is known, or the group.
    pub jid: String,
    /// The other side's hidden id, where it is known beside the number.
    pub lid: Option<String>,
    /// What it is called, or the name that the other side goes by.
    pub name: Option<String>,
    /// How many messages came in since the account last wrote or read there.
    pub unread: u32,
    /// When its newest message was sent, but for those that Fanfare sent.
    pub last_at: OffsetDateTime,
    /// Its newest message, whoever sent it.
    pub last: Last,
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
}

/// A chat's place in the list: when its newest message was sent, and its jid.
pub type Place = (OffsetDateTime, String);

/// The names under which a chat's recipients are stored: a number without its server, all else as it is.
const RECIPIENTS: &str =
    "ARRAY[CASE WHEN c.jid LIKE '%@s.whatsapp.net' THEN split_part(c.jid, '@', 1) ELSE c.jid END,
    coalesce(c.lid, c.jid)]";

/// The chats of a session, newest first, behind `before`; only those whose number or name has these letters in it, if any.
pub async fn list(
    store: &Store,
    session: SessionId,
    before: Option<&Place>,
    letters: Option<&str>,
    limit: u32,
) -> Result<Vec<ChatRecord>, StoreError> {
    let sql = read(
        "chats::list",
        "($2::timestamptz IS NULL OR (c.last_at, c.jid) < ($2 /* time */, $3::text /* jid */))
          AND ($4::text IS NULL OR strpos(lower(coalesce(c.name, k.name, '')), lower($4 /* letters */)) > 0
               OR strpos(c.jid, $4) > 0)",
        "ORDER BY c.last_at DESC, c.jid DESC LIMIT $5 /* limit */",
    );
    let (time, jid) = before.map(|(time, jid)| (*time, jid.as_str())).unzip();
    let limit = i64::from(limit.min(PAGE_MAX));
    let rows = store
        .query(&sql, &[&session.get(), &time, &jid, &letters, &limit])
        .await?;
    rows.iter().map(chat).collect()
}

/// The chat with somebody or of a group, by any of its names.
pub async fn find(store: &Store, session: SessionId, jid: &str) -> Result<Option<ChatRecord>, StoreError> {
    let sql = read(
        "chats::find",
        "(c.jid = $2 /* jid */ OR c.lid = $2)",
        "ORDER BY c.jid = $2 DESC LIMIT 1",
    );
    let row = store.query_opt(&sql, &[&session.get(), &jid]).await?;
    row.as_ref().map(chat).transpose()
}

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

/// Those who wrote to a session, by their jids, behind `after`.
pub async fn contacts(
    store: &Store,
    session: SessionId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<ContactRecord>, StoreError> {
    let sql = "-- chats::contacts
        SELECT jid, lid, name FROM contact WHERE session_id = $1 /* session */ AND ($2::text IS NULL OR jid > $2 /* after */)
        ORDER BY jid LIMIT $3 /* limit */";
    let limit = i64::from(limit.min(PAGE_MAX));
    let rows = store.query(sql, &[&session.get(), &after, &limit]).await?;
    let contact = |row: &Row| {
        Ok(ContactRecord {
            jid: row.try_get("jid")?,
            lid: row.try_get("lid")?,
            name: row.try_get("name")?,
        })
    };
    rows.iter().map(contact).collect()
}

/// Reads chats, each with the newest message that Fanfare sent there: `chat c` with its contact `k`.
///
/// WhatsApp tells times in whole seconds: of two within one second what came in is the last, so that it is not overlooked.
fn read(name: &str, condition: &str, order: &str) -> String {
    format!(
        "-- {name}
        SELECT c.*, o.* FROM (
            SELECT c.session_id, c.jid, c.lid, coalesce(c.name, k.name) AS name, c.unread, c.last_at, c.last_id,
                c.last_from_me, c.last_sender, c.last_kind, c.last_text
            FROM chat c LEFT JOIN contact k ON k.session_id = c.session_id AND k.jid = c.jid
            WHERE c.session_id = $1 /* session */ AND {condition}
            {order}) c
        LEFT JOIN LATERAL (
            SELECT r.stanza_id, r.state, r.sent_at, r.variables, q.content FROM recipient r JOIN queue q ON q.id = r.queue_id
            WHERE r.session_id = c.session_id AND coalesce(r.addressee, r.number) = ANY ({RECIPIENTS})
              AND r.stanza_id IS NOT NULL AND date_trunc('second', r.sent_at) > c.last_at
            ORDER BY r.sent_at DESC LIMIT 1) o ON true
        ORDER BY c.last_at DESC, c.jid DESC"
    )
}

fn chat(row: &Row) -> Result<ChatRecord, StoreError> {
    let unread: i32 = row.try_get("unread")?;
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
        unread: if answered { 0 } else { unread.unsigned_abs() },
        last_at,
        last,
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
