//! Queues: accepted in one go, changed by their owner through [`super::commit`], read here.

pub mod accepting;
pub mod listing;
pub mod retention;

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::leases::{self, Fence};
use super::recipients::{OF_ANOTHER_ACCOUNT, reference, restriction};
use super::traces::trace;
use super::{Store, StoreError};
use crate::content::Content;
use crate::id::{JobId, QueueId, SessionId, Token};
use crate::job::{Delay, Duplicates, Label, OnUnknown, Reference, SendJob};
use crate::named::stored;
use crate::trace::TraceContext;
use crate::waiting::Standstill;

/// Most queues that one page of a listing holds.
pub const PAGE_MAX: u32 = 1_000;

stored! {
    /// How a queue stands.
    QueueState {
        /// Accepted; not started yet.
        Queued = 0 "queued",
        /// Being sent.
        Running = 1 "running",
        /// Paused by its owner.
        Paused = 2 "paused",
        /// All recipients are settled. Final.
        Completed = 3 "completed",
        /// Deleted by its owner: what was not sent never is. Final.
        Deleted = 4 "deleted",
    }
}

impl QueueState {
    /// Whether nothing can change it any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Deleted)
    }
}

/// A queue as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueRecord {
    /// Its id.
    pub id: QueueId,
    /// The session that sends it.
    pub session: SessionId,
    /// The job that made it.
    pub job: JobId,
    /// What is sent.
    pub content: Content,
    /// The gap of this queue, if it has its own.
    pub delay: Option<Delay>,
    /// What to do with a send that a crash cut off.
    pub on_unknown: OnUnknown,
    /// What to do about a recipient whose account is that of another.
    pub duplicates: Duplicates,
    /// What its caller calls it by.
    pub reference: Option<Reference>,
    /// What it is for.
    pub label: Option<Label>,
    /// How it stands.
    pub state: QueueState,
    /// Number of recipients.
    pub total: u32,
    /// Those past sending.
    pub settled: u32,
    /// Those of them that failed.
    pub failed: u32,
    /// When it was accepted.
    pub created_at: OffsetDateTime,
    /// When it started: when send.message:START was put out.
    pub started_at: Option<OffsetDateTime>,
    /// Since when it is paused.
    pub paused_at: Option<OffsetDateTime>,
    /// When it was completed or deleted.
    pub finished_at: Option<OffsetDateTime>,
    /// The phone number of the account that it belongs to; none before the first that sends for it.
    pub account: Option<String>,
    /// Why it stands still, where nothing else that is stored tells.
    pub waiting: Option<Standstill>,
    /// When a recipient was last settled, or it went on after a pause.
    pub moved_at: Option<OffsetDateTime>,
    /// Nothing of it is sent before this.
    pub start_at: Option<OffsetDateTime>,
    /// What its sends follow from. No part of the job's identity.
    pub trace: Option<TraceContext>,
}

impl QueueRecord {
    /// Its progress in percent.
    pub fn progress(&self) -> u8 {
        crate::event::progress(self.settled, self.total)
    }
}

const COLUMNS: &str = "q.id, q.session_id, q.job_id, q.content, q.delay_min_ms, q.delay_max_ms, q.on_unknown, \
     q.duplicates, q.reference, q.label, q.state, q.total, q.settled, q.failed, q.created_at, q.started_at, q.paused_at, \
     q.finished_at, q.start_at, q.account, q.waiting, q.moved_at, q.traceparent";

/// What of a session's queues its owner is to send.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// The restriction that the session is under, by its number: queues of which all that is left waits for its end are
    /// passed over.
    pub held: Option<u32>,
    /// The account that it is paired with: queues of another one are passed over. With none, nobody's are.
    pub account: Option<&'a str>,
    /// The time: queues that start later are passed over, but for the first of them.
    pub now: OffsetDateTime,
    /// Most queues with a single recipient, and most others.
    pub most: u32,
}

