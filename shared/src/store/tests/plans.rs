//! Statements that must find their rows by an index, whatever else the table holds.

use super::*;
use crate::store::outbox;

#[tokio::test]
async fn an_empty_shard_is_seen_without_reading_the_backlog_of_the_others() {
    let db = TestDatabase::new().await;
    let of_shard = |shard: u16| {
        format!(
            "INSERT INTO outbox (shard, event_id, token, event, body)
             SELECT {shard}, gen_random_uuid(), 't', 'paused.queue', '{{}}' FROM generate_series(1, 2000)"
        )
    };
    for shard in 0..10 {
        db.query(&of_shard(shard)).await;
    }
    db.query("ANALYZE outbox").await;
    let plan = db
        .query(
            "EXPLAIN (ANALYZE, COSTS off, TIMING off)
             SELECT id, event_id, token, event, body FROM outbox WHERE shard = 11 ORDER BY id LIMIT 500",
        )
        .await;
    let plan: Vec<String> = plan.into_iter().flatten().collect();
    assert!(
        plan.iter().all(|line| !line.contains("Removed by Filter")),
        "{plan:#?}"
    );
    let shard = ShardId::new(3).unwrap();
    let oldest = outbox::oldest(db.store(), shard, 500).await.unwrap();
    let positions: Vec<i64> = oldest.iter().map(|event| event.position).collect();
    assert!(positions.is_sorted() && positions.len() == 500);
    outbox::delete(db.store(), shard, &positions).await.unwrap();
    assert_eq!(outbox::backlog(db.store()).await.unwrap().0, 19_500);
    let between = [positions[0] + 500 - 1, positions[0] + 500 + 1];
    outbox::delete(db.store(), shard, &between).await.unwrap();
    assert_eq!(
        outbox::oldest(db.store(), shard, 2).await.unwrap()[0].position,
        positions[499] + 1,
        "what lies between two that were confirmed stays"
    );
}
