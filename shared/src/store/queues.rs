//! Queues: accepted here in one go, changed by their owner through [`super::commit`].

use std::pin::pin;

use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{Json, ToSql, Type};
use uuid::Uuid;

use super::leases::{self, Fence};
use super::{Store, StoreError, Tx, violates};
use crate::id::{JobId, QueueId, SessionId, Token};
use crate::job::{Content, Delay, OnUnknown, SendJob};

/// Most queues that one page of a listing holds.
pub const PAGE_MAX: u32 = 1_000;

/// How a queue stands.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueState {
    /// Accepted; not started yet.
    Queued,
    /// Being sent.
    Running,
    /// Paused by its owner.
    Paused,
    /// All recipients are settled. Final.
    Completed,
    /// Deleted by its owner: what was not sent never is. Final.
    Deleted,
}

impl QueueState {
    const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Paused,
        Self::Completed,
        Self::Deleted,
    ];

    pub(crate) fn code(self) -> i16 {
        match self {
            Self::Queued => 0,
            Self::Running => 1,
            Self::Paused => 2,
            Self::Completed => 3,
            Self::Deleted => 4,
        }
    }

    fn from_code(code: i16) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|state| state.code() == code);
        found.ok_or(StoreError::Corrupt("queue state out of range"))
    }

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
}

impl QueueRecord {
    /// Its progress in percent.
    pub fn progress(&self) -> u8 {
        crate::event::progress(self.settled, self.total)
    }
}

const COLUMNS: &str = "q.id, q.session_id, q.job_id, q.content, q.delay_min_ms, q.delay_max_ms, q.on_unknown, \
     q.state, q.total, q.settled, q.failed, q.created_at, q.started_at, q.paused_at, q.finished_at";

/// What became of a job that was to be accepted.
#[derive(Clone, Debug, PartialEq)]
pub enum Acceptance {
    /// It is stored now.
    Accepted(Box<QueueRecord>),
    /// The same job was accepted before: nothing was done.
    Duplicate(Box<QueueRecord>),
    /// Its id, its queue's id or its stanza id is taken by another job: nothing was done.
    Conflict,
}

/// Stores a job: its queue and all of its recipients, in one transaction. Twice the same is one.
///
/// # Errors
/// [`StoreError::Fenced`], [`StoreError::Unavailable`], [`StoreError::Refused`].
pub async fn accept(
    store: &Store,
    fence: Fence,
    session: SessionId,
    id: QueueId,
    (job_id, job): (&JobId, &SendJob),
) -> Result<Acceptance, StoreError> {
    let tx = store.begin("accept_job").await?;
    leases::hold(&tx, fence).await?;
    let fingerprint = job.fingerprint();
    let Some(row) = insert_queue(&tx, session, id, (job_id, job), &fingerprint).await? else {
        let found = existing(&tx, session, id, (job_id, &fingerprint)).await?;
        tx.rollback().await?;
        return Ok(found);
    };
    let record = record(&row)?;
    match copy_recipients(&tx, session, id, job).await {
        Ok(()) => {}
        // The caller's stanza id is one that this session used before.
        Err(error) if violates(&error, "recipient_stanza") => {
            tx.rollback().await?;
            return Ok(Acceptance::Conflict);
        }
        Err(error) => return Err(error.into()),
    }
    tx.commit().await?;
    Ok(Acceptance::Accepted(Box::new(record)))
}

async fn insert_queue(
    tx: &Tx,
    session: SessionId,
    id: QueueId,
    (job_id, job): (&JobId, &SendJob),
    fingerprint: &[u8; 32],
) -> Result<Option<Row>, StoreError> {
    let sql = format!(
        "-- queues::accept
        INSERT INTO queue AS q
            (id, session_id, job_id, fingerprint, content, delay_min_ms, delay_max_ms, on_unknown, total)
        VALUES ($1 /* id */, $2 /* session */, $3 /* job */, $4 /* fingerprint */, $5 /* content */,
            $6 /* min */, $7 /* max */, $8 /* on_unknown */, $9 /* total */)
        ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
    );
    let (min, max) = (
        job.delay.map(|d| millis(d.min())),
        job.delay.map(|d| millis(d.max())),
    );
    let on_unknown: i16 = match job.on_unknown {
        OnUnknown::Resend => 0,
        OnUnknown::Hold => 1,
    };
    let total = i32::try_from(job.numbers.len()).unwrap_or(i32::MAX);
    let parameters: [&(dyn ToSql + Sync); 9] = [
        &id.as_uuid(),
        &session.get(),
        &job_id.as_str(),
        &fingerprint.as_slice(),
        &Json(&job.message),
        &min,
        &max,
        &on_unknown,
        &total,
    ];
    let statement = tx.prepare_cached(&sql).await?;
    Ok(tx.query_opt(&statement, &parameters).await?)
}

