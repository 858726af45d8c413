//! Events that are committed and not yet published, per shard and in order.

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::leases::smallint;
use super::{Store, StoreError};
use crate::event::{Envelope, EventName, routing_key};
use crate::id::{EventId, ShardId, Token};

/// Most events that one read of the relay takes.
pub const BATCH_MAX: i64 = 500;

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
}

impl From<&Envelope> for OutboxEvent {
    fn from(envelope: &Envelope) -> Self {
        Self {
            id: envelope.id,
            token: envelope.instance.name.clone(),
            event: envelope.event,
            body: envelope.to_json(),
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
}

impl Stored {
    /// The AMQP routing key.
    pub fn routing_key(&self) -> String {
        routing_key(&self.token, &self.event)
    }
}

/// The oldest events of a shard, in order: at most so many, and never more than [`BATCH_MAX`].
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn oldest(store: &Store, shard: ShardId, most: i64) -> Result<Vec<Stored>, StoreError> {
    let sql = "-- outbox::oldest
        SELECT id, event_id, token, event, body FROM outbox WHERE shard = $1 ORDER BY id LIMIT $2";
    let client = store.client().await?;
    let statement = client.prepare_cached(sql).await?;
    let rows = client
        .query(&statement, &[&smallint(shard), &most.min(BATCH_MAX)])
        .await?;
    let stored = |row: &Row| {
        Ok(Stored {
            position: row.try_get(0)?,
            id: EventId::new(row.try_get(1)?),
            token: Token::new(row.try_get(2)?).map_err(|_| StoreError::Corrupt("token"))?,
            event: row.try_get(3)?,
            body: row.try_get(4)?,
        })
    };
    rows.iter().map(stored).collect()
}

/// Forgets the events of a shard from one place to another: those that one read gave and the broker confirmed.
///
/// There are no others between them: a shard has one writer, one transaction at a time, so that places are given in the
/// order of commits.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(
    store: &Store,
    shard: ShardId,
    places: std::ops::RangeInclusive<i64>,
) -> Result<(), StoreError> {
    let sql = "-- outbox::delete
        DELETE FROM outbox WHERE shard = $1 /* shard */ AND id BETWEEN $2 /* first */ AND $3 /* last */";
    let client = store.client().await?;
    let statement = client.prepare_cached(sql).await?;
    client
        .execute(&statement, &[&smallint(shard), places.start(), places.end()])
        .await?;
    Ok(())
}

/// How many events wait, and since when the oldest does: for metrics.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn backlog(store: &Store) -> Result<(i64, Option<OffsetDateTime>), StoreError> {
    let sql = "-- outbox::backlog\nSELECT count(*), min(created_at) FROM outbox";
    let row = store.client().await?.query_one(sql, &[]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
