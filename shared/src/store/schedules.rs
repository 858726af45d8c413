//! Schedules: what is sent at set times, and whose turn it is to fire it.
//!
//! A worker claims what is due for a while, publishes it and notes that. One that dies in between leaves the claim to run
//! out; the next one publishes the same firing under the same id, which is the same job.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{Store, StoreError};
use crate::id::{QueueId, ScheduleId, ScheduleName, SessionId, Token};
use crate::job::{Misfire, Recurrence, ScheduleJob, SendJob, Timing};

/// Most schedules of one session.
pub const SCHEDULES_MAX: i64 = 1_000;
/// Most that one worker claims at a time.
pub const CLAIM_MAX: i64 = 32;
/// How long a claim lasts: longer than the broker is waited for.
pub const CLAIM: Duration = Duration::from_secs(30);
/// How long a schedule that fires no more is kept.
pub const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// A schedule, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleRecord {
    /// Which.
    pub id: ScheduleId,
    /// The session that sends.
    pub token: Token,
    /// What it says.
    pub job: ScheduleJob,
    /// How a caller of the older API wrote it, as JSON.
    pub seed: Option<String>,
    /// When it fires next, if it does.
    pub next_at: Option<OffsetDateTime>,
    /// The time that it last fired for.
    pub fired_at: Option<OffsetDateTime>,
    /// The queue which that made.
    pub queue: Option<QueueId>,
    /// How often it has fired.
    pub fired: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// A schedule that is to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewSchedule<'a> {
    /// Its id.
    pub id: ScheduleId,
    /// What it says.
    pub job: &'a ScheduleJob,
    /// How a caller of the older API wrote it, as JSON.
    pub seed: Option<&'a str>,
    /// The time.
    pub now: OffsetDateTime,
}

/// What became of a new schedule.
#[derive(Clone, Debug, PartialEq)]
pub enum Added {
    /// It is stored.
    New(Box<ScheduleRecord>),
    /// The same is stored already.
    Same(Box<ScheduleRecord>),
    /// Its session has another one of its name.
    Taken,
    /// Its session has [`SCHEDULES_MAX`].
    TooMany,
    /// It would never fire.
    Past,
    /// There is no such session.
    NoSession,
}

/// A firing that was published.
#[derive(Clone, Copy, Debug)]
pub struct Fired {
    /// The time that it was for.
    pub at: OffsetDateTime,
    /// The queue that it makes.
    pub queue: QueueId,
}

const COLUMNS: &str =
    "c.id, s.token, c.name, c.cron, c.at, c.timezone, c.misfire, c.send, c.seed, c.next_at, c.fired_at,
    c.queue_id, c.fired, c.created_at";

/// Stores a schedule of a session.
pub async fn add(store: &Store, session: SessionId, new: NewSchedule<'_>) -> Result<Added, StoreError> {
    let Some(next) = new.job.timing.next(new.now) else {
        return Ok(Added::Past);
    };
    let (cron, at, zone) = match &new.job.timing {
        Timing::Cron(cron) => (Some(cron.text()), None, cron.zone()),
        Timing::At(at) => (None, Some(*at), "UTC"),
    };
    let tx = store.begin("schedules::add").await?;
    // One at a time for each session, so that it has no more than it may.
    let sql = "SELECT 1 FROM session WHERE id = $1 /* session */ FOR UPDATE";
    if tx.query_opt(sql, &[&session.get()]).await?.is_none() {
        return Ok(Added::NoSession);
    }
    let name = new.job.id.as_str();
    let sql = format!(
        "SELECT {COLUMNS} FROM schedule c JOIN session s ON s.id = c.session_id
        WHERE c.session_id = $1 /* session */ AND c.name = $2 /* name */"
    );
    if let Some(row) = tx.query_opt(&sql, &[&session.get(), &name]).await? {
        let stored = read(&row)?;
        return Ok(
            match stored.job == *new.job && stored.seed.as_deref() == new.seed {
                true => Added::Same(Box::new(stored)),
                false => Added::Taken,
            },
        );
    }
    let sql = "SELECT count(*) FROM schedule WHERE session_id = $1 /* session */";
    if tx.query_one(sql, &[&session.get()]).await?.try_get::<_, i64>(0)? >= SCHEDULES_MAX {
        return Ok(Added::TooMany);
    }
    let send = serde_json::to_string(&new.job.send).unwrap_or_default();
    let sql = format!(
        "WITH c AS (INSERT INTO schedule (id, session_id, name, cron, at, timezone, misfire, send, seed, next_at, created_at)
            VALUES ($1 /* id */, $2 /* session */, $3 /* name */, $4 /* cron */, $5 /* at */, $6 /* zone */,
                $7 /* misfire */, $8 /* send */, $9 /* seed */, $10 /* next */, $11 /* now */) RETURNING *)
        SELECT {COLUMNS} FROM c JOIN session s ON s.id = c.session_id"
    );
    let row = tx
        .query_one(
            &sql,
            &[
                &new.id.as_uuid(),
                &session.get(),
                &name,
                &cron,
                &at,
                &zone,
                &new.job.misfire.code(),
                &send,
                &new.seed,
                &next,
                &new.now,
            ],
        )
        .await?;
    let stored = read(&row)?;
    tx.commit().await?;
    Ok(Added::New(Box::new(stored)))
}

/// All schedules of a session, in the order of their making.
pub async fn list(store: &Store, session: SessionId) -> Result<Vec<ScheduleRecord>, StoreError> {
    let sql = format!(
        "-- schedules::list
        SELECT {COLUMNS} FROM schedule c JOIN session s ON s.id = c.session_id WHERE c.session_id = $1 /* session */
        ORDER BY c.created_at, c.id"
    );
    let rows = store.query(&sql, &[&session.get()]).await?;
    rows.iter().map(read).collect()
}

