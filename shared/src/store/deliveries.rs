//! Deliveries that did not succeed at once: put off here, leased when due, and kept when given up.
//!
//! The order in which the rows of an endpoint are tried is that of `next_attempt_at`. What was not tried yet, or is to be
//! tried anew, has its turn there: the time of its event, which is over, and the event's sequence behind it.

pub mod at_once;
pub mod replays;
pub mod upkeep;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::traces::trace;
use super::{Store, StoreError};
use crate::id::{DeliveryId, EventId, Token, WebhookId};
use crate::named::stored;
use crate::trace::TraceContext;

/// The event by which a webhook is tried out: it is attempted once.
pub const TEST_EVENT: &str = "webhook.test";
/// Most deliveries that one page of a listing holds.
pub const PAGE_MAX: u32 = 1_000;
/// Most attempts that a row's history shows; the oldest go first.
pub const HISTORY_MAX: i32 = 64;

stored! {
    /// How a delivery stands.
    DeliveryState {
        /// Waits for its next attempt.
        Pending = 0 "pending",
        /// The endpoint took it.
        Delivered = 1 "delivered",
        /// Given up; can be replayed.
        Dead = 2 "dead",
        /// Cancelled by somebody.
        Cancelled = 3 "cancelled",
    }
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// The endpoint has it.
    Delivered,
    /// Try again after this time.
    Retry(Duration),
    /// Try when its turn comes, in the order of events.
    InTurn,
    /// Give up.
    Dead,
}

/// One attempt, for the record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attempted {
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong, in words of ours.
    pub error: Option<&'static str>,
    /// How long it took, in milliseconds.
    pub took_ms: u32,
    /// The beginning of what was answered, for a test alone.
    pub answer: Option<String>,
}

/// A delivery to store.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// To whom.
    pub webhook: WebhookId,
    /// Which event.
    pub event_id: EventId,
    /// The event's session.
    pub token: Token,
    /// The event's name.
    pub event: String,
    /// The event's place among those of its session; 0 where it has none.
    pub sequence: i64,
    /// What is posted.
    pub body: String,
    /// The first attempt, if it is over.
    pub attempted: Option<Attempted>,
    /// What comes next.
    pub fate: Fate,
    /// Leases the row to the caller at once, whose first attempt is under way.
    pub lease: Option<Duration>,
    /// The trace of the event.
    pub trace: Option<TraceContext>,
}

/// One attempt of a row's history.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When it ended, in milliseconds since 1970.
    pub at: i64,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub ms: u32,
}

/// A delivery as stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeliveryRecord {
    /// Its id.
    pub id: DeliveryId,
    /// To whom.
    pub webhook: WebhookId,
    /// Which event.
    pub event_id: EventId,
    /// The event's session.
    pub token: String,
    /// The event's name.
    pub event: String,
    /// What is posted.
    pub body: String,
    /// How it stands.
    pub state: DeliveryState,
    /// Attempts made since it was stored or last replayed.
    pub attempts: u32,
    /// All attempts, oldest first.
    pub history: Vec<HistoryEntry>,
    /// When the next is due.
    pub next_attempt_at: Option<OffsetDateTime>,
    /// HTTP status of the last answer.
    pub last_status: Option<u16>,
    /// What went wrong at the last attempt.
    pub last_error: Option<String>,
    /// The beginning of what a test was answered.
    pub answer: Option<String>,
    /// When the first attempt failed, was put off, or was taken.
    pub created_at: OffsetDateTime,
    /// When it was delivered, given up or cancelled.
    pub finished_at: Option<OffsetDateTime>,
}

/// A delivery that this worker has to itself until its lease ends.
#[derive(Clone, Debug)]
pub struct Leased {
    /// Its id.
    pub id: DeliveryId,
    /// To whom.
    pub webhook: WebhookId,
    /// Which event.
    pub event_id: EventId,
    /// The event's session.
    pub token: Token,
    /// The event's name.
    pub event: String,
    /// What is posted.
    pub body: String,
    /// Attempts made so far.
    pub attempts: u32,
    /// The trace of the event.
    pub trace: Option<TraceContext>,
    /// `None` if it is not this worker's.
    lease: Option<Uuid>,
}

