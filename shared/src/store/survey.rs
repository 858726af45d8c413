//! What a look over the whole deployment finds, for metrics. One process at a time looks; each read has a bound.

use std::time::Duration;

use super::{Store, StoreError};
use crate::waiting::Reason;

/// Most queues whose recipients are counted; of more the rest is left out.
pub const QUEUES_MAX: i64 = 20_000;
/// Most deliveries that are counted.
pub const DELIVERIES_MAX: i64 = 100_000;

/// Who has the shards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Coverage {
    /// Session workers that are alive.
    pub workers: i64,
    /// Shards that none of them holds.
    pub unowned: i64,
}

/// Deliveries to webhooks, [`DELIVERIES_MAX`] for that many or more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deliveries {
    /// Those that wait for an attempt.
    pub pending: i64,
    /// Those that were given up.
    pub dead: i64,
}

/// Takes the turn to look, or prolongs it; says whether it is this owner's.
pub async fn take_turn(store: &Store, owner: &str, lasts: Duration) -> Result<bool, StoreError> {
    let sql = "-- survey::take_turn
        UPDATE survey SET owner = $1 /* owner */, until = clock_timestamp() + $2 /* lasts */ * interval '1 second'
        WHERE owner = $1 OR until <= clock_timestamp()";
    Ok(store.execute(sql, &[&owner, &lasts.as_secs_f64()]).await? > 0)
}

/// Gives the turn back, if it is this owner's: another takes it at once.
pub async fn give_back(store: &Store, owner: &str) -> Result<(), StoreError> {
    let sql = "-- survey::give_back
        UPDATE survey SET until = '-infinity' WHERE owner = $1 /* owner */";
    store.execute(sql, &[&owner]).await?;
    Ok(())
}

/// Who has the first so many shards.
pub async fn coverage(store: &Store, shards: u16) -> Result<Coverage, StoreError> {
    let sql = "-- survey::coverage
        SELECT (SELECT count(*) FROM worker WHERE expires_at > clock_timestamp()),
            $1::bigint /* shards */ - (SELECT count(*) FROM shard_lease
                WHERE shard < $1::bigint AND owner IS NOT NULL AND expires_at > clock_timestamp())";
    let row = store.query_one(sql, &[&i64::from(shards)]).await?;
    Ok(Coverage {
        workers: row.try_get(0)?,
        unowned: row.try_get(1)?,
    })
}

/// How many recipients are not settled, by why their queue stands still; without a reason those whose queue moves. The
/// reasons are those of the API, in its order.
pub async fn recipients_waiting(store: &Store) -> Result<Vec<(Option<Reason>, i64)>, StoreError> {
    let sql = "-- survey::recipients_waiting
        SELECT w.reason, sum(w.recipients)::bigint FROM (
            SELECT q.total - q.settled AS recipients, CASE
                WHEN q.state = 2 THEN 'paused'
                WHEN q.start_at > clock_timestamp() THEN 'starts-at'
                WHEN s.wanted AND NOT EXISTS (SELECT FROM shard_lease l WHERE l.shard = s.shard
                    AND l.owner IS NOT NULL AND l.expires_at > clock_timestamp()) THEN 'no-worker'
                WHEN s.deleting_at IS NOT NULL THEN 'deleting'
                WHEN s.state = 3 AND NOT s.wanted THEN 'stopped'
                WHEN s.state IN (1, 4) AND s.wanted AND NOT s.refused AND s.close_reason = 405 THEN 'client-outdated'
                WHEN s.state IN (1, 4) AND s.wanted AND NOT s.refused AND s.close_reason = 407 THEN 'proxy'
                WHEN s.state <> 3 AND s.paired_at IS NULL THEN 'not-paired'
                WHEN s.state <> 3 AND NOT s.wanted THEN 'stopped'
                WHEN s.state <> 3 AND s.refused THEN 'refused'
                WHEN s.state <> 3 THEN 'not-connected'
                WHEN q.account <> split_part(s.jid, '@', 1) THEN 'other-account'
                WHEN s.rate_limited_until > clock_timestamp() THEN 'rate-limit'
                WHEN s.restriction IS NOT NULL AND q.held_for = s.restrictions THEN 'restricted'
                WHEN q.waiting IS NOT NULL THEN q.waiting ->> 'reason'
                WHEN s.look_up_at > clock_timestamp() THEN 'look-up'
                WHEN s.next_send_at > clock_timestamp() THEN 'pace' END AS reason
            FROM (SELECT * FROM queue WHERE finished_at IS NULL LIMIT $1 /* queues */) q
            JOIN session s ON s.id = q.session_id) w
        GROUP BY w.reason";
    let rows = store.query(sql, &[&QUEUES_MAX]).await?;
    let waiting = |row: &tokio_postgres::Row| {
        let reason: Option<String> = row.try_get(0)?;
        Ok((reason.as_deref().and_then(Reason::find), row.try_get(1)?))
    };
    rows.iter().map(waiting).collect()
}

/// How many deliveries wait, and how many were given up.
pub async fn deliveries(store: &Store) -> Result<Deliveries, StoreError> {
    let sql = "-- survey::deliveries
        SELECT (SELECT count(*) FROM (SELECT FROM delivery WHERE state = 0 LIMIT $1 /* most */) AS pending),
            (SELECT count(*) FROM (SELECT FROM delivery WHERE state = 2 LIMIT $1) AS dead)";
    let row = store.query_one(sql, &[&DELIVERIES_MAX]).await?;
    Ok(Deliveries {
        pending: row.try_get(0)?,
        dead: row.try_get(1)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestDatabase;

    const LASTS: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn one_looks_at_a_time_and_another_once_it_gave_its_turn_back() {
        let database = TestDatabase::new().await;
        let store = database.store();
        assert!(take_turn(store, "one", LASTS).await.unwrap());
        assert!(!take_turn(store, "two", LASTS).await.unwrap());
        assert!(
            take_turn(store, "one", LASTS).await.unwrap(),
            "it prolongs its own"
        );
        give_back(store, "two").await.unwrap();
        assert!(
            !take_turn(store, "two", LASTS).await.unwrap(),
            "nobody gives back another's"
        );
        give_back(store, "one").await.unwrap();
        assert!(take_turn(store, "two", LASTS).await.unwrap());
        assert!(take_turn(store, "two", Duration::ZERO).await.unwrap());
        assert!(
            take_turn(store, "one", LASTS).await.unwrap(),
            "a turn that is over is anybody's"
        );
    }

    #[tokio::test]
    async fn a_deployment_without_workers_has_no_shard_in_hand() {
        let database = TestDatabase::new().await;
        let store = database.store();
        let none = Coverage {
            workers: 0,
            unowned: 4,
        };
        assert_eq!(coverage(store, 4).await.unwrap(), none);
        assert_eq!(recipients_waiting(store).await.unwrap(), []);
        let nothing = Deliveries { pending: 0, dead: 0 };
        assert_eq!(deliveries(store).await.unwrap(), nothing);
    }
}