/// Tells a repeated job from one that took another's id.
async fn existing(
    tx: &Tx,
    session: SessionId,
    id: QueueId,
    (job_id, fingerprint): (&JobId, &[u8; 32]),
) -> Result<Acceptance, StoreError> {
    let sql = format!(
        "-- queues::accept (existing)
        SELECT {COLUMNS}, q.fingerprint FROM queue q
        WHERE q.id = $1 /* id */ OR (q.session_id = $2 /* session */ AND q.job_id = $3 /* job */)"
    );
    let rows = tx
        .query(&sql, &[&id.as_uuid(), &session.get(), &job_id.as_str()])
        .await?;
    let [row] = rows.as_slice() else {
        return Ok(Acceptance::Conflict);
    };
    let found = record(row)?;
    let same = row.try_get::<_, &[u8]>("fingerprint")? == fingerprint && found.session == session;
    Ok(match same && found.id == id {
        true => Acceptance::Duplicate(Box::new(found)),
        false => Acceptance::Conflict,
    })
}

async fn copy_recipients(
    tx: &Tx,
    session: SessionId,
    id: QueueId,
    job: &SendJob,
) -> Result<(), tokio_postgres::Error> {
    const TYPES: [Type; 5] = [Type::UUID, Type::INT4, Type::INT8, Type::TEXT, Type::TEXT];
    let sql = "COPY recipient (queue_id, seq, session_id, number, stanza_id) FROM STDIN BINARY";
    let mut writer = pin!(BinaryCopyInWriter::new(tx.copy_in(sql).await?, &TYPES));
    let (queue, session): (Uuid, i64) = (id.as_uuid(), session.get());
    let stanza = job.message_id.as_ref().map(|stanza| stanza.as_str());
    for (seq, number) in (0_i32..).zip(&job.numbers) {
        let number = number.as_text();
        let number: &str = &number;
        writer
            .as_mut()
            .write(&[&queue, &seq, &session, &number, &stanza])
            .await?;
    }
    writer.finish().await?;
    Ok(())
}

/// Queues of a session that are neither completed nor deleted, oldest first.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn active(store: &Store, session: SessionId) -> Result<Vec<QueueRecord>, StoreError> {
    let sql = format!(
        "-- queues::active
        SELECT {COLUMNS} FROM queue q
        WHERE q.session_id = $1 AND q.finished_at IS NULL ORDER BY q.created_at, q.id"
    );
    let client = store.client().await?;
    let statement = client.prepare_cached(&sql).await?;
    client
        .query(&statement, &[&session.get()])
        .await?
        .iter()
        .map(record)
        .collect()
}

/// A queue of a session, by id.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn find(store: &Store, session: SessionId, id: QueueId) -> Result<Option<QueueRecord>, StoreError> {
    let sql = format!("-- queues::find\nSELECT {COLUMNS} FROM queue q WHERE q.id = $1 AND q.session_id = $2");
    let client = store.client().await?;
    let statement = client.prepare_cached(&sql).await?;
    client
        .query_opt(&statement, &[&id.as_uuid(), &session.get()])
        .await?
        .as_ref()
        .map(record)
        .transpose()
}

/// Whether the queue of this id was made by this very job of this session; `None` when there is no such queue.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn made_by(
    store: &Store,
    session: SessionId,
    id: QueueId,
    job: &SendJob,
) -> Result<Option<bool>, StoreError> {
    let sql = "-- queues::made_by\nSELECT session_id, fingerprint FROM queue WHERE id = $1 /* id */";
    let client = store.client().await?;
    let statement = client.prepare_cached(sql).await?;
    let Some(row) = client.query_opt(&statement, &[&id.as_uuid()]).await? else {
        return Ok(None);
    };
    let (owner, fingerprint): (i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Some(owner == session.get() && fingerprint == job.fingerprint()))
}

