//! Recipients of queues: read here, changed by their owner through [`super::commit`].

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::polls::{self, SealedVote};
use super::previews::{self, Preview};
use super::uploads::{self, Upload};
use super::{Store, StoreError};
use crate::content::{Content, Variables};
use crate::id::{QueueId, SessionId, StanzaId};
use crate::job::Reference;
use crate::named::stored;
use crate::recipient::Number;

/// The attempts of a recipient that was being sent to when its queue came to another account: no more may follow.
pub const OF_ANOTHER_ACCOUNT: u16 = i16::MAX.unsigned_abs();

/// Most recipients that one page holds.
pub const PAGE_MAX: u32 = 1_000;

stored! {
    /// How a recipient stands. Moves forward only: queued → sending → sent → delivered → read, or to one of the
    /// last four from queued or sending; unknown may still turn out sent, delivered or read.
    RecipientState {
        /// Waiting for its turn.
        Queued = 0 "queued",
        /// Its message has an id and is leaving, or may have left before a crash.
        Sending = 1 "sending",
        /// The server has it.
        Sent = 2 "sent",
        /// A device of the recipient has it.
        Delivered = 3 "delivered",
        /// It was read.
        Read = 4 "read",
        /// It can't be sent.
        Failed = 5 "failed",
        /// It was not sent because its queue was deleted.
        Skipped = 6 "skipped",
        /// Nobody knows whether it was sent, and it is not sent again: it was not acknowledged, or cut off and to be held.
        Unknown = 7 "unknown",
        /// It was not sent because its account is that of another recipient of the queue.
        Duplicate = 8 "duplicate",
    }
}

impl RecipientState {
    /// Whether it is past sending.
    pub fn is_settled(self) -> bool {
        !matches!(self, Self::Queued | Self::Sending)
    }

    /// Whether a change to `next` moves forward. The SQL of [`super::commit`] holds the same rule.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued | Self::Sending | Self::Sent | Self::Delivered | Self::Read => {
                let settles_otherwise = matches!(
                    next,
                    Self::Failed | Self::Skipped | Self::Unknown | Self::Duplicate
                );
                if settles_otherwise {
                    !self.is_settled()
                } else {
                    next.code() > self.code()
                }
            }
            Self::Unknown => matches!(next, Self::Sent | Self::Delivered | Self::Read),
            Self::Failed | Self::Skipped | Self::Duplicate => false,
        }
    }
}

/// A recipient that is still to be sent to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pending {
    /// Its place in the queue.
    pub seq: u32,
    /// Who.
    pub number: Number,
    /// Queued, or sending when a crash may have cut it off.
    pub state: RecipientState,
    /// The id of its message, if it has one already: use it again.
    pub stanza: Option<StanzaId>,
    /// How often its message may have left without an answer; [`OF_ANOTHER_ACCOUNT`] if another account sent it.
    pub attempts: u16,
    /// What its caller calls it by.
    pub reference: Option<Reference>,
    /// The number that its account goes by, if it was sent to by another than its own.
    pub addressee: Option<Number>,
    /// What stands in the place of `{{name}}` for it, where texts are read for that.
    pub variables: Option<Variables>,
}

/// A recipient as stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecipientRecord {
    /// Its place in the queue.
    pub seq: u32,
    /// Who.
    pub number: Number,
    /// How it stands.
    pub state: RecipientState,
    /// The id of its message.
    pub stanza: Option<StanzaId>,
    /// How often its message may have left without an answer.
    pub attempts: u16,
    /// What its caller calls it by.
    pub reference: Option<Reference>,
    /// The number that its account goes by, if it was sent to by another than its own.
    pub addressee: Option<Number>,
    /// Why it failed or is unknown, in the manner of HTTP.
    pub error_status: Option<u16>,
    /// The same in words.
    pub error: Option<String>,
    /// When the server acknowledged it.
    pub sent_at: Option<OffsetDateTime>,
    /// When a device of the recipient had it.
    pub delivered_at: Option<OffsetDateTime>,
    /// When it was read.
    pub read_at: Option<OffsetDateTime>,
    /// What stands in the place of `{{name}}` for it, where texts are read for that.
    pub variables: Option<Variables>,
}

