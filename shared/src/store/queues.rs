//! Queues: accepted here in one go, changed by their owner through [`super::commit`].

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{Json, ToSql, Type};
use uuid::Uuid;

use super::leases::{self, Fence};
use super::recipients::{OF_ANOTHER_ACCOUNT, reference, restriction};
use super::{Store, StoreError, Tx, violates};
use crate::content::Content;
use crate::id::{JobId, QueueId, SessionId, Token};
use crate::job::{Delay, Duplicates, Label, OnUnknown, Reference, SendJob};
use crate::named::stored;
use crate::waiting::Standstill;

/// Most queues that one page of a listing holds.
pub const PAGE_MAX: u32 = 1_000;
/// Most queues that one call forgets.
pub const FORGET_MAX: u32 = 1_000;

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
}

impl QueueRecord {
    /// Its progress in percent.
    pub fn progress(&self) -> u8 {
        crate::event::progress(self.settled, self.total)
    }
}

const COLUMNS: &str = "q.id, q.session_id, q.job_id, q.content, q.delay_min_ms, q.delay_max_ms, q.on_unknown, \
     q.duplicates, q.reference, q.label, q.state, q.total, q.settled, q.failed, q.created_at, q.started_at, \
     q.paused_at, q.finished_at, q.account, q.waiting, q.moved_at";

/// What became of a job that was to be accepted.
#[derive(Clone, Debug, PartialEq)]
pub enum Acceptance {
    /// It is stored now.
    Accepted(Box<QueueRecord>),
    /// The same job was accepted before: nothing was done.
    Duplicate(Box<QueueRecord>),
    /// Its id, its queue's id or its stanza id is taken by another job: nothing was done.
    Conflict,
    /// Its session is not there any more: nothing was done.
    NoSession,
}

/// A job that is to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The session that is to send it.
    pub session: SessionId,
    /// The id of its queue.
    pub queue: QueueId,
    /// The id that its queue gets instead where that one is another session's.
    pub other: Option<QueueId>,
    /// Its identity.
    pub id: &'a JobId,
    /// The job.
    pub job: &'a SendJob,
}

