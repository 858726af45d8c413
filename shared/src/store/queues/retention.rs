//! Finished queues are forgotten after a while.

use std::time::Duration;

use uuid::Uuid;

use super::unsigned;
use crate::store::{Store, StoreError, Tx};

/// Most queues that one call forgets.
pub const FORGET_MAX: u32 = 1_000;

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