/// A sent message that a receipt or a retry asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct SentMessage {
    /// Its id.
    pub stanza: StanzaId,
    /// Its queue.
    pub queue: QueueId,
    /// Its place in the queue.
    pub seq: u32,
    /// To whom.
    pub number: Number,
    /// How it stands.
    pub state: RecipientState,
    /// What its queue says.
    pub content: Content,
    /// What of that stands in the place of `{{name}}`, where texts are read for that.
    pub variables: Option<Variables>,
    /// When its queue was accepted.
    pub accepted_at: OffsetDateTime,
    /// The jid of the session's account.
    pub owner: Option<String>,
    /// The file that went with it.
    pub upload: Option<Upload>,
    /// What is shown of the page that it links to.
    pub preview: Option<Preview>,
    /// What was chosen of a poll, where it is a vote.
    pub vote: Option<SealedVote>,
}

/// The next recipients of a queue that are queued or sending, behind `after`, in order. Those that wait for the end of
/// restriction number `held` are passed over.
pub async fn next(
    store: &Store,
    queue: QueueId,
    after: Option<u32>,
    held: Option<u32>,
    limit: u32,
) -> Result<Vec<Pending>, StoreError> {
    let sql = "-- recipients::next
        SELECT seq, number, state, stanza_id, attempts, reference, addressee, variables FROM recipient
        WHERE queue_id = $1 /* queue */ AND seq > $2 /* after */
          AND (state = 1 OR state = 0 AND (held_for IS NULL OR held_for IS DISTINCT FROM $3 /* held */))
        ORDER BY seq LIMIT $4 /* limit */";
    let limit = i64::from(limit.min(PAGE_MAX));
    let rows = store
        .query(
            sql,
            &[&queue.as_uuid(), &behind(after), &held.map(restriction), &limit],
        )
        .await?;
    let pending = |row: &Row| {
        Ok(Pending {
            seq: seq(row)?,
            number: number(row)?,
            state: state(row)?,
            stanza: stanza(row)?,
            attempts: attempts(row)?,
            reference: reference(row)?,
            addressee: addressee(row)?,
            variables: variables(row)?,
        })
    };
    rows.iter().map(pending).collect()
}

/// One page of a queue's recipients behind `after`, in order; of one state only if asked.
pub async fn page(
    store: &Store,
    queue: QueueId,
    only: Option<RecipientState>,
    after: Option<u32>,
    limit: u32,
) -> Result<Vec<RecipientRecord>, StoreError> {
    // In a deleted queue those that were queued are never sent: they read as skipped.
    let sql = "-- recipients::page
        SELECT r.seq, r.number, CASE WHEN q.state = 4 AND r.state = 0 THEN 6::smallint ELSE r.state END AS state,
            r.stanza_id, r.attempts, r.reference, r.addressee, r.error_status, r.error, r.sent_at, r.delivered_at,
            r.read_at, r.variables
        FROM recipient r JOIN queue q ON q.id = r.queue_id
        WHERE r.queue_id = $1 /* queue */ AND r.seq > $2 /* after */
          AND ($3::smallint IS NULL OR $3 /* state */ = CASE WHEN q.state = 4 AND r.state = 0 THEN 6 ELSE r.state END)
        ORDER BY r.seq LIMIT $4 /* limit */";
    let (only, limit) = (only.map(RecipientState::code), i64::from(limit.min(PAGE_MAX)));
    let rows = store
        .query(sql, &[&queue.as_uuid(), &behind(after), &only, &limit])
        .await?;
    rows.iter().map(record).collect()
}