/// Stores jobs of one shard, each its queue and all of its recipients, in their order: all of them in one transaction.
/// Twice the same is one. Where the database refuses one of them,
/// each is stored for itself; the words are why it was refused.
///
/// # Errors
/// [`StoreError::Fenced`], [`StoreError::Unavailable`]: any of them may be stored or not. To offer them again is safe.
pub async fn accept_all(
    store: &Store,
    fence: Fence,
    offers: &[Offer<'_>],
) -> Result<Vec<Result<Acceptance, String>>, StoreError> {
    let mut accepted = match accept_together(store, fence, offers).await {
        Ok(accepted) => accepted.into_iter().map(Ok).collect(),
        Err(StoreError::Refused(_)) if offers.len() > 1 => {
            let mut each = Vec::with_capacity(offers.len());
            for offer in offers {
                each.push(accept_alone(store, fence, *offer).await?);
            }
            each
        }
        Err(StoreError::Refused(why)) => vec![Err(why)],
        Err(error) => return Err(error),
    };
    for (offer, answer) in offers.iter().zip(&mut accepted) {
        // The same UUID may be the identity of a job of each session; their queues have one id each.
        if let (Some(queue), Ok(Acceptance::Conflict)) = (offer.other, &answer) {
            *answer = accept_alone(store, fence, Offer { queue, ..*offer }).await?;
        }
    }
    Ok(accepted)
}

async fn accept_alone(
    store: &Store,
    fence: Fence,
    offer: Offer<'_>,
) -> Result<Result<Acceptance, String>, StoreError> {
    match accept_together(store, fence, &[offer]).await {
        Ok(mut one) => Ok(one.pop().ok_or_else(|| "no answer to an offer".to_owned())),
        Err(StoreError::Refused(why)) => Ok(Err(why)),
        Err(error) => Err(error),
    }
}

/// Stores jobs in one transaction. One answer per offer.
async fn accept_together(
    store: &Store,
    fence: Fence,
    offers: &[Offer<'_>],
) -> Result<Vec<Acceptance>, StoreError> {
    let tx = store.begin("accept_jobs").await?;
    leases::hold(&tx, fence).await?;
    let fingerprints: Vec<_> = offers.iter().map(|offer| offer.job.fingerprint()).collect();
    let mut stored = match store_offers(&tx, offers, &fingerprints).await {
        Ok(stored) => stored,
        Err(Refusal::Told(told)) if offers.len() == 1 => {
            tx.rollback().await?;
            return Ok(vec![told]);
        }
        Err(Refusal::Told(_)) => return Err(StoreError::Refused("one of several jobs".into())),
        Err(Refusal::Error(error)) => return Err(error),
    };
    let anything = !stored.is_empty();
    let mut accepted = Vec::with_capacity(offers.len());
    for (offer, fingerprint) in offers.iter().zip(&fingerprints) {
        // Of two offers that are the same the first one was stored.
        accepted.push(match stored.remove(&key(offer.queue, offer.session, offer.id)) {
            Some(record) => Acceptance::Accepted(Box::new(record)),
            None => existing(&tx, offer.session, offer.queue, offer.id, fingerprint).await?,
        });
    }
    match anything {
        true => tx.commit().await?,
        false => tx.rollback().await?,
    }
    Ok(accepted)
}

/// Why offers were not stored.
enum Refusal {
    /// By a rule that has an answer of its own.
    Told(Acceptance),
    Error(StoreError),
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        if violates(&error, "recipient_stanza") {
            // The caller's stanza id is one that this session used before.
            Self::Told(Acceptance::Conflict)
        } else if violates(&error, "queue_session_id_fkey") {
            Self::Told(Acceptance::NoSession)
        } else {
            Self::Error(error.into())
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

type Key = (QueueId, SessionId, String);

fn key(queue: QueueId, session: SessionId, job: &JobId) -> Key {
    (queue, session, job.to_string())
}

/// Stores the queues that are not there yet, and their recipients.
async fn store_offers(
    tx: &Tx,
    offers: &[Offer<'_>],
    fingerprints: &[[u8; 32]],
) -> Result<HashMap<Key, QueueRecord>, Refusal> {
    let mut stored = HashMap::with_capacity(offers.len());
    for row in insert_queues(tx, offers, fingerprints).await? {
        let record = record(&row)?;
        stored.insert(key(record.id, record.session, &record.job), record);
    }
    let mut new = HashSet::with_capacity(stored.len());
    let is_new = |offer: &&Offer<'_>| {
        let key = key(offer.queue, offer.session, offer.id);
        stored.contains_key(&key) && new.insert(key)
    };
    let fresh: Vec<&Offer<'_>> = offers.iter().filter(is_new).collect();
    if !fresh.is_empty() {
        copy_recipients(tx, &fresh).await?;
    }
    Ok(stored)
}

async fn insert_queues(
    tx: &Tx,
    offers: &[Offer<'_>],
    fingerprints: &[[u8; 32]],
) -> Result<Vec<Row>, Refusal> {
    let sql = format!(
        "-- queues::accept
        INSERT INTO queue AS q
            (id, session_id, job_id, fingerprint, content, delay_min_ms, delay_max_ms, on_unknown, total,
             duplicates, reference, label, account)
        SELECT id, session_id, job_id, fingerprint, content, delay_min_ms, delay_max_ms, on_unknown, total,
            duplicates, reference, label,
            (SELECT split_part(s.jid, '@', 1) FROM session s WHERE s.id = o.session_id)
        FROM unnest($1::uuid[] /* ids */, $2::bigint[] /* sessions */, $3::text[] /* jobs */,
            $4::bytea[] /* fingerprints */, $5::jsonb[] /* contents */, $6::int[] /* mins */, $7::int[] /* maxs */,
            $8::smallint[] /* on_unknowns */, $9::int[] /* totals */, $10::smallint[] /* duplicates */,
            $11::text[] /* references */, $12::text[] /* labels */) WITH ORDINALITY
            AS o (id, session_id, job_id, fingerprint, content, delay_min_ms, delay_max_ms, on_unknown, total,
                duplicates, reference, label, n)
        ORDER BY n
        ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
    );
    let ids: Vec<Uuid> = offers.iter().map(|offer| offer.queue.as_uuid()).collect();
    let sessions: Vec<i64> = offers.iter().map(|offer| offer.session.get()).collect();
    let jobs: Vec<&str> = offers.iter().map(|offer| offer.id.as_str()).collect();
    let fingerprints: Vec<&[u8]> = fingerprints.iter().map(<[u8; 32]>::as_slice).collect();
    let contents: Vec<Json<&Content>> = offers.iter().map(|offer| Json(&offer.job.message)).collect();
    let gap = |of: fn(&Delay) -> Duration| -> Vec<Option<i32>> {
        let gap = |offer: &Offer<'_>| offer.job.delay.as_ref().map(|delay| millis(of(delay)));
        offers.iter().map(gap).collect()
    };
    let (mins, maxs) = (gap(|delay| delay.min()), gap(|delay| delay.max()));
    let on_unknowns: Vec<i16> = offers
        .iter()
        .map(|offer| of_unknown(offer.job.on_unknown))
        .collect();
    let total = |offer: &Offer<'_>| i32::try_from(offer.job.numbers.len()).unwrap_or(i32::MAX);
    let totals: Vec<i32> = offers.iter().map(total).collect();
    let duplicates: Vec<i16> = offers
        .iter()
        .map(|offer| of_duplicates(offer.job.duplicates))
        .collect();
    let references = texts(offers, |job| job.reference.as_ref().map(Reference::as_str));
    let labels = texts(offers, |job| job.label.as_ref().map(Label::as_str));
    let parameters: [&(dyn ToSql + Sync); 12] = [
        &ids,
        &sessions,
        &jobs,
        &fingerprints,
        &contents,
        &mins,
        &maxs,
        &on_unknowns,
        &totals,
        &duplicates,
        &references,
        &labels,
    ];
    let statement = tx.prepare_cached(&sql).await?;
    Ok(tx.query(&statement, &parameters).await?)
}

const fn of_unknown(on_unknown: OnUnknown) -> i16 {
    match on_unknown {
        OnUnknown::Resend => 0,
        OnUnknown::Hold => 1,
    }
}

const fn of_duplicates(duplicates: Duplicates) -> i16 {
    match duplicates {
        Duplicates::Drop => 0,
        Duplicates::Allow => 1,
    }
}

fn texts<'a>(offers: &[Offer<'a>], of: fn(&SendJob) -> Option<&str>) -> Vec<Option<&'a str>> {
    offers.iter().map(|offer| of(offer.job)).collect()
}

/// Tells a repeated job from one that took another's id.
async fn existing(
    tx: &Tx,
    session: SessionId,
    id: QueueId,
    job_id: &JobId,
    fingerprint: &[u8; 32],
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

async fn copy_recipients(tx: &Tx, offers: &[&Offer<'_>]) -> Result<(), tokio_postgres::Error> {
    const TYPES: [Type; 6] = [
        Type::UUID,
        Type::INT4,
        Type::INT8,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
    ];
    let sql = "COPY recipient (queue_id, seq, session_id, number, stanza_id, reference) FROM STDIN BINARY";
    let mut writer = pin!(BinaryCopyInWriter::new(tx.copy_in(sql).await?, &TYPES));
    for offer in offers {
        let (queue, session): (Uuid, i64) = (offer.queue.as_uuid(), offer.session.get());
        let stanza = offer.job.message_id.as_ref().map(|stanza| stanza.as_str());
        for (seq, recipient) in (0_i32..).zip(&offer.job.numbers) {
            let number = recipient.number.as_text();
            let number: &str = &number;
            let reference = recipient.reference.as_ref().map(Reference::as_str);
            writer
                .as_mut()
                .write(&[&queue, &seq, &session, &number, &stanza, &reference])
                .await?;
        }
    }
    writer.finish().await?;
    Ok(())
}

/// The oldest queues of a session that run or are to: so many with a single recipient, and so many others. Those of which
/// all that is left waits for the end of restriction number `held` are passed over, and those that belong to another
/// account than this one, where one is named.
pub async fn active(
    store: &Store,
    session: SessionId,
    held: Option<u32>,
    account: Option<&str>,
    most: u32,
) -> Result<Vec<QueueRecord>, StoreError> {
    let of_kind = |kind: &str| {
        format!(
            "(SELECT {COLUMNS} FROM queue q
            WHERE q.session_id = $1 /* session */ AND q.finished_at IS NULL AND q.state IN (0, 1) AND {kind}
              AND (q.held_for IS NULL OR q.held_for IS DISTINCT FROM $3 /* held */)
              AND (q.account IS NULL OR q.account = coalesce($4 /* account */, q.account))
            ORDER BY q.created_at, q.id LIMIT $2 /* most */)"
        )
    };
    let sql = format!(
        "-- queues::active\n{} UNION ALL {}",
        of_kind("q.total = 1"),
        of_kind("q.total > 1")
    );
    let most = i64::from(most.min(PAGE_MAX));
    let held = held.map(restriction);
    let rows = store
        .query(&sql, &[&session.get(), &most, &held, &account])
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

/// Whether an older queue of its session is to be sent, too.
pub async fn is_behind_another(store: &Store, queue: &QueueRecord) -> Result<bool, StoreError> {
    let sql = "-- queues::is_behind_another
        SELECT EXISTS (SELECT FROM queue q
            WHERE q.session_id = $1 /* session */ AND q.finished_at IS NULL AND q.state IN (0, 1)
              AND (q.created_at, q.id) < ($2 /* time */, $3 /* id */))";
    let (session, id) = (queue.session.get(), queue.id.as_uuid());
    let row = store.query_one(sql, &[&session, &queue.created_at, &id]).await?;
    Ok(row.try_get(0)?)
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
    let token = Token::new(row.try_get("token")?).map_err(|_| StoreError::Corrupt("token"))?;
    Ok(Some((token, record(&row)?)))
}

/// Queues of a session, of one label if asked, newest first, behind the given one (`created_at` and id of the last one seen).
pub async fn list(
    store: &Store,
    session: SessionId,
    label: Option<&Label>,
    before: Option<(OffsetDateTime, QueueId)>,
    limit: u32,
) -> Result<Vec<QueueRecord>, StoreError> {
    let sql = format!(
        "-- queues::list
        SELECT {COLUMNS} FROM queue q
        WHERE q.session_id = $1 /* session */
          AND ($2::timestamptz IS NULL OR (q.created_at, q.id) < ($2 /* time */, $3::uuid /* id */))
          AND ($5::text IS NULL OR q.label = $5 /* label */)
        ORDER BY q.created_at DESC, q.id DESC LIMIT $4 /* limit */"
    );
    let (time, id) = before.map(|(time, id)| (time, id.as_uuid())).unzip();
    let limit = i64::from(limit.min(PAGE_MAX));
    let label = label.map(Label::as_str);
    let rows = store
        .query(&sql, &[&session.get(), &time, &id, &limit, &label])
        .await?;
    rows.iter().map(record).collect()
}

/// Forgets queues that were finished longer than `keep` ago, with their recipients, the oldest first: at most so many
/// recipients and [`FORGET_MAX`] queues in a call. A queue with more recipients goes with the last of them. Says how
/// many rows went, `None` when no queue is that old.
///
/// Needs no lease: nothing changes a finished queue any more. Two callers at once take different queues.
pub async fn forget_finished(store: &Store, keep: Duration, most: u32) -> Result<Option<u64>, StoreError> {
    let oldest = "-- queues::forget_finished (oldest)
        SELECT id, total FROM queue
        WHERE finished_at IS NOT NULL AND finished_at < now() - $1 /* keep */ * interval '1 second'
        ORDER BY finished_at LIMIT $2 /* queues */ FOR UPDATE SKIP LOCKED";
    let tx = store.begin("forget_queues").await?;
    let rows = tx
        .query(oldest, &[&keep.as_secs_f64(), &i64::from(FORGET_MAX)])
        .await?;
    let (mut whole, mut left): (Vec<Uuid>, u32) = (Vec::with_capacity(rows.len()), most);
    for row in &rows {
        match left.checked_sub(unsigned(row, "total")?) {
            Some(rest) => left = rest,
            None => break,
        }
        whole.push(row.try_get("id")?);
    }
    let forgotten = match rows.first() {
        None => None,
        Some(first) if whole.is_empty() => Some(forget_part(&tx, first.try_get("id")?, most).await?),
        Some(_) => Some(forget_whole(&tx, &whole).await?),
    };
    tx.commit().await?;
    Ok(forgotten)
}

async fn forget_whole(tx: &Tx, queues: &[Uuid]) -> Result<u64, StoreError> {
    let recipients = "-- queues::forget_finished (recipients)
        DELETE FROM recipient WHERE queue_id = ANY ($1 /* queues */)";
    let rows = "-- queues::forget_finished\nDELETE FROM queue WHERE id = ANY ($1 /* queues */)";
    Ok(tx.execute(recipients, &[&queues]).await? + tx.execute(rows, &[&queues]).await?)
}

/// Forgets so many recipients of a large queue, and the queue when there are no more.
async fn forget_part(tx: &Tx, queue: Uuid, most: u32) -> Result<u64, StoreError> {
    let recipients = "-- queues::forget_finished (some recipients)
        DELETE FROM recipient WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM recipient WHERE queue_id = $1 /* queue */ ORDER BY seq LIMIT $2 /* most */))";
    let forgotten = tx.execute(recipients, &[&queue, &i64::from(most)]).await?;
    if forgotten < u64::from(most) {
        return Ok(forgotten + forget_whole(tx, &[queue]).await?);
    }
    Ok(forgotten)
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
        on_unknown: match row.try_get::<_, i16>("on_unknown")? {
            0 => OnUnknown::Resend,
            _ => OnUnknown::Hold,
        },
        duplicates: match row.try_get::<_, i16>("duplicates")? {
            0 => Duplicates::Drop,
            _ => Duplicates::Allow,
        },
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
    })
}

fn unsigned(row: &Row, column: &str) -> Result<u32, StoreError> {
    u32::try_from(row.try_get::<_, i32>(column)?).map_err(|_| StoreError::Corrupt("negative count"))
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