const COLUMNS: &str = "d.id, d.webhook_id, d.event_id, d.token, d.event, d.body, d.state, d.attempts, d.history, \
     d.next_attempt_at, d.last_status, d.last_error, d.answer, d.created_at, d.finished_at";

/// Stores a delivery and returns it, leased if that was asked for; `None` when the webhook has a row for the event
/// already, or is gone.
pub async fn insert(store: &Store, new: &NewDelivery) -> Result<Option<Leased>, StoreError> {
    let turn = turn("$3::uuid", "$14::bigint");
    let sql = format!(
        "-- deliveries::insert
        INSERT INTO delivery (id, webhook_id, event_id, token, event, body, state, attempts, next_attempt_at,
            finished_at, leased_until, lease_token, last_status, last_error, history, sequence,
            traceparent)
        SELECT $1::uuid, webhook.id, $3::uuid /* event_id */, $4::text /* token */, $5::text /* event */,
            $6::text /* body */, $7::smallint /* state */, $8::integer /* attempts */,
            CASE WHEN $7 = 0 THEN coalesce(
                clock_timestamp() + $9::float8 /* wait */ * interval '1 second', {turn}) END,
            CASE WHEN $7 <> 0 THEN clock_timestamp() END,
            clock_timestamp() + $10::float8 /* lease */ * interval '1 second',
            CASE WHEN $10 IS NOT NULL THEN gen_random_uuid() END,
            $11::smallint /* status */, $12::text /* error */,
            CASE WHEN $13::jsonb /* entry */ IS NULL THEN '[]' ELSE jsonb_build_array($13 || jsonb_build_object(
                'at', floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)) END,
            $14 /* sequence */, $15::text /* traceparent */
        FROM webhook WHERE webhook.id = $2::uuid FOR KEY SHARE
        ON CONFLICT (webhook_id, event_id) DO NOTHING
        RETURNING lease_token"
    );
    let (state, wait) = fate_columns(new.fate);
    let attempts = i32::from(new.attempted.is_some());
    let entry = new.attempted.as_ref().map(entry);
    let (status, error) = new.attempted.as_ref().map_or((None, None), outcome_columns);
    let parameters: [&(dyn ToSql + Sync); 15] = [
        &new.id.as_uuid(),
        &new.webhook.as_uuid(),
        &new.event_id.as_uuid(),
        &new.token.as_str(),
        &new.event,
        &new.body,
        &state,
        &attempts,
        &wait,
        &new.lease.map(|lease| lease.as_secs_f64()),
        &status,
        &error,
        &entry,
        &new.sequence,
        &new.trace,
    ];
    let Some(row) = store.query_opt(&sql, &parameters).await? else {
        return Ok(None);
    };
    Ok(Some(Leased {
        id: new.id,
        webhook: new.webhook,
        event_id: new.event_id,
        token: new.token.clone(),
        event: new.event.clone(),
        body: new.body.clone(),
        attempts: u32::from(new.attempted.is_some()),
        trace: new.trace,
        lease: row.try_get(0)?,
    }))
}

