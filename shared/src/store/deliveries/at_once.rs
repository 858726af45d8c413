//! Deliveries that were taken at the first attempt: noted afterwards, many with one statement, and kept for a shorter time
//! than others and up to a number, so that events that go well cost little.

use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::upkeep::PURGE_MAX;
use crate::id::{DeliveryId, EventId, Token, WebhookId};
use crate::store::{Store, StoreError};
use crate::trace::TraceContext;

/// A delivery that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its id.
    pub id: DeliveryId,
    /// By whom.
    pub webhook: WebhookId,
    /// Which event.
    pub event_id: EventId,
    /// The event's session.
    pub token: Token,
    /// The event's name.
    pub event: String,
    /// The event's place among those of its session.
    pub sequence: i64,
    /// What was posted.
    pub body: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// How long it took, in milliseconds.
    pub took_ms: u32,
    /// When.
    pub at: OffsetDateTime,
    /// The trace of the event.
    pub trace: Option<TraceContext>,
}

/// Notes deliveries. What is there already stays as it is, and what is for a webhook that is gone is left out.
pub async fn note(store: &Store, taken: &[Taken]) -> Result<(), StoreError> {
    let sql = "-- deliveries::at_once::note
        INSERT INTO delivery (id, webhook_id, event_id, token, event, sequence, body, state, attempts, last_status,
            history, created_at, finished_at, at_once, traceparent)
        SELECT t.id, t.webhook, t.event_id, t.token, t.event, t.sequence, t.body, 1, 1, t.status,
            jsonb_build_array(jsonb_build_object('at', floor(extract(epoch FROM t.at) * 1000)::bigint,
                'status', t.status, 'error', NULL, 'ms', t.ms)),
            t.at, t.at, true, t.traceparent
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::text[],
                $8::smallint[], $9::bigint[], $10::timestamptz[], $11::text[])
            AS t (id, webhook, event_id, token, event, sequence, body, status, ms, at, traceparent)
        WHERE EXISTS (SELECT 1 FROM webhook w WHERE w.id = t.webhook FOR KEY SHARE)
        ON CONFLICT (webhook_id, event_id) DO NOTHING";
    let parameters: [&(dyn ToSql + Sync); 11] = [
        &column(taken, |one| one.id.as_uuid()),
        &column(taken, |one| one.webhook.as_uuid()),
        &column(taken, |one| one.event_id.as_uuid()),
        &column(taken, |one| one.token.as_str()),
        &column(taken, |one| one.event.as_str()),
        &column(taken, |one| one.sequence),
        &column(taken, |one| one.body.as_str()),
        &column(taken, |one| i16::try_from(one.status).unwrap_or_default()),
        &column(taken, |one| i64::from(one.took_ms)),
        &column(taken, |one| one.at),
        &column(taken, |one| one.trace),
    ];
    store.execute(sql, &parameters).await?;
    Ok(())
}

/// Forgets those of a webhook but the newest `keep`.
pub async fn trim(store: &Store, webhook: WebhookId, keep: u32) -> Result<u64, StoreError> {
    let sql = "-- deliveries::at_once::trim
        DELETE FROM delivery WHERE webhook_id = $1 /* webhook */ AND at_once AND state = 1 AND id <= (
            SELECT id FROM delivery WHERE webhook_id = $1 AND at_once AND state = 1
            ORDER BY id DESC OFFSET $2 /* keep */ LIMIT 1)";
    store.execute(sql, &[&webhook.as_uuid(), &i64::from(keep)]).await
}

/// Forgets those of before `time`, at most [`PURGE_MAX`]; returns how many.
pub async fn purge(store: &Store, time: OffsetDateTime) -> Result<u64, StoreError> {
    let sql = "-- deliveries::at_once::purge
        DELETE FROM delivery WHERE ctid = ANY (ARRAY(
            SELECT o.ctid FROM webhook w, LATERAL (
                SELECT d.ctid FROM delivery d
                WHERE d.webhook_id = w.id AND d.at_once AND d.state = 1 AND d.id < $1 /* first of that time */
                LIMIT $2 /* most */) AS o
            LIMIT $2))";
    let first: Uuid = DeliveryId::first_of(time).as_uuid();
    store.execute(sql, &[&first, &i64::from(PURGE_MAX)]).await
}

fn column<'a, T>(taken: &'a [Taken], of: impl Fn(&'a Taken) -> T) -> Vec<T> {
    taken.iter().map(of).collect()
}
