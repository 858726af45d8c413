//! Sends by the ids that they were asked for under: what an id that got a 2xx is looked up by until its queue is stored,
//! and where it never is.
//!
//! The API notes a send here before it publishes it, if an id of it is its caller's. What was rejected is written by the
//! owner of its session, with the event that tells of it, through [`super::commit`].

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{Store, StoreError};
use crate::id::{JobId, QueueId, SessionId, StanzaId};

/// How long it is kept what was asked for: longer than a job waits in the broker.
pub const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most rows that one call forgets.
pub const PURGE_MAX: u32 = 10_000;
/// Most that is told of one id.
const TOLD_MAX: i64 = 10;

/// A send that is about to be published.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The session that is to send it.
    pub session: SessionId,
    /// The queue that it makes.
    pub queue: QueueId,
    /// Its identity.
    pub job: &'a JobId,
    /// The id of its message, where it is a single one.
    pub message: Option<&'a StanzaId>,
}

/// A send that was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestRecord {
    /// The queue that it asked for.
    pub queue: QueueId,
    /// The job that asked.
    pub job: JobId,
    /// The id of its message, where it named one.
    pub message: Option<StanzaId>,
    /// When it was taken, or rejected.
    pub recorded_at: OffsetDateTime,
    /// Why it was rejected, if it was.
    pub rejection: Option<Rejection>,
}

/// Why a send was rejected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejection {
    /// For programs.
    pub code: String,
    /// The field that it was rejected for, if it was one.
    pub field: Option<String>,
    /// For people.
    pub reason: String,
}

const COLUMNS: &str = "queue_id, job_id, message_id, recorded_at, code, field, reason";

/// What became of a note.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Noted {
    /// It is new.
    New,
    /// The same was asked for before.
    Again,
    /// There is no such session: nothing was noted.
    NoSession,
}

/// Notes a send before it is published. Asked for again it counts as not rejected.
pub async fn note(store: &Store, asked: Asked<'_>) -> Result<Noted, StoreError> {
    let sql = "-- requests::note
        INSERT INTO send_request (session_id, queue_id, job_id, message_id)
        SELECT id, $2 /* queue */, $3 /* job */, $4 /* message */ FROM session WHERE id = $1 /* session */
        ON CONFLICT (session_id, queue_id, job_id) DO UPDATE SET message_id = excluded.message_id,
            recorded_at = excluded.recorded_at, code = NULL, field = NULL, reason = NULL
        RETURNING xmax = 0";
    let message = asked.message.map(StanzaId::as_str);
    let (queue, job) = (asked.queue.as_uuid(), asked.job.as_str());
    let row = store
        .query_opt(sql, &[&asked.session.get(), &queue, &job, &message])
        .await?;
    Ok(match row.map(|row| row.try_get(0)).transpose()? {
        Some(true) => Noted::New,
        Some(false) => Noted::Again,
        None => Noted::NoSession,
    })
}

/// Forgets a send that could not be published after all: nobody was told that it was taken.
pub async fn take_back(store: &Store, asked: Asked<'_>) -> Result<(), StoreError> {
    let sql = "-- requests::take_back
        DELETE FROM send_request
        WHERE session_id = $1 /* session */ AND queue_id = $2 /* queue */ AND job_id = $3 /* job */ AND code IS NULL";
    let (queue, job) = (asked.queue.as_uuid(), asked.job.as_str());
    store.execute(sql, &[&asked.session.get(), &queue, &job]).await?;
    Ok(())
}

/// What was asked for under the id of a queue, the newest first.
pub async fn of_queue(
    store: &Store,
    session: SessionId,
    queue: QueueId,
) -> Result<Vec<RequestRecord>, StoreError> {
    let sql = format!(
        "-- requests::of_queue
        SELECT {COLUMNS} FROM send_request WHERE session_id = $1 /* session */ AND queue_id = $2 /* queue */
        ORDER BY recorded_at DESC LIMIT $3 /* limit */"
    );
    let rows = store
        .query(&sql, &[&session.get(), &queue.as_uuid(), &TOLD_MAX])
        .await?;
    rows.iter().map(record).collect()
}

/// What was asked for under the id of a message, the newest first.
pub async fn of_message(
    store: &Store,
    session: SessionId,
    message: &StanzaId,
) -> Result<Vec<RequestRecord>, StoreError> {
    let sql = format!(
        "-- requests::of_message
        SELECT {COLUMNS} FROM send_request WHERE session_id = $1 /* session */ AND message_id = $2 /* message */
        ORDER BY recorded_at DESC LIMIT $3 /* limit */"
    );
    let rows = store
        .query(&sql, &[&session.get(), &message.as_str(), &TOLD_MAX])
        .await?;
    rows.iter().map(record).collect()
}

/// Forgets what was recorded longer than [`KEEP`] ago, at most [`PURGE_MAX`]; returns how much.
pub async fn purge(store: &Store) -> Result<u64, StoreError> {
    let sql = "-- requests::purge
        DELETE FROM send_request WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM send_request WHERE recorded_at < now() - $1 /* keep */ * interval '1 second'
            LIMIT $2 /* limit */))";
    store
        .execute(sql, &[&KEEP.as_secs_f64(), &i64::from(PURGE_MAX)])
        .await
}

fn record(row: &Row) -> Result<RequestRecord, StoreError> {
    let message: Option<&str> = row.try_get("message_id")?;
    let (code, reason): (Option<String>, Option<String>) = (row.try_get("code")?, row.try_get("reason")?);
    let field = row.try_get("field")?;
    Ok(RequestRecord {
        queue: QueueId::new(row.try_get("queue_id")?),
        job: JobId::new(row.try_get("job_id")?).map_err(|_| StoreError::Corrupt("job id"))?,
        message: message
            .map(|id| StanzaId::new(id).map_err(|_| StoreError::Corrupt("stanza id")))
            .transpose()?,
        recorded_at: row.try_get("recorded_at")?,
        rejection: code
            .zip(reason)
            .map(|(code, reason)| Rejection { code, field, reason }),
    })
}