/// A queue by id alone, with the token of its session.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn find_any(store: &Store, id: QueueId) -> Result<Option<(Token, QueueRecord)>, StoreError> {
    let sql = format!(
        "-- queues::find_any
        SELECT {COLUMNS}, s.token FROM queue q JOIN session s ON s.id = q.session_id WHERE q.id = $1"
    );
    let client = store.client().await?;
    let statement = client.prepare_cached(&sql).await?;
    let Some(row) = client.query_opt(&statement, &[&id.as_uuid()]).await? else {
        return Ok(None);
    };
    let token = Token::new(row.try_get("token")?).map_err(|_| StoreError::Corrupt("token"))?;
    Ok(Some((token, record(&row)?)))
}

/// Queues of a session, newest first, behind the given one (`created_at` and id of the last one seen).
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list(
    store: &Store,
    session: SessionId,
    before: Option<(OffsetDateTime, QueueId)>,
    limit: u32,
) -> Result<Vec<QueueRecord>, StoreError> {
    let sql = format!(
        "-- queues::list
        SELECT {COLUMNS} FROM queue q
        WHERE q.session_id = $1 /* session */
          AND ($2::timestamptz IS NULL OR (q.created_at, q.id) < ($2 /* time */, $3::uuid /* id */))
        ORDER BY q.created_at DESC, q.id DESC LIMIT $4 /* limit */"
    );
    let (time, id) = before.map(|(time, id)| (time, id.as_uuid())).unzip();
    let limit = i64::from(limit.min(PAGE_MAX));
    let client = store.client().await?;
    let statement = client.prepare_cached(&sql).await?;
    client
        .query(&statement, &[&session.get(), &time, &id, &limit])
        .await?
        .iter()
        .map(record)
        .collect()
}

/// Forgets queues that were finished longer than `keep` ago, with their recipients: at most so many recipients of
/// one queue in a call, and the queue with the last of them. Says how many recipients went, `None` when no queue is
/// that old.
///
/// Needs no lease: nothing changes a finished queue any more. Two callers at once take different queues.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn forget_finished(
    store: &Store,
    keep: std::time::Duration,
    most: u32,
) -> Result<Option<u64>, StoreError> {
    let oldest = "-- queues::forget_finished (oldest)
        SELECT id FROM queue
        WHERE finished_at IS NOT NULL AND finished_at < now() - $1 /* keep */ * interval '1 second'
        ORDER BY finished_at LIMIT 1 FOR UPDATE SKIP LOCKED";
    let recipients = "-- queues::forget_finished (recipients)
        DELETE FROM recipient WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM recipient WHERE queue_id = $1 /* queue */ ORDER BY seq LIMIT $2 /* most */))";
    let tx = store.begin("forget_queue").await?;
    let Some(row) = tx.query_opt(oldest, &[&keep.as_secs_f64()]).await? else {
        tx.rollback().await?;
        return Ok(None);
    };
    let id: Uuid = row.try_get(0)?;
    let forgotten = tx.execute(recipients, &[&id, &i64::from(most)]).await?;
    if forgotten < u64::from(most) {
        tx.execute(
            "-- queues::forget_finished\nDELETE FROM queue WHERE id = $1 /* queue */",
            &[&id],
        )
        .await?;
    }
    tx.commit().await?;
    Ok(Some(forgotten))
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
    Ok(QueueRecord {
        id: QueueId::new(row.try_get("id")?),
        session: SessionId::new(row.try_get("session_id")?),
        job: JobId::new(row.try_get("job_id")?).map_err(|_| StoreError::Corrupt("job id"))?,
        content,
        delay,
        on_unknown: match row.try_get::<_, i16>("on_unknown")? {
            0 => OnUnknown::Resend,
            _ => OnUnknown::Hold,
        },
        state: QueueState::from_code(row.try_get("state")?)?,
        total: unsigned(row, "total")?,
        settled: unsigned(row, "settled")?,
        failed: unsigned(row, "failed")?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        paused_at: row.try_get("paused_at")?,
        finished_at: row.try_get("finished_at")?,
    })
}

fn unsigned(row: &Row, column: &str) -> Result<u32, StoreError> {
    u32::try_from(row.try_get::<_, i32>(column)?).map_err(|_| StoreError::Corrupt("negative count"))
}

fn millis(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
