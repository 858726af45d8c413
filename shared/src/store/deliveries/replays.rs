//! Looking deliveries up, and making them again.

use time::{Duration, OffsetDateTime};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::upkeep::PIECE_MAX;
use super::{COLUMNS, DeliveryRecord, DeliveryState, PAGE_MAX, record, turn};
use crate::id::{DeliveryId, Token, WebhookId};
use crate::store::{Store, StoreError};

/// Most deliveries that one call makes again.
pub const REPLAY_MAX: u32 = 1_000;

/// By how much the clocks of workers and database may differ: ids tell a worker's time.
const CLOCKS_DIFFER: Duration = Duration::hours(1);

/// Which deliveries of a webhook are meant; all, as far as nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this state.
    pub state: Option<DeliveryState>,
    /// Of this session.
    pub token: Option<Token>,
    /// Of this event; a name may end in `*`.
    pub event: Option<String>,
    /// Made at or after this time.
    pub since: Option<OffsetDateTime>,
    /// Made before this time.
    pub until: Option<OffsetDateTime>,
}

/// What a replay of many did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Replayed {
    /// How many are due now.
    pub replayed: u64,
    /// The last that was looked at, if there may be more behind it.
    pub last: Option<DeliveryId>,
}

impl Filter {
    /// Conditions on a row `d` and on `$1` to `$7`, which are [`Bounds`] and what the filter says.
    fn conditions(&self) -> String {
        // A number in the text, so that the index of the dead ones serves.
        let of_state = self
            .state
            .map_or_else(String::new, |state| format!("AND d.state = {}", state.code()));
        format!(
            "d.webhook_id = $1 /* webhook */ AND d.id > $2 /* low */ AND d.id < $3 /* high */ {of_state}
            AND ($4::text /* token */ IS NULL OR d.token = $4)
            AND ($5::text /* event */ IS NULL OR d.event = $5
                OR right($5, 1) = '*' AND starts_with(d.event, left($5, -1)))
            AND ($6::timestamptz /* since */ IS NULL OR d.created_at >= $6)
            AND ($7::timestamptz /* until */ IS NULL OR d.created_at < $7)"
        )
    }

    /// Between which ids, both excluded, all rows are that are meant.
    fn bounds(&self) -> Bounds {
        let floor = |at: OffsetDateTime| DeliveryId::first_of(at).as_uuid();
        Bounds {
            low: self
                .since
                .map_or(Uuid::nil(), |since| floor(since.saturating_sub(CLOCKS_DIFFER))),
            high: self
                .until
                .map_or(Uuid::max(), |until| floor(until.saturating_add(CLOCKS_DIFFER))),
        }
    }
}

struct Bounds {
    low: Uuid,
    high: Uuid,
}

/// Deliveries of a webhook, newest first, older than `before`.
pub async fn list(
    store: &Store,
    webhook: WebhookId,
    filter: &Filter,
    before: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let sql = format!(
        "-- deliveries::list
        SELECT {COLUMNS} FROM delivery d WHERE {} ORDER BY d.id DESC LIMIT $8 /* limit */",
        filter.conditions()
    );
    let Bounds { low, high } = filter.bounds();
    let parameters: [&(dyn ToSql + Sync); 8] = [
        &webhook.as_uuid(),
        &low,
        &before.map_or(high, |before| high.min(before.as_uuid())),
        &filter.token.as_ref().map(Token::as_str),
        &filter.event,
        &filter.since,
        &filter.until,
        &i64::from(limit.min(PAGE_MAX)),
    ];
    let rows = store.query(&sql, &parameters).await?;
    rows.iter().map(record).collect()
}

