//! Events that are committed and not yet published, per shard and in order.

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::leases::smallint;
use super::traces::trace;
use super::{Store, StoreError};
use crate::event::{Envelope, EventName};
use crate::id::{EventId, SHARDS_MAX, ShardId, Token};
use crate::trace::TraceContext;

/// Most events that one read of the relay takes.
pub const BATCH_MAX: i64 = 500;
/// A read of the relay ends with the event that brings it to so many bytes.
pub const BATCH_BYTES_MAX: i64 = 4 << 20;
/// Most events that are counted.
pub const COUNT_MAX: i64 = 100_000;

/// An event on its way into the outbox.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutboxEvent {
    /// The event's id.
    pub id: EventId,
    /// The session's token.
    pub token: Token,
    /// The event's name.
    pub event: EventName,
    /// The envelope as JSON text.
    pub body: String,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
}

impl From<&Envelope> for OutboxEvent {
    fn from(envelope: &Envelope) -> Self {
        Self {
            id: envelope.id,
            token: envelope.instance.name.clone(),
            event: envelope.event,
            body: envelope.to_json(),
            trace: None,
        }
    }
}

/// An event to publish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// Its place.
    pub position: i64,
    /// The event's id.
    pub id: EventId,
    /// The session's token.
    pub token: Token,
    /// The event's name, as sent.
    pub event: String,
    /// The envelope as JSON text.
    pub body: String,
    /// When it was committed.
    pub created_at: OffsetDateTime,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
}

/// The oldest events of a shard, in order: at most so many, and never more than [`BATCH_MAX`] and
/// [`BATCH_BYTES_MAX`] allow.
// `ROWS`: no two have one place, and to look for such costs as much as the rest.
pub async fn oldest(store: &Store, shard: ShardId, most: i64) -> Result<Vec<Stored>, StoreError> {
    let sql = "-- outbox::oldest
        SELECT id, event_id, token, event, body, created_at, traceparent FROM (
            SELECT o.*, sum(octet_length(o.body)) OVER (ORDER BY o.id ROWS UNBOUNDED PRECEDING) - octet_length(o.body)
                AS bytes_before FROM (
                SELECT id, event_id, token, event, body, created_at, traceparent FROM outbox WHERE shard = $1 /* shard */
                ORDER BY id LIMIT $2 /* most */) o) o
        WHERE bytes_before < $3 /* bytes */ ORDER BY id";
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&smallint(shard), &most.min(BATCH_MAX), &BATCH_BYTES_MAX];
    let rows = store.query(sql, &parameters).await?;
    let stored = |row: &Row| {
        Ok(Stored {
            position: row.try_get(0)?,
            id: EventId::new(row.try_get(1)?),
            token: Token::new(row.try_get(2)?).map_err(|_| StoreError::Corrupt("token"))?,
            event: row.try_get(3)?,
            body: row.try_get(4)?,
            created_at: row.try_get(5)?,
            trace: trace(row, "traceparent")?,
        })
    };
    rows.iter().map(stored).collect()
}

/// Forgets events of a shard by their places: those that the broker confirmed, and no others, whatever lies between.
pub async fn delete(store: &Store, shard: ShardId, places: &[i64]) -> Result<(), StoreError> {
    if places.is_empty() {
        return Ok(());
    }
    let sql = "-- outbox::delete
        DELETE FROM outbox WHERE shard = $1 /* shard */ AND id = ANY ($2 /* places */)";
    store.execute(sql, &[&smallint(shard), &places]).await?;
    Ok(())
}

/// How many events wait, [`COUNT_MAX`] for that many or more, and since when the oldest does: for metrics. As much
/// work however many wait.
pub async fn backlog(store: &Store) -> Result<(i64, Option<OffsetDateTime>), StoreError> {
    let sql = "-- outbox::backlog
        SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT $1 /* most */) AS counted),
               (SELECT min(oldest.created_at) FROM generate_series(0, $2 /* last shard */) AS s (shard), LATERAL (
                    SELECT created_at FROM outbox o WHERE o.shard = s.shard ORDER BY o.id LIMIT 1) AS oldest)";
    let last = i32::from(SHARDS_MAX) - 1;
    let row = store.query_one(sql, &[&COUNT_MAX, &last]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
