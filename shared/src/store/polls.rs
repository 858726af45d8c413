//! Polls that came in, as far as it takes to vote in them, and the votes that are sent. Polls are written with the event of
//! their message ([`commit`](super::commit)); a vote before it is sent, and read by who sends it, also again.

use bytes::Bytes;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::leases::{self, Fence};
use super::{Store, StoreError};
use crate::content::Vote;
use crate::id::{QueueId, SessionId, StanzaId};
use crate::recipient::Number;

/// A poll that came in.
#[derive(Clone, Eq, PartialEq)]
pub struct ReceivedPoll {
    /// The message.
    pub message: StanzaId,
    /// The chat, as the message named it.
    pub chat: String,
    /// Who made it, as the message named them.
    pub creator: String,
    /// What the keys of its votes are made of.
    pub secret: [u8; 32],
    /// The texts of its options.
    pub options: Vec<String>,
    /// How many of them one may choose; 0 is any number.
    pub selectable: u32,
    /// When it came.
    pub received_at: OffsetDateTime,
    /// When it is forgotten.
    pub expires_at: OffsetDateTime,
}

impl std::fmt::Debug for ReceivedPoll {
    /// Secrets, names and words are never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReceivedPoll({})", self.message)
    }
}

/// A vote as it is sent.
#[derive(Clone, Eq, PartialEq)]
pub struct SealedVote {
    /// The vector that it is sealed with.
    pub iv: [u8; 12],
    /// What is chosen, sealed.
    pub payload: Bytes,
}

impl std::fmt::Debug for SealedVote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedVote")
    }
}

/// The poll that the vote of a queue is in. Where several chats have a poll of this id, that of the vote's chat counts, and then
/// the one that came first.
pub async fn find(
    store: &Store,
    session: SessionId,
    queue: QueueId,
    vote: &Vote,
) -> Result<Option<ReceivedPoll>, StoreError> {
    let sql = "-- polls::find
        SELECT p.message_id, p.chat, p.creator, p.secret, p.options, p.selectable, p.received_at, p.expires_at
        FROM received_poll p
        WHERE p.session_id = $1 /* session */ AND p.message_id = $2 /* message */ AND p.expires_at > now()
        ORDER BY p.chat = coalesce($3 /* chat */, (
            SELECT CASE WHEN strpos(r.number, '@') = 0 THEN r.number || '@s.whatsapp.net' ELSE r.number END
            FROM recipient r WHERE r.queue_id = $4 /* queue */ AND r.seq = 0)) DESC NULLS LAST, p.received_at, p.chat
        LIMIT 1";
    let chat = vote.key.remote_jid.as_ref().map(Number::jid);
    let row = store
        .query_opt(
            sql,
            &[&session.get(), &vote.key.id.as_str(), &chat, &queue.as_uuid()],
        )
        .await?;
    row.as_ref().map(record).transpose()
}

/// Forgets what has expired, a piece at a time; returns how much.
pub async fn purge(store: &Store) -> Result<u64, StoreError> {
    let sql = "-- polls::purge
        DELETE FROM received_poll WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM received_poll WHERE expires_at <= now() LIMIT $1 /* limit */))";
    store.execute(sql, &[&i64::from(PURGE_MAX)]).await
}

/// The vote of a queue, if it is sealed already.
pub async fn find_vote(store: &Store, queue: QueueId) -> Result<Option<SealedVote>, StoreError> {
    let sql = "-- polls::find_vote
        SELECT v.iv AS vote_iv, v.payload AS vote FROM queue_vote v WHERE v.queue_id = $1 /* queue */";
    let row = store.query_opt(sql, &[&queue.as_uuid()]).await?;
    Ok(row.as_ref().map(vote).transpose()?.flatten())
}

/// Notes the vote of a queue; of a queue that is gone there is nothing to note.
///
/// # Errors
/// [`StoreError::Fenced`] if the shard is another's.
pub async fn save_vote(
    store: &Store,
    fence: Fence,
    queue: QueueId,
    vote: &SealedVote,
) -> Result<(), StoreError> {
    let sql = "-- polls::save_vote
        INSERT INTO queue_vote (queue_id, iv, payload)
        SELECT q.id, $2 /* iv */, $3 /* payload */ FROM queue q WHERE q.id = $1 /* queue */ FOR KEY SHARE
        ON CONFLICT DO NOTHING";
    let tx = store.begin("save_vote").await?;
    leases::hold(&tx, fence).await?;
    let parts: [&[u8]; 2] = [&vote.iv, &vote.payload];
    tx.execute(sql, &[&queue.as_uuid(), &parts[0], &parts[1]]).await?;
    tx.commit().await
}

/// The vote of a row that may have none.
pub(super) fn vote(row: &Row) -> Result<Option<SealedVote>, StoreError> {
    let (iv, payload): (Option<&[u8]>, Option<&[u8]>) = (row.try_get("vote_iv")?, row.try_get("vote")?);
    let Some((iv, payload)) = iv.zip(payload) else {
        return Ok(None);
    };
    Ok(Some(SealedVote {
        iv: iv.try_into().map_err(|_| StoreError::Corrupt("iv"))?,
        payload: Bytes::copy_from_slice(payload),
    }))
}

fn record(row: &Row) -> Result<ReceivedPoll, StoreError> {
    let (message, secret): (&str, &[u8]) = (row.try_get("message_id")?, row.try_get("secret")?);
    let (Json(options), selectable): (_, i32) = (row.try_get("options")?, row.try_get("selectable")?);
    Ok(ReceivedPoll {
        message: StanzaId::new(message).map_err(|_| StoreError::Corrupt("message_id"))?,
        chat: row.try_get("chat")?,
        creator: row.try_get("creator")?,
        secret: secret.try_into().map_err(|_| StoreError::Corrupt("secret"))?,
        options,
        selectable: selectable.unsigned_abs(),
        received_at: row.try_get("received_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}

/// Rows that are forgotten at a time.
const PURGE_MAX: u32 = 10_000;