/// Leases due deliveries, oldest first, at most `share` of one endpoint, and none of those in `resting`. A worker that
/// dies leaves them due again when the lease ends.
pub async fn lease_due(
    store: &Store,
    limit: u32,
    share: u32,
    resting: &[WebhookId],
    ttl: Duration,
) -> Result<Vec<Leased>, StoreError> {
    // Endpoint by endpoint, each found by one step in the index: the backlog of one is not read to find the others'.
    // `now()` is as good as the clock here, and unlike it can end a range of the index.
    let sql = "-- deliveries::lease_due
        WITH RECURSIVE endpoint AS (
            (SELECT webhook_id AS id FROM delivery WHERE state = 0 ORDER BY webhook_id LIMIT 1)
            UNION ALL
            SELECT (SELECT d.webhook_id FROM delivery d WHERE d.state = 0 AND d.webhook_id > e.id
                    ORDER BY d.webhook_id LIMIT 1)
            FROM endpoint e WHERE e.id IS NOT NULL),
        due AS (
            SELECT d.id FROM endpoint e JOIN webhook w ON w.id = e.id, LATERAL (
                SELECT o.id, o.next_attempt_at FROM delivery o
                WHERE o.webhook_id = e.id AND o.state = 0 AND o.next_attempt_at <= now()
                  AND (o.leased_until IS NULL OR o.leased_until <= now())
                ORDER BY o.next_attempt_at LIMIT $3 /* share */ FOR UPDATE SKIP LOCKED) d
            WHERE w.disabled_at IS NULL AND e.id <> ALL ($4::uuid[] /* resting */)
            ORDER BY d.next_attempt_at LIMIT $1 /* limit */)
        UPDATE delivery d
        SET leased_until = clock_timestamp() + $2 /* ttl */ * interval '1 second', lease_token = gen_random_uuid()
        FROM due WHERE d.id = due.id
        RETURNING d.id, d.webhook_id, d.event_id, d.body, d.attempts, d.lease_token, d.token, d.event,
            d.next_attempt_at, d.traceparent";
    let resting: Vec<Uuid> = resting.iter().map(|id| id.as_uuid()).collect();
    let rows = store
        .query(
            sql,
            &[
                &i64::from(limit.min(PAGE_MAX)),
                &ttl.as_secs_f64(),
                &i64::from(share),
                &resting,
            ],
        )
        .await?;
    let leased = |row: &Row| {
        let token: &str = row.try_get(6)?;
        let leased = Leased {
            id: DeliveryId::new(row.try_get(0)?),
            webhook: WebhookId::new(row.try_get(1)?),
            event_id: EventId::new(row.try_get(2)?),
            token: Token::new(token).map_err(|_| StoreError::Corrupt("token"))?,
            event: row.try_get(7)?,
            body: row.try_get(3)?,
            attempts: count(row.try_get(4)?)?,
            trace: trace(row, "traceparent")?,
            lease: row.try_get(5)?,
        };
        Ok((row.try_get::<_, Option<OffsetDateTime>>(8)?, leased))
    };
    // An update returns its rows in any order.
    let mut leased = rows.iter().map(leased).collect::<Result<Vec<_>, StoreError>>()?;
    leased.sort_by_key(|(due, _)| *due);
    Ok(leased.into_iter().map(|(_, leased)| leased).collect())
}

/// Records an attempt of a leased delivery and ends the lease. Whether it was still ours: if not, somebody else has
/// the row, and this attempt is forgotten.
pub async fn finish_attempt(
    store: &Store,
    leased: &Leased,
    attempted: &Attempted,
    fate: Fate,
) -> Result<bool, StoreError> {
    let sql = "-- deliveries::finish_attempt
        UPDATE delivery
        SET state = $3::smallint, attempts = attempts + 1,
            next_attempt_at = CASE WHEN $3 = 0 THEN coalesce(
                clock_timestamp() + $4::float8 /* wait */ * interval '1 second', next_attempt_at) END,
            answer = $9 /* answer */, finished_at = CASE WHEN $3 <> 0 THEN clock_timestamp() END,
            leased_until = NULL, lease_token = NULL, last_status = $5 /* status */, last_error = $6 /* error */,
            history = CASE WHEN jsonb_array_length(history) >= $8 /* most */ THEN history - 0 ELSE history END
                || jsonb_build_array($7::jsonb /* entry */ || jsonb_build_object(
                    'at', floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint))
        WHERE id = $1 /* id */ AND lease_token = $2 /* lease */";
    let (state, wait) = fate_columns(fate);
    let (status, error) = outcome_columns(attempted);
    let entry = entry(attempted);
    let parameters: [&(dyn ToSql + Sync); 9] = [
        &leased.id.as_uuid(),
        &leased.lease,
        &state,
        &wait,
        &status,
        &error,
        &entry,
        &HISTORY_MAX,
        &attempted.answer,
    ];
    Ok(store.execute(sql, &parameters).await? > 0)
}

