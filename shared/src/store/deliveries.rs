//! Deliveries that did not succeed at once: put off here, leased when due, and kept when given up.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::id::{DeliveryId, EventId, Token, WebhookId};

/// Most deliveries that one page of a listing holds.
pub const PAGE_MAX: u32 = 1_000;

/// How a delivery stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Waits for its next attempt.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// Given up; can be replayed.
    Dead,
    /// Cancelled by somebody.
    Cancelled,
}

impl DeliveryState {
    const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Dead, Self::Cancelled];

    fn code(self) -> i16 {
        match self {
            Self::Pending => 0,
            Self::Delivered => 1,
            Self::Dead => 2,
            Self::Cancelled => 3,
        }
    }

    fn from_code(code: i16) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|state| state.code() == code);
        found.ok_or(StoreError::Corrupt("delivery state out of range"))
    }
}

/// A delivery to put off.
#[derive(Clone, Debug)]
pub struct NewDelivery {
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
    /// Attempts made so far (0 if the circuit was open).
    pub attempts: u32,
    /// HTTP status of the last answer, if there was one.
    pub last_status: Option<u16>,
    /// What went wrong.
    pub last_error: Option<String>,
    /// In how long the next attempt is due.
    pub retry_in: Duration,
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
    /// Attempts made.
    pub attempts: u32,
    /// When the next is due.
    pub next_attempt_at: Option<OffsetDateTime>,
    /// HTTP status of the last answer.
    pub last_status: Option<u16>,
    /// What went wrong at the last attempt.
    pub last_error: Option<String>,
    /// When the first attempt failed.
    pub created_at: OffsetDateTime,
    /// When it was delivered, given up or cancelled.
    pub finished_at: Option<OffsetDateTime>,
}

/// A due delivery that this worker has to itself until its lease ends.
#[derive(Clone, Debug)]
pub struct Leased {
    /// The delivery.
    pub delivery: DeliveryRecord,
    lease: Uuid,
}

/// How an attempt went wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// HTTP status of the answer, if there was one.
    pub status: Option<u16>,
    /// What went wrong (no personal data).
    pub error: String,
}

const COLUMNS: &str = "d.id, d.webhook_id, d.event_id, d.token, d.event, d.body, d.state, d.attempts, \
     d.next_attempt_at, d.last_status, d.last_error, d.created_at, d.finished_at";

/// Puts a delivery off. Adds nothing if the webhook has a row for the event already.
///
/// # Errors
/// [`StoreError::Refused`] (the webhook is gone), [`StoreError::Unavailable`].
pub async fn put_off(store: &Store, delivery: &NewDelivery) -> Result<(), StoreError> {
    let sql = "-- deliveries::put_off
        INSERT INTO delivery (id, webhook_id, event_id, token, event, body, attempts, last_status, last_error,
            next_attempt_at)
        SELECT $1 /* id */, id, $3 /* event_id */, $4 /* token */, $5 /* event */, $6 /* body */,
            $7 /* attempts */, $8 /* status */, left($9 /* error */, 500),
            clock_timestamp() + $10 /* retry_in */ * interval '1 second'
        FROM webhook WHERE id = $2 /* webhook */ FOR KEY SHARE
        ON CONFLICT (webhook_id, event_id) DO NOTHING";
    let client = store.client().await?;
    let statement = client.prepare_cached(sql).await?;
    let status = delivery.last_status.and_then(|status| i16::try_from(status).ok());
    client
        .execute(
            &statement,
            &[
                &DeliveryId::now_v7().as_uuid(),
                &delivery.webhook.as_uuid(),
                &delivery.event_id.as_uuid(),
                &delivery.token.as_str(),
                &delivery.event,
                &delivery.body,
                &i32::try_from(delivery.attempts).unwrap_or(i32::MAX),
                &status,
                &delivery.last_error,
                &delivery.retry_in.as_secs_f64(),
            ],
        )
        .await?;
    Ok(())
}

