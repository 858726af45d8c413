//! Counting deliveries, and forgetting them.

use std::time::Duration;

use crate::id::{DeliveryId, WebhookId};
use crate::store::{Store, StoreError};

/// How long a finished delivery can be looked up and replayed, and how long what waits for a disabled webhook does.
pub const KEEP: Duration = Duration::from_secs(30 * 86_400);
/// Most rows that one purge removes.
pub const PURGE_MAX: u32 = 1_000;
/// Most rows that one statement gives up or deletes with their webhook.
pub const PIECE_MAX: u32 = 5_000;

/// How long a webhook that was enabled again may have more pending than its limit.
const ENABLED_GRACE: Duration = Duration::from_secs(300);

/// What waits for a webhook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pending {
    /// For which one.
    pub webhook: WebhookId,
    /// How many deliveries.
    pub deliveries: i64,
    /// Whether it has to answer for their number: it is enabled, and was not enabled again only now.
    pub is_answerable: bool,
}

/// How many deliveries are pending, by webhook; those that have none are left out.
pub async fn count_pending(store: &Store) -> Result<Vec<Pending>, StoreError> {
    let sql = "-- deliveries::count_pending
        SELECT d.webhook_id, d.deliveries, w.disabled_at IS NULL AND (w.enabled_at IS NULL
            OR w.enabled_at < clock_timestamp() - $1 /* grace */ * interval '1 second')
        FROM (SELECT webhook_id, count(*) AS deliveries FROM delivery WHERE state = 0 GROUP BY webhook_id) d
        JOIN webhook w ON w.id = d.webhook_id";
    let rows = store.query(sql, &[&ENABLED_GRACE.as_secs_f64()]).await?;
    let pending = |row: &tokio_postgres::Row| {
        Ok(Pending {
            webhook: WebhookId::new(row.try_get(0)?),
            deliveries: row.try_get(1)?,
            is_answerable: row.try_get(2)?,
        })
    };
    rows.iter().map(pending).collect()
}

/// Cancels a pending delivery; says whether there was one.
pub async fn cancel(store: &Store, webhook: WebhookId, id: DeliveryId) -> Result<bool, StoreError> {
    let sql = "-- deliveries::cancel
        UPDATE delivery SET state = 3, next_attempt_at = NULL, leased_until = NULL, lease_token = NULL,
            finished_at = clock_timestamp()
        WHERE id = $1 AND webhook_id = $2 AND state = 0";
    Ok(store.execute(sql, &[&id.as_uuid(), &webhook.as_uuid()]).await? > 0)
}

/// Gives up what is pending for webhooks that have been disabled for [`KEEP`] and is not under way, at most
/// [`PIECE_MAX`]; says how many.
pub async fn give_up_disabled(store: &Store) -> Result<u64, StoreError> {
    let sql = "-- deliveries::give_up_disabled
        WITH piece AS MATERIALIZED (
            SELECT o.id, w.disabled_why FROM webhook w, LATERAL (
                SELECT d.id FROM delivery d
                WHERE d.webhook_id = w.id AND d.state = 0 AND (d.leased_until IS NULL OR d.leased_until <= now())
                LIMIT $1 /* most */ FOR UPDATE SKIP LOCKED) AS o
            WHERE w.disabled_at < now() - $2 /* keep */ * interval '1 second' LIMIT $1)
        UPDATE delivery d SET state = 2, finished_at = clock_timestamp(), next_attempt_at = NULL,
            leased_until = NULL, lease_token = NULL, last_error = left(piece.disabled_why, 500)
        FROM piece WHERE d.id = piece.id";
    store
        .execute(sql, &[&i64::from(PIECE_MAX), &KEEP.as_secs_f64()])
        .await
}

/// Deletes deliveries of a webhook, at most [`PIECE_MAX`]; returns how many.
pub(in crate::store) async fn delete_piece(store: &Store, webhook: WebhookId) -> Result<u64, StoreError> {
    let sql = "-- deliveries::delete_piece
        DELETE FROM delivery WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM delivery WHERE webhook_id = $1 /* webhook */ LIMIT $2 /* most */))";
    store
        .execute(sql, &[&webhook.as_uuid(), &i64::from(PIECE_MAX)])
        .await
}

/// Forgets deliveries that were finished longer than [`KEEP`] ago, at most [`PURGE_MAX`]; returns how many.
pub async fn purge(store: &Store) -> Result<u64, StoreError> {
    let sql = "-- deliveries::purge
        DELETE FROM delivery WHERE id IN (
            SELECT id FROM delivery
            WHERE state <> 0 AND finished_at < now() - $1 /* keep */ * interval '1 second'
            LIMIT $2 /* limit */)";
    store
        .execute(sql, &[&KEEP.as_secs_f64(), &i64::from(PURGE_MAX)])
        .await
}