/// The oldest queues of a session that run or are to: so many with a single recipient, and so many others. Behind them
/// the one that is the first to start later, if there is any.
pub async fn active(store: &Store, session: SessionId, due: Due<'_>) -> Result<Vec<QueueRecord>, StoreError> {
    let of_kind = |kind: &str| {
        format!(
            "(SELECT {COLUMNS} FROM queue q
            WHERE q.session_id = $1 /* session */ AND q.finished_at IS NULL AND q.state IN (0, 1) AND {kind}
              AND (q.held_for IS NULL OR q.held_for IS DISTINCT FROM $3 /* held */)
              AND (q.start_at IS NULL OR q.start_at <= $4 /* now */)
              AND (q.account IS NULL OR q.account = coalesce($5 /* account */, q.account))
            ORDER BY q.created_at, q.id LIMIT $2 /* most */)"
        )
    };
    let sql = format!(
        "-- queues::active\n{} UNION ALL {} UNION ALL
            (SELECT {COLUMNS} FROM queue q
            WHERE q.session_id = $1 /* session */ AND q.start_at > $4 /* now */ AND q.finished_at IS NULL
              AND q.state IN (0, 1) AND (q.account IS NULL OR q.account = coalesce($5 /* account */, q.account))
            ORDER BY q.start_at LIMIT 1)",
        of_kind("q.total = 1"),
        of_kind("q.total > 1")
    );
    let most = i64::from(due.most.min(PAGE_MAX));
    let held = due.held.map(restriction);
    let rows = store
        .query(&sql, &[&session.get(), &most, &held, &due.now, &due.account])
        .await?;
    rows.iter().map(record).collect()
}

/// Gives a queue to the account that its session is paired with now. Those who were being sent to by the one before are
/// sent to no more: their attempts are over.
///
/// # Errors
/// [`StoreError::Fenced`], [`StoreError::Unavailable`]. To adopt it again is safe.
pub async fn adopt(store: &Store, fence: Fence, session: SessionId, id: QueueId) -> Result<(), StoreError> {
    let cut_off = "-- queues::adopt (cut off)
        UPDATE recipient SET attempts = $2 /* over */ WHERE queue_id = $1 /* queue */ AND state = 1";
    let sql = "-- queues::adopt
        UPDATE queue q SET account = split_part(s.jid, '@', 1), waiting = NULL, moved_at = clock_timestamp()
        FROM session s
        WHERE s.id = q.session_id AND q.id = $1 /* queue */ AND s.id = $2 /* session */ AND q.finished_at IS NULL";
    let tx = store.begin("adopt_queue").await?;
    leases::hold(&tx, fence).await?;
    let over = i16::try_from(OF_ANOTHER_ACCOUNT).unwrap_or(i16::MAX);
    tx.execute(cut_off, &[&id.as_uuid(), &over]).await?;
    tx.execute(sql, &[&id.as_uuid(), &session.get()]).await?;
    tx.commit().await
}

/// Whether an older queue of its session and account is to be sent at this time, too.
pub async fn is_behind_another(
    store: &Store,
    queue: &QueueRecord,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let sql = "-- queues::is_behind_another
        SELECT EXISTS (SELECT FROM queue q
            WHERE q.session_id = $1 /* session */ AND q.finished_at IS NULL AND q.state IN (0, 1)
              AND (q.created_at, q.id) < ($2 /* time */, $3 /* id */)
              AND (q.start_at IS NULL OR q.start_at <= $4 /* now */)
              AND (q.account IS NULL OR q.account = coalesce($5 /* account */, q.account)))";
    let (session, id) = (queue.session.get(), queue.id.as_uuid());
    let row = store
        .query_one(sql, &[&session, &queue.created_at, &id, &now, &queue.account])
        .await?;
    Ok(row.try_get(0)?)
}

/// Queues of a session that are not finished, by id, behind this one.
pub async fn unfinished(
    store: &Store,
    session: SessionId,
    after: Option<QueueId>,
    most: u32,
) -> Result<Vec<QueueId>, StoreError> {
    let sql = "-- queues::unfinished
        SELECT q.id FROM queue q
        WHERE q.session_id = $1 /* session */ AND q.finished_at IS NULL AND ($2::uuid IS NULL OR q.id > $2 /* after */)
        ORDER BY q.id LIMIT $3 /* most */";
    let after = after.map(QueueId::as_uuid);
    let most = i64::from(most.min(PAGE_MAX));
    let rows = store.query(sql, &[&session.get(), &after, &most]).await?;
    rows.iter().map(|row| Ok(QueueId::new(row.try_get(0)?))).collect()
}