/// How many recipients of a queue are in each state.
pub async fn counts(store: &Store, queue: QueueId) -> Result<Vec<(RecipientState, u32)>, StoreError> {
    let sql = "-- recipients::counts
        SELECT CASE WHEN q.state = 4 AND r.state = 0 THEN 6::smallint ELSE r.state END AS state, count(*)
        FROM recipient r JOIN queue q ON q.id = r.queue_id
        WHERE r.queue_id = $1 GROUP BY 1 ORDER BY 1";
    let rows = store.query(sql, &[&queue.as_uuid()]).await?;
    let count = |row: &Row| {
        let count: i64 = row.try_get(1)?;
        Ok((
            state(row)?,
            u32::try_from(count).map_err(|_| StoreError::Corrupt("count"))?,
        ))
    };
    rows.iter().map(count).collect()
}

/// How many recipients of a queue are in each state; those that failed, or are unknown, by why.
///
/// Counted when asked for: the rows of a queue lie together, and a counter would cost each send a write.
pub async fn tally(
    store: &Store,
    queue: QueueId,
) -> Result<Vec<(RecipientState, Option<u16>, u32)>, StoreError> {
    let sql = "-- recipients::tally
        SELECT CASE WHEN q.state = 4 AND r.state = 0 THEN 6::smallint ELSE r.state END AS state, r.error_status, r.count
        FROM (SELECT state, error_status, count(*) FROM recipient WHERE queue_id = $1 GROUP BY 1, 2) r
        JOIN queue q ON q.id = $1
        ORDER BY 1, 2";
    let rows = store.query(sql, &[&queue.as_uuid()]).await?;
    let entry = |row: &Row| {
        let (status, count): (Option<i16>, i64) = (row.try_get("error_status")?, row.try_get("count")?);
        let count = u32::try_from(count).map_err(|_| StoreError::Corrupt("count"))?;
        let status = status.and_then(|status| u16::try_from(status).ok());
        Ok((state(row)?, status, count))
    };
    rows.iter().map(entry).collect()
}

/// A recipient that failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failed {
    /// Its place in the queue, from 0.
    pub seq: u32,
    /// Who.
    pub number: Number,
    /// What its caller calls it by.
    pub reference: Option<Reference>,
    /// What stands in the place of `{{name}}` for it.
    pub variables: Option<Variables>,
}

/// The recipients of a queue that failed, in their order; only those with one of `codes`, if there are any.
pub async fn failed(store: &Store, queue: QueueId, codes: &[u16]) -> Result<Vec<Failed>, StoreError> {
    let sql = "-- recipients::failed
        SELECT seq, number, reference, variables FROM recipient
        WHERE queue_id = $1 /* queue */ AND state = 5
          AND (cardinality($2::smallint[]) = 0 OR error_status = ANY($2 /* codes */))
        ORDER BY seq";
    let codes: Vec<i16> = codes
        .iter()
        .filter_map(|code| i16::try_from(*code).ok())
        .collect();
    let rows = store.query(sql, &[&queue.as_uuid(), &codes]).await?;
    let failed = |row: &Row| {
        Ok(Failed {
            seq: seq(row)?,
            number: number(row)?,
            reference: reference(row)?,
            variables: variables(row)?,
        })
    };
    rows.iter().map(failed).collect()
}

/// The recipient that a message of a session went, or is to go, to; and its queue.
pub async fn of_message(
    store: &Store,
    session: SessionId,
    message: &StanzaId,
) -> Result<Option<(QueueId, RecipientRecord)>, StoreError> {
    let sql = "-- recipients::of_message
        SELECT r.queue_id, r.seq, r.number, CASE WHEN q.state = 4 AND r.state = 0 THEN 6::smallint ELSE r.state END AS state,
            r.stanza_id, r.attempts, r.reference, r.addressee, r.error_status, r.error, r.sent_at, r.delivered_at, r.read_at,
            r.variables
        FROM recipient r JOIN queue q ON q.id = r.queue_id
        WHERE r.session_id = $1 /* session */ AND r.stanza_id = $2 /* message */";
    let row = store.query_opt(sql, &[&session.get(), &message.as_str()]).await?;
    row.map(|row| Ok((QueueId::new(row.try_get("queue_id")?), record(&row)?)))
        .transpose()
}