/// Gives a leased delivery back without an attempt, to be due after `wait`.
pub async fn put_off(store: &Store, leased: &Leased, wait: Duration) -> Result<(), StoreError> {
    let sql = "-- deliveries::put_off
        UPDATE delivery SET next_attempt_at = clock_timestamp() + $3 /* wait */ * interval '1 second',
            leased_until = NULL, lease_token = NULL
        WHERE id = $1 /* id */ AND lease_token = $2 /* lease */";
    store
        .execute(sql, &[&leased.id.as_uuid(), &leased.lease, &wait.as_secs_f64()])
        .await?;
    Ok(())
}

/// Gives a leased delivery back without an attempt: it keeps its place before those that are due later.
pub async fn release(store: &Store, leased: &Leased) -> Result<(), StoreError> {
    let sql = "-- deliveries::release
        UPDATE delivery SET leased_until = NULL, lease_token = NULL
        WHERE id = $1 /* id */ AND lease_token = $2 /* lease */";
    store.execute(sql, &[&leased.id.as_uuid(), &leased.lease]).await?;
    Ok(())
}

/// When the delivery of an event has its turn, from SQL for the event's id and its sequence. Ids of events tell their
/// time; within a millisecond the sequence decides.
fn turn(event: &str, sequence: &str) -> String {
    format!(
        "least(clock_timestamp(), to_timestamp(
            ('x' || substr(replace(({event})::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0)
            + ({sequence}) % 1000 * interval '1 microsecond')"
    )
}

/// State and, where another attempt is due, the seconds until then.
fn fate_columns(fate: Fate) -> (i16, Option<f64>) {
    match fate {
        Fate::Delivered => (DeliveryState::Delivered.code(), None),
        Fate::Retry(wait) => (DeliveryState::Pending.code(), Some(wait.as_secs_f64())),
        Fate::InTurn => (DeliveryState::Pending.code(), None),
        Fate::Dead => (DeliveryState::Dead.code(), None),
    }
}

fn outcome_columns(attempted: &Attempted) -> (Option<i16>, Option<&'static str>) {
    (
        attempted.status.and_then(|status| i16::try_from(status).ok()),
        attempted.error,
    )
}

/// An entry of the history, without its time.
fn entry(attempted: &Attempted) -> serde_json::Value {
    json!({ "status": attempted.status, "error": attempted.error, "ms": attempted.took_ms })
}

fn count(number: i32) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|_| StoreError::Corrupt("attempts out of range"))
}

fn record(row: &Row) -> Result<DeliveryRecord, StoreError> {
    let status: Option<i16> = row.try_get("last_status")?;
    let history: serde_json::Value = row.try_get("history")?;
    Ok(DeliveryRecord {
        id: DeliveryId::new(row.try_get("id")?),
        webhook: WebhookId::new(row.try_get("webhook_id")?),
        event_id: EventId::new(row.try_get("event_id")?),
        token: row.try_get("token")?,
        event: row.try_get("event")?,
        body: row.try_get("body")?,
        state: DeliveryState::from_code(row.try_get("state")?)
            .ok_or(StoreError::Corrupt("delivery state out of range"))?,
        attempts: count(row.try_get("attempts")?)?,
        history: serde_json::from_value(history).map_err(|_| StoreError::Corrupt("delivery history"))?,
        next_attempt_at: row.try_get("next_attempt_at")?,
        last_status: status.and_then(|status| u16::try_from(status).ok()),
        last_error: row.try_get("last_error")?,
        answer: row.try_get("answer")?,
        created_at: row.try_get("created_at")?,
        finished_at: row.try_get("finished_at")?,
    })
}