/// Leases due deliveries, oldest first. A worker that dies leaves them due again when the lease ends.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn lease_due(store: &Store, limit: u32, ttl: Duration) -> Result<Vec<Leased>, StoreError> {
    let sql = format!(
        "-- deliveries::lease_due
        WITH due AS (
            SELECT d.id FROM delivery d JOIN webhook w ON w.id = d.webhook_id
            WHERE d.state = 0 AND d.next_attempt_at <= clock_timestamp() AND w.disabled_at IS NULL
              AND (d.leased_until IS NULL OR d.leased_until <= clock_timestamp())
            ORDER BY d.next_attempt_at LIMIT $1 /* limit */ FOR UPDATE OF d SKIP LOCKED)
        UPDATE delivery d
        SET leased_until = clock_timestamp() + $2 /* ttl */ * interval '1 second', lease_token = $3 /* lease */
        FROM due WHERE d.id = due.id
        RETURNING {COLUMNS}"
    );
    let lease = Uuid::new_v4();
    let client = store.client().await?;
    let statement = client.prepare_cached(&sql).await?;
    let rows = client
        .query(&statement, &[&i64::from(limit.min(PAGE_MAX)), &ttl.as_secs_f64(), &lease])
        .await?;
    rows.iter().map(|row| Ok(Leased { delivery: record(row)?, lease })).collect()
}

/// The endpoint took it.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn succeed(store: &Store, leased: Leased, status: u16) -> Result<(), StoreError> {
    let failure = Failure { status: Some(status), error: String::new() };
    finish(store, leased, DeliveryState::Delivered, &failure).await
}

/// It is given up.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn give_up(store: &Store, leased: Leased, failure: &Failure) -> Result<(), StoreError> {
    finish(store, leased, DeliveryState::Dead, failure).await
}

async fn finish(
    store: &Store,
    leased: Leased,
    state: DeliveryState,
    failure: &Failure,
) -> Result<(), StoreError> {
    let sql = "-- deliveries::finish
        UPDATE delivery SET state = $3 /* state */, attempts = attempts + 1, next_attempt_at = NULL,
            leased_until = NULL, lease_token = NULL, last_status = $4 /* status */,
            last_error = nullif(left($5 /* error */, 500), ''), finished_at = clock_timestamp()
        WHERE id = $1 /* id */ AND lease_token = $2 /* lease */";
    let client = store.client().await?;
    let statement = client.prepare_cached(sql).await?;
    let status = failure.status.and_then(|status| i16::try_from(status).ok());
    let id = leased.delivery.id.as_uuid();
    client.execute(&statement, &[&id, &leased.lease, &state.code(), &status, &failure.error]).await?;
    Ok(())
}

/// It is tried again later. `counts` says whether this was an attempt (not so when the circuit was open).
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn retry(
    store: &Store,
    leased: Leased,
    failure: Option<&Failure>,
    retry_in: Duration,
) -> Result<(), StoreError> {
    let sql = "-- deliveries::retry
        UPDATE delivery SET attempts = attempts + $3 /* attempts */, leased_until = NULL, lease_token = NULL,
            last_status = CASE WHEN $3 = 1 THEN $4 /* status */ ELSE last_status END,
            last_error = CASE WHEN $3 = 1 THEN left($5 /* error */, 500) ELSE last_error END,
            next_attempt_at = clock_timestamp() + $6 /* retry_in */ * interval '1 second'
        WHERE id = $1 /* id */ AND lease_token = $2 /* lease */";
    let attempts = i32::from(failure.is_some());
    let status = failure.and_then(|f| f.status).and_then(|status| i16::try_from(status).ok());
    let error = failure.map(|f| f.error.as_str());
    let client = store.client().await?;
    let statement = client.prepare_cached(sql).await?;
    client
        .execute(
            &statement,
            &[&leased.delivery.id.as_uuid(), &leased.lease, &attempts, &status, &error, &retry_in.as_secs_f64()],
        )
        .await?;
    Ok(())
}