/// How many recipients of a queue wait for the end of a restriction.
pub async fn held(store: &Store, queue: QueueId, held: u32) -> Result<u32, StoreError> {
    let sql = "-- recipients::held
        SELECT count(*) FROM recipient WHERE queue_id = $1 /* queue */ AND state = 0 AND held_for = $2 /* held */";
    let row = store
        .query_opt(sql, &[&queue.as_uuid(), &restriction(held)])
        .await?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
    u32::try_from(count).map_err(|_| StoreError::Corrupt("count"))
}

/// The number of a restriction, as the database has it.
pub(super) fn restriction(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// What the events of a queue list of its recipients, in order.
#[derive(Clone, Debug)]
pub struct Lists {
    /// The first of them.
    pub numbers: Vec<Number>,
    /// The ids of the messages sent to those.
    pub stanzas: Vec<StanzaId>,
}

/// The first recipients of a queue, and the ids of the first messages sent: for its events.
pub async fn lists(store: &Store, queue: QueueId, limit: usize) -> Result<Lists, StoreError> {
    let sql = "-- recipients::lists
        SELECT number, CASE WHEN state IN (2, 3, 4) THEN stanza_id END AS stanza_id
        FROM recipient WHERE queue_id = $1 ORDER BY seq LIMIT $2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = store.query(sql, &[&queue.as_uuid(), &limit]).await?;
    let (mut numbers, mut stanzas) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in &rows {
        numbers.push(number(row)?);
        stanzas.extend(stanza(row)?);
    }
    Ok(Lists { numbers, stanzas })
}

/// The accounts that the recipients of a queue go by, as far as is known: their numbers, and those that WhatsApp said
/// instead. With their places.
pub async fn accounts(store: &Store, queue: QueueId) -> Result<Vec<(u32, Number)>, StoreError> {
    let sql = "-- recipients::accounts
        SELECT seq, number FROM recipient WHERE queue_id = $1 /* queue */
        UNION ALL
        SELECT seq, addressee FROM recipient WHERE queue_id = $1 /* queue */ AND addressee IS NOT NULL";
    let rows = store.query(sql, &[&queue.as_uuid()]).await?;
    rows.iter().map(|row| Ok((seq(row)?, number(row)?))).collect()
}

/// The messages of a session with these ids, in no order; unknown ids are left out.
pub async fn find_by_stanza(
    store: &Store,
    session: SessionId,
    stanzas: &[StanzaId],
) -> Result<Vec<SentMessage>, StoreError> {
    let sql = "-- recipients::find_by_stanza
        SELECT r.stanza_id, r.queue_id, r.seq, r.number, r.state, r.variables, q.content, q.created_at, s.jid,
            u.uploaded_at, u.mimetype, u.as_document,
            u.length, u.media_key, u.sha256, u.enc_sha256, u.direct_path, u.url, u.expires_at,
            u.width, u.height, u.seconds, u.thumbnail, u.waveform, u.is_animated, p.link, p.title, p.description,
            p.thumbnail AS small_picture, v.iv AS vote_iv, v.payload AS vote
        FROM recipient r JOIN queue q ON q.id = r.queue_id JOIN session s ON s.id = r.session_id
        LEFT JOIN LATERAL (SELECT * FROM queue_upload
            WHERE queue_id = r.queue_id AND uploaded_at <= coalesce(r.sent_at, 'infinity')
            ORDER BY uploaded_at DESC LIMIT 1) u ON true
        LEFT JOIN queue_preview p ON p.queue_id = r.queue_id
        LEFT JOIN queue_vote v ON v.queue_id = r.queue_id
        WHERE r.session_id = $1 /* session */ AND r.stanza_id = ANY($2 /* stanzas */)";
    let ids: Vec<&str> = stanzas.iter().map(StanzaId::as_str).collect();
    let rows = store.query(sql, &[&session.get(), &ids]).await?;
    let message = |row: &Row| {
        let Json(content) = row.try_get("content")?;
        Ok(SentMessage {
            stanza: stanza(row)?.ok_or(StoreError::Corrupt("stanza id"))?,
            queue: QueueId::new(row.try_get("queue_id")?),
            seq: seq(row)?,
            number: number(row)?,
            state: state(row)?,
            content,
            variables: variables(row)?,
            accepted_at: row.try_get("created_at")?,
            owner: row.try_get("jid")?,
            upload: uploads::record(row)?,
            preview: previews::record(row)?,
            vote: polls::vote(row)?,
        })
    };
    rows.iter().map(message).collect()
}

fn record(row: &Row) -> Result<RecipientRecord, StoreError> {
    let error_status: Option<i16> = row.try_get("error_status")?;
    Ok(RecipientRecord {
        seq: seq(row)?,
        number: number(row)?,
        state: state(row)?,
        stanza: stanza(row)?,
        attempts: attempts(row)?,
        reference: reference(row)?,
        addressee: addressee(row)?,
        error_status: error_status.and_then(|status| u16::try_from(status).ok()),
        error: row.try_get("error")?,
        sent_at: row.try_get("sent_at")?,
        delivered_at: row.try_get("delivered_at")?,
        read_at: row.try_get("read_at")?,
        variables: variables(row)?,
    })
}

/// What a recipient gets of its queue's content.
pub(super) fn told(row: &Row) -> Result<Content, StoreError> {
    let Json(content): Json<Content> = row.try_get("content")?;
    Ok(match variables(row)? {
        Some(variables) => content.filled(&variables),
        None => content,
    })
}

pub(super) fn variables(row: &Row) -> Result<Option<Variables>, StoreError> {
    let stored: Option<Json<Variables>> = row.try_get("variables")?;
    Ok(stored.map(|Json(variables)| variables))
}

fn behind(after: Option<u32>) -> i32 {
    after.map_or(-1, |seq| i32::try_from(seq).unwrap_or(i32::MAX))
}

fn seq(row: &Row) -> Result<u32, StoreError> {
    u32::try_from(row.try_get::<_, i32>("seq")?).map_err(|_| StoreError::Corrupt("negative place"))
}

fn attempts(row: &Row) -> Result<u16, StoreError> {
    u16::try_from(row.try_get::<_, i16>("attempts")?).map_err(|_| StoreError::Corrupt("attempts"))
}

fn number(row: &Row) -> Result<Number, StoreError> {
    Number::stored(row.try_get("number")?).map_err(|_| StoreError::Corrupt("number"))
}

fn addressee(row: &Row) -> Result<Option<Number>, StoreError> {
    let text: Option<&str> = row.try_get("addressee")?;
    text.map(|text| Number::stored(text).map_err(|_| StoreError::Corrupt("number")))
        .transpose()
}

/// What a caller calls a queue or a recipient by.
pub(super) fn reference(row: &Row) -> Result<Option<Reference>, StoreError> {
    let text: Option<&str> = row.try_get("reference")?;
    text.map(|text| Reference::new(text).map_err(|_| StoreError::Corrupt("reference")))
        .transpose()
}

fn state(row: &Row) -> Result<RecipientState, StoreError> {
    let state = RecipientState::from_code(row.try_get("state")?);
    state.ok_or(StoreError::Corrupt("recipient state out of range"))
}

fn stanza(row: &Row) -> Result<Option<StanzaId>, StoreError> {
    let text: Option<&str> = row.try_get("stanza_id")?;
    text.map(|text| StanzaId::new(text).map_err(|_| StoreError::Corrupt("stanza id")))
        .transpose()
}