/// A delivery of a webhook by id.
pub async fn find(
    store: &Store,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Option<DeliveryRecord>, StoreError> {
    let sql = format!(
        "-- deliveries::find
        SELECT {COLUMNS} FROM delivery d WHERE d.id = $1 /* id */ AND d.webhook_id = $2 /* webhook */"
    );
    let row = store
        .query_opt(&sql, &[&id.as_uuid(), &webhook.as_uuid()])
        .await?;
    row.as_ref().map(record).transpose()
}

/// Makes a delivery due at once, whatever became of it, with its attempts counted from 0; `None` when there is no
/// such delivery. One whose attempt is under way stays as it is, and so does one whose webhook is disabled.
pub async fn replay(
    store: &Store,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Option<DeliveryRecord>, StoreError> {
    let sql = "-- deliveries::replay
        UPDATE delivery d SET state = 0, attempts = 0, at_once = false, next_attempt_at = clock_timestamp(),
            finished_at = NULL
        FROM webhook w
        WHERE d.id = $1 /* id */ AND d.webhook_id = $2 /* webhook */ AND d.lease_token IS NULL
          AND w.id = d.webhook_id AND w.disabled_at IS NULL";
    store.execute(sql, &[&id.as_uuid(), &webhook.as_uuid()]).await?;
    find(store, webhook, id).await
}

/// Makes deliveries behind `after` due, oldest first, at most `limit`, as [`replay`] does; in the order of their events.
pub async fn replay_all(
    store: &Store,
    webhook: WebhookId,
    filter: &Filter,
    after: Option<DeliveryId>,
    limit: u32,
) -> Result<Replayed, StoreError> {
    let sql = format!(
        "-- deliveries::replay_all
        WITH piece AS MATERIALIZED (
            SELECT d.id FROM delivery d WHERE {} ORDER BY d.id LIMIT $8 /* limit */),
        replayed AS (
            UPDATE delivery d SET state = 0, attempts = 0, at_once = false, finished_at = NULL,
                next_attempt_at = {}
            FROM piece, webhook w
            WHERE d.id = piece.id AND d.lease_token IS NULL AND w.id = d.webhook_id AND w.disabled_at IS NULL
            RETURNING 1)
        SELECT (SELECT count(*) FROM replayed), (SELECT count(*) FROM piece),
            (SELECT id FROM piece ORDER BY id DESC LIMIT 1)",
        filter.conditions(),
        turn("d.event_id", "d.sequence")
    );
    let Bounds { low, high } = filter.bounds();
    let limit = i64::from(limit.min(REPLAY_MAX));
    let parameters: [&(dyn ToSql + Sync); 8] = [
        &webhook.as_uuid(),
        &after.map_or(low, |after| low.max(after.as_uuid())),
        &high,
        &filter.token.as_ref().map(Token::as_str),
        &filter.event,
        &filter.since,
        &filter.until,
        &limit,
    ];
    let row = store.query_one(&sql, &parameters).await?;
    let (replayed, looked_at): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let last: Option<Uuid> = row.try_get(2)?;
    Ok(Replayed {
        replayed: replayed.unsigned_abs(),
        last: last.filter(|_| looked_at == limit).map(DeliveryId::new),
    })
}

/// Makes all that is pending for a webhook, and not under way, due in the order of its events, with its attempts counted
/// from 0: what a webhook begins with that is enabled again.
pub async fn line_up(store: &Store, webhook: WebhookId) -> Result<(), StoreError> {
    let sql = format!(
        "-- deliveries::line_up
        WITH piece AS MATERIALIZED (
            SELECT d.id FROM delivery d WHERE d.webhook_id = $1 /* webhook */ AND d.id > $2 /* after */
            ORDER BY d.id LIMIT $3 /* most */),
        moved AS (
            UPDATE delivery d SET attempts = 0, next_attempt_at = {}
            FROM piece WHERE d.id = piece.id AND d.state = 0 AND d.lease_token IS NULL RETURNING 1)
        SELECT id FROM piece ORDER BY id DESC LIMIT 1",
        turn("d.event_id", "d.sequence")
    );
    let mut after = Uuid::nil();
    loop {
        let parameters: [&(dyn ToSql + Sync); 3] = [&webhook.as_uuid(), &after, &i64::from(PIECE_MAX)];
        match store.query_opt(&sql, &parameters).await? {
            Some(row) => after = row.try_get(0)?,
            None => return Ok(()),
        }
    }
}