/// One schedule of a session.
pub async fn find(
    store: &Store,
    session: SessionId,
    name: &ScheduleName,
) -> Result<Option<ScheduleRecord>, StoreError> {
    let sql = format!(
        "-- schedules::find
        SELECT {COLUMNS} FROM schedule c JOIN session s ON s.id = c.session_id
        WHERE c.session_id = $1 /* session */ AND c.name = $2 /* name */"
    );
    let row = store.query_opt(&sql, &[&session.get(), &name.as_str()]).await?;
    row.as_ref().map(read).transpose()
}

/// Deletes a schedule; answers whether there was one. A firing that is being published goes on.
pub async fn delete(store: &Store, session: SessionId, name: &ScheduleName) -> Result<bool, StoreError> {
    let sql = "-- schedules::delete
        DELETE FROM schedule WHERE session_id = $1 /* session */ AND name = $2 /* name */";
    Ok(store.execute(sql, &[&session.get(), &name.as_str()]).await? > 0)
}

/// Claims schedules that are due at `now` and that nobody else has in hand, the longest due first.
pub async fn claim(store: &Store, now: OffsetDateTime) -> Result<Vec<ScheduleRecord>, StoreError> {
    let sql = format!(
        "-- schedules::claim
        WITH due AS (SELECT id FROM schedule
                WHERE next_at <= $1 /* now */ AND (claimed_until IS NULL OR claimed_until <= $1 /* now */)
                ORDER BY next_at LIMIT $3 /* most */ FOR UPDATE SKIP LOCKED),
            c AS (UPDATE schedule SET claimed_until = $2 /* until */ FROM due WHERE schedule.id = due.id
                RETURNING schedule.*)
        SELECT {COLUMNS} FROM c JOIN session s ON s.id = c.session_id"
    );
    let rows = store.query(&sql, &[&now, &(now + CLAIM), &CLAIM_MAX]).await?;
    rows.iter().map(read).collect()
}

/// Notes what was done about a schedule that was due, unless somebody else did: when it fires next, and what it fired.
pub async fn note(
    store: &Store,
    due: &ScheduleRecord,
    next: Option<OffsetDateTime>,
    fired: Option<Fired>,
) -> Result<(), StoreError> {
    let sql = "-- schedules::note
        UPDATE schedule SET next_at = $3 /* next */, claimed_until = NULL,
            fired_at = coalesce($4 /* fired */, fired_at), queue_id = coalesce($5 /* queue */, queue_id),
            fired = fired + CASE WHEN $4 /* fired */ IS NULL THEN 0 ELSE 1 END
        WHERE id = $1 /* id */ AND next_at = $2 /* due */";
    let (at, queue) = (
        fired.map(|fired| fired.at),
        fired.map(|fired| fired.queue.as_uuid()),
    );
    store
        .execute(sql, &[&due.id.as_uuid(), &due.next_at, &next, &at, &queue])
        .await?;
    Ok(())
}

/// Gives a claim back, to be claimed again at once.
pub async fn give_back(store: &Store, due: &ScheduleRecord) -> Result<(), StoreError> {
    let sql = "-- schedules::give_back
        UPDATE schedule SET claimed_until = NULL WHERE id = $1 /* id */ AND next_at = $2 /* due */";
    store.execute(sql, &[&due.id.as_uuid(), &due.next_at]).await?;
    Ok(())
}

/// Forgets schedules that have fired for the last time long ago.
pub async fn forget(store: &Store, now: OffsetDateTime) -> Result<u64, StoreError> {
    let sql = "-- schedules::forget
        DELETE FROM schedule WHERE next_at IS NULL AND coalesce(fired_at, at) < $1 /* before */";
    store.execute(sql, &[&(now - KEEP)]).await
}

fn read(row: &Row) -> Result<ScheduleRecord, StoreError> {
    let corrupt = |_| StoreError::Corrupt("a schedule");
    let token: String = row.try_get("token")?;
    let name: String = row.try_get("name")?;
    let (cron, zone): (Option<String>, String) = (row.try_get("cron")?, row.try_get("timezone")?);
    let timing = match cron {
        Some(cron) => {
            let cron = Recurrence::parse(&cron, Some(&zone));
            Timing::Cron(cron.map_err(|_| StoreError::Corrupt("a schedule's times"))?)
        }
        None => Timing::At(row.try_get("at")?),
    };
    let send: String = row.try_get("send")?;
    let send = SendJob::parse(send.as_bytes()).map_err(|_| StoreError::Corrupt("what a schedule sends"))?;
    let misfire = Misfire::from_code(row.try_get("misfire")?);
    Ok(ScheduleRecord {
        id: ScheduleId::new(row.try_get("id")?),
        token: Token::new(&token).map_err(corrupt)?,
        job: ScheduleJob {
            id: ScheduleName::new(&name).map_err(corrupt)?,
            timing,
            misfire: misfire.ok_or(StoreError::Corrupt("a schedule's misfire"))?,
            send: SendJob {
                reading: Default::default(),
                ..send
            },
        },
        seed: row.try_get("seed")?,
        next_at: row.try_get("next_at")?,
        fired_at: row.try_get("fired_at")?,
        queue: row
            .try_get::<_, Option<uuid::Uuid>>("queue_id")?
            .map(QueueId::new),
        fired: row.try_get("fired")?,
        created_at: row.try_get("created_at")?,
    })
}
