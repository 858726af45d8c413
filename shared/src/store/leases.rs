//! Live workers and the shards they hold. All times are the database's own clock.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Store, StoreError, Tx};
use crate::id::{Epoch, ShardId, WorkerId};

/// What a write for a session must name: its shard, and the epoch under which the writer holds it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fence {
    /// The shard.
    pub shard: ShardId,
    /// The epoch of the holder's lease.
    pub epoch: Epoch,
}

/// A shard and who holds it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeaseRecord {
    /// The shard.
    pub shard: ShardId,
    /// Its epoch now.
    pub epoch: Epoch,
    /// The holder, if any.
    pub owner: Option<String>,
    /// Whether the holder's time is up.
    pub expired: bool,
}

/// What a worker sees at one tick: itself renewed, the others, and all leases.
#[derive(Clone, Debug)]
pub struct View {
    /// Ids of live workers, this one included, in order.
    pub workers: Vec<String>,
    /// All leases, by shard.
    pub leases: Vec<LeaseRecord>,
}

/// Whether a worker takes part in the division of shards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// It does.
    Live,
    /// It only keeps what it still holds.
    Leaving,
}

/// Makes sure that there is a lease row for each of the deployment's shards.
pub async fn ensure_shards(store: &Store, shards: u16) -> Result<(), StoreError> {
    let sql = "-- leases::ensure_shards
        INSERT INTO shard_lease (shard)
        SELECT n FROM generate_series(0, $1 /* shards */ - 1) AS n
        ON CONFLICT DO NOTHING";
    store.execute(sql, &[&i32::from(shards)]).await?;
    Ok(())
}

/// Registers or renews a worker and its leases, forgets the dead, and shows how things stand.
pub async fn tick(
    store: &Store,
    worker: &WorkerId,
    presence: Presence,
    ttl: Duration,
) -> Result<View, StoreError> {
    let tx = store.begin("lease_tick").await?;
    let (id, ttl) = (worker.as_str(), ttl.as_secs_f64());
    let register = "-- leases::tick (register)
        INSERT INTO worker (id, expires_at)
        VALUES ($1 /* worker */, clock_timestamp() + $2 /* ttl */ * interval '1 second')
        ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at";
    // Rows are locked in the order of their shards, so that two ticks never wait for each other; and in a way that
    // writes which hold them do not hinder: a renewal that waited for a long write would end all of our leases.
    let renew = "-- leases::tick (renew)
        WITH mine AS (SELECT shard FROM shard_lease WHERE owner = $1 /* worker */ ORDER BY shard FOR NO KEY UPDATE)
        UPDATE shard_lease l SET expires_at = clock_timestamp() + $2 /* ttl */ * interval '1 second'
        FROM mine WHERE l.shard = mine.shard AND l.expires_at > clock_timestamp()";
    let forget = "-- leases::tick (forget)
        DELETE FROM worker WHERE expires_at < clock_timestamp() - interval '60 seconds'";
    if presence == Presence::Live {
        tx.execute(&tx.prepare_cached(register).await?, &[&id, &ttl])
            .await?;
    }
    tx.execute(&tx.prepare_cached(renew).await?, &[&id, &ttl]).await?;
    tx.execute(&tx.prepare_cached(forget).await?, &[]).await?;
    let view = view(&tx).await?;
    tx.commit().await?;
    Ok(view)
}

async fn view(tx: &Tx) -> Result<View, StoreError> {
    let live = "-- leases::view (workers)
        SELECT id FROM worker WHERE expires_at > clock_timestamp() ORDER BY id";
    let leases = "-- leases::view (leases)
        SELECT shard, epoch, owner, coalesce(expires_at <= clock_timestamp(), false)
        FROM shard_lease ORDER BY shard";
    let mut workers = Vec::new();
    for row in tx.query(&tx.prepare_cached(live).await?, &[]).await? {
        workers.push(row.try_get(0)?);
    }
    let rows = tx.query(&tx.prepare_cached(leases).await?, &[]).await?;
    let leases = rows.iter().map(lease).collect::<Result<_, StoreError>>()?;
    Ok(View { workers, leases })
}

fn lease(row: &tokio_postgres::Row) -> Result<LeaseRecord, StoreError> {
    Ok(LeaseRecord {
        shard: shard_id(row.try_get(0)?)?,
        epoch: Epoch::new(row.try_get(1)?),
        owner: row.try_get(2)?,
        expired: row.try_get(3)?,
    })
}