/// Deliveries of a webhook, newest first, behind the given one; of one state only if asked.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list(
    store: &Store,
    webhook: WebhookId,
    only: Option<DeliveryState>,
    before: Option<(OffsetDateTime, DeliveryId)>,
    limit: u32,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let sql = format!(
        "-- deliveries::list
        SELECT {COLUMNS} FROM delivery d
        WHERE d.webhook_id = $1 /* webhook */ AND ($2::smallint IS NULL OR d.state = $2 /* state */)
          AND ($3::timestamptz IS NULL OR (d.created_at, d.id) < ($3 /* time */, $4::uuid /* id */))
        ORDER BY d.created_at DESC, d.id DESC LIMIT $5 /* limit */"
    );
    let (time, id) = before.map(|(time, id)| (time, id.as_uuid())).unzip();
    let (only, limit) = (only.map(DeliveryState::code), i64::from(limit.min(PAGE_MAX)));
    let client = store.client().await?;
    let statement = client.prepare_cached(&sql).await?;
    let rows = client.query(&statement, &[&webhook.as_uuid(), &only, &time, &id, &limit]).await?;
    rows.iter().map(record).collect()
}

/// Makes a dead or cancelled delivery due again, with its attempts counted from 0; says whether there was one.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn replay(store: &Store, webhook: WebhookId, id: DeliveryId) -> Result<bool, StoreError> {
    let sql = "-- deliveries::replay
        UPDATE delivery SET state = 0, attempts = 0, next_attempt_at = clock_timestamp(), finished_at = NULL
        WHERE id = $1 AND webhook_id = $2 AND state IN (2, 3)";
    Ok(store.client().await?.execute(sql, &[&id.as_uuid(), &webhook.as_uuid()]).await? > 0)
}

/// Cancels a pending delivery; says whether there was one.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn cancel(store: &Store, webhook: WebhookId, id: DeliveryId) -> Result<bool, StoreError> {
    let sql = "-- deliveries::cancel
        UPDATE delivery SET state = 3, next_attempt_at = NULL, leased_until = NULL, lease_token = NULL,
            finished_at = clock_timestamp()
        WHERE id = $1 AND webhook_id = $2 AND state = 0";
    Ok(store.client().await?.execute(sql, &[&id.as_uuid(), &webhook.as_uuid()]).await? > 0)
}

/// When the next pending delivery is due, for the loop that waits for it.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn next_due_in(store: &Store) -> Result<Option<Duration>, StoreError> {
    let sql = "-- deliveries::next_due_in
        SELECT extract(epoch FROM min(greatest(next_attempt_at, leased_until)) - clock_timestamp())::float8
        FROM delivery WHERE state = 0";
    let seconds: Option<f64> = store.client().await?.query_one(sql, &[]).await?.try_get(0)?;
    Ok(seconds.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))))
}

fn record(row: &Row) -> Result<DeliveryRecord, StoreError> {
    let status: Option<i16> = row.try_get("last_status")?;
    let attempts: i32 = row.try_get("attempts")?;
    Ok(DeliveryRecord {
        id: DeliveryId::new(row.try_get("id")?),
        webhook: WebhookId::new(row.try_get("webhook_id")?),
        event_id: EventId::new(row.try_get("event_id")?),
        token: row.try_get("token")?,
        event: row.try_get("event")?,
        body: row.try_get("body")?,
        state: DeliveryState::from_code(row.try_get("state")?)?,
        attempts: u32::try_from(attempts).map_err(|_| StoreError::Corrupt("attempts"))?,
        next_attempt_at: row.try_get("next_attempt_at")?,
        last_status: status.and_then(|status| u16::try_from(status).ok()),
        last_error: row.try_get("last_error")?,
        created_at: row.try_get("created_at")?,
        finished_at: row.try_get("finished_at")?,
    })
}