/// A queue of a session, by id; or by the identity of its job, where that is a UUID under which another session has a queue.
pub async fn find(store: &Store, session: SessionId, id: QueueId) -> Result<Option<QueueRecord>, StoreError> {
    let sql = format!(
        "-- queues::find
        SELECT {COLUMNS} FROM queue q WHERE q.id = $1 /* id */ AND q.session_id = $2 /* session */
        UNION ALL
        SELECT {COLUMNS} FROM queue q WHERE q.session_id = $2 /* session */ AND q.job_id = $3 /* job */ AND q.id <> $1
          AND EXISTS (SELECT 1 FROM queue o WHERE o.id = $1 /* id */ AND o.session_id <> $2 /* session */)
        LIMIT 1"
    );
    let row = store
        .query_opt(&sql, &[&id.as_uuid(), &session.get(), &id.to_string()])
        .await?;
    row.as_ref().map(record).transpose()
}

/// Whether the queue of this id was made by this very job of this session; `None` when there is no such queue.
pub async fn made_by(
    store: &Store,
    session: SessionId,
    id: QueueId,
    job: &SendJob,
) -> Result<Option<bool>, StoreError> {
    let sql = "-- queues::made_by\nSELECT session_id, fingerprint FROM queue WHERE id = $1 /* id */";
    let Some(row) = store.query_opt(sql, &[&id.as_uuid()]).await? else {
        return Ok(None);
    };
    let (owner, fingerprint): (i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Some(owner == session.get() && fingerprint == job.fingerprint()))
}

/// A queue by id alone, with the token of its session.
pub async fn find_any(store: &Store, id: QueueId) -> Result<Option<(Token, QueueRecord)>, StoreError> {
    let sql = format!(
        "-- queues::find_any
        SELECT {COLUMNS}, s.token FROM queue q JOIN session s ON s.id = q.session_id WHERE q.id = $1"
    );
    let Some(row) = store.query_opt(&sql, &[&id.as_uuid()]).await? else {
        return Ok(None);
    };
    with_token(&row).map(Some)
}

fn with_token(row: &Row) -> Result<(Token, QueueRecord), StoreError> {
    let token = Token::new(row.try_get("token")?).map_err(|_| StoreError::Corrupt("token"))?;
    Ok((token, record(row)?))
}

fn record(row: &Row) -> Result<QueueRecord, StoreError> {
    let (min, max): (Option<i32>, Option<i32>) = (row.try_get("delay_min_ms")?, row.try_get("delay_max_ms")?);
    let delay = match min.zip(max) {
        Some((min, max)) => Some(
            Delay::new(f64::from(min) / 1000.0, f64::from(max) / 1000.0)
                .map_err(|_| StoreError::Corrupt("delay"))?,
        ),
        None => None,
    };
    let Json(content) = row.try_get::<_, Json<Content>>("content")?;
    let waiting: Option<serde_json::Value> = row.try_get("waiting")?;
    Ok(QueueRecord {
        id: QueueId::new(row.try_get("id")?),
        session: SessionId::new(row.try_get("session_id")?),
        job: JobId::new(row.try_get("job_id")?).map_err(|_| StoreError::Corrupt("job id"))?,
        content,
        delay,
        on_unknown: OnUnknown::from_code(row.try_get("on_unknown")?)
            .ok_or(StoreError::Corrupt("onUnknown out of range"))?,
        duplicates: Duplicates::from_code(row.try_get("duplicates")?)
            .ok_or(StoreError::Corrupt("duplicates out of range"))?,
        reference: reference(row)?,
        label: match row.try_get::<_, Option<&str>>("label")? {
            Some(label) => Some(Label::new(label).map_err(|_| StoreError::Corrupt("label"))?),
            None => None,
        },
        state: QueueState::from_code(row.try_get("state")?)
            .ok_or(StoreError::Corrupt("queue state out of range"))?,
        total: unsigned(row, "total")?,
        settled: unsigned(row, "settled")?,
        failed: unsigned(row, "failed")?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        paused_at: row.try_get("paused_at")?,
        finished_at: row.try_get("finished_at")?,
        account: row.try_get("account")?,
        // What another version wrote and this one can't read tells nobody anything.
        waiting: waiting.and_then(|stored| serde_json::from_value(stored).ok()),
        moved_at: row.try_get("moved_at")?,
        start_at: row.try_get("start_at")?,
        trace: trace(row, "traceparent")?,
    })
}

fn unsigned(row: &Row, column: &str) -> Result<u32, StoreError> {
    u32::try_from(row.try_get::<_, i32>(column)?).map_err(|_| StoreError::Corrupt("negative count"))
}

/// A gap, as the database has it.
pub(super) fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