/// Takes those of the shards that are free or expired, and that no write of their former owner holds; each gets a
/// new epoch.
pub async fn take(
    store: &Store,
    worker: &WorkerId,
    shards: &[ShardId],
    ttl: Duration,
) -> Result<Vec<Fence>, StoreError> {
    let sql = "-- leases::take
        WITH free AS (
            SELECT shard FROM shard_lease
            WHERE shard = ANY($2 /* shards */) AND (owner IS NULL OR expires_at <= clock_timestamp())
            ORDER BY shard FOR UPDATE SKIP LOCKED)
        UPDATE shard_lease l
        SET owner = $1 /* worker */, epoch = epoch + 1,
            expires_at = clock_timestamp() + $3 /* ttl */ * interval '1 second'
        FROM free WHERE l.shard = free.shard
        RETURNING l.shard, l.epoch";
    let numbers: Vec<i16> = shards.iter().map(|shard| smallint(*shard)).collect();
    let rows = store
        .query(sql, &[&worker.as_str(), &numbers, &ttl.as_secs_f64()])
        .await?;
    let fence = |row: &tokio_postgres::Row| {
        Ok(Fence {
            shard: shard_id(row.try_get(0)?)?,
            epoch: Epoch::new(row.try_get(1)?),
        })
    };
    rows.iter().map(fence).collect()
}

/// Gives a shard back. The epoch rises, so that nothing of the old holder can be written afterwards.
/// A lease that is another's by now is left alone.
pub async fn release(store: &Store, fence: Fence) -> Result<(), StoreError> {
    let sql = "-- leases::release
        UPDATE shard_lease SET owner = NULL, expires_at = NULL, epoch = epoch + 1
        WHERE shard = $1 AND epoch = $2";
    store
        .execute(sql, &[&smallint(fence.shard), &fence.epoch.get()])
        .await?;
    Ok(())
}

/// Whether a worker holds the shard, and its time is not up.
pub async fn is_held(store: &Store, shard: ShardId) -> Result<bool, StoreError> {
    let sql = "-- leases::is_held
        SELECT 1 FROM shard_lease WHERE shard = $1 AND owner IS NOT NULL AND expires_at > clock_timestamp()";
    let row = store.query_opt(sql, &[&smallint(shard)]).await?;
    Ok(row.is_some())
}

/// The shards that live workers hold.
pub async fn held(store: &Store) -> Result<BTreeSet<ShardId>, StoreError> {
    let sql = "-- leases::held
        SELECT shard FROM shard_lease WHERE owner IS NOT NULL AND expires_at > clock_timestamp()";
    let rows = store.query(sql, &[]).await?;
    rows.iter().map(|row| shard_id(row.try_get(0)?)).collect()
}

/// Takes a worker off the list, so that its shards are divided anew at once.
pub async fn leave(store: &Store, worker: &WorkerId) -> Result<(), StoreError> {
    let sql = "-- leases::leave
        DELETE FROM worker WHERE id = $1";
    store.execute(sql, &[&worker.as_str()]).await?;
    Ok(())
}

/// Holds the lease row of a fence until the end of the transaction, so that nobody takes the shard meanwhile. It can
/// be renewed, and given back.
///
/// # Errors
/// [`StoreError::Fenced`] if the epoch is not the current one.
pub(crate) async fn hold(tx: &Tx, fence: Fence) -> Result<(), StoreError> {
    let sql = "-- leases::hold
        SELECT 1 FROM shard_lease WHERE shard = $1 AND epoch = $2 FOR KEY SHARE";
    let statement = tx.prepare_cached(sql).await?;
    let row = tx
        .query_opt(&statement, &[&smallint(fence.shard), &fence.epoch.get()])
        .await?;
    row.map(|_| ()).ok_or(StoreError::Fenced)
}

/// A shard as the database holds it.
pub(crate) fn smallint(shard: ShardId) -> i16 {
    // Shards are below 100 (SHARDS_MAX); a larger one can't be made.
    i16::try_from(shard.get()).unwrap_or(i16::MAX)
}

/// A shard as read from the database.
pub(crate) fn shard_id(number: i16) -> Result<ShardId, StoreError> {
    u16::try_from(number)
        .ok()
        .and_then(|number| ShardId::new(number).ok())
        .ok_or(StoreError::Corrupt("shard out of range"))
}
