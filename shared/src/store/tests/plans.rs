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

#[tokio::test]
async fn a_read_of_the_outbox_ends_where_it_has_so_many_bytes() {
    let db = TestDatabase::new().await;
    db.query(
        "INSERT INTO outbox (shard, event_id, token, event, body)
         SELECT 3, gen_random_uuid(), 't', 'messages.set', repeat(md5(n::text), 98304) FROM generate_series(1, 5) n",
    )
    .await;
    let shard = ShardId::new(3).unwrap();
    let read = async || {
        let oldest = outbox::oldest(db.store(), shard, 500).await.unwrap();
        let places: Vec<i64> = oldest.iter().map(|event| event.position).collect();
        outbox::delete(db.store(), shard, &places).await.unwrap();
        (places.len(), places.is_sorted())
    };
    // Three megabytes each: the second brings it to six.
    for left in [2, 2, 1, 0] {
        assert_eq!(read().await, (left, true));
    }
}

#[tokio::test]
async fn a_queue_is_counted_and_the_newest_are_found_without_reading_those_of_others() {
    let db = TestDatabase::new().await;
    db.query("INSERT INTO session (token, shard) SELECT 'many-' || n, 0 FROM generate_series(1, 200) n")
        .await;
    db.query(
        "INSERT INTO queue (id, session_id, job_id, fingerprint, content, total, created_at)
         SELECT gen_random_uuid(), s.id, 'job-' || n, sha256('x'), '{\"type\":\"text\",\"text\":\"hi\"}', 1, now() + n * interval '1 second'
         FROM session s, generate_series(1, 100) n",
    )
    .await;
    db.query(
        "INSERT INTO recipient (queue_id, seq, session_id, number)
         SELECT q.id, n, q.session_id, '5531900000001' FROM queue q, generate_series(1, 3) n",
    )
    .await;
    db.query("ANALYZE").await;
    let plan = async |sql: &str| {
        let plan = db.query(&format!("EXPLAIN (COSTS off) {sql}")).await;
        let lines: Vec<String> = plan.into_iter().flatten().collect();
        lines.join("\n")
    };
    let counted = plan(
        "SELECT state, error_status, count(*) FROM recipient
         WHERE queue_id = (SELECT id FROM queue LIMIT 1) GROUP BY 1, 2",
    )
    .await;
    assert!(counted.contains("recipient_pkey"), "{counted}");
    let of_session = "SELECT q.created_at, q.id FROM queue q WHERE q.session_id = s.id
        ORDER BY q.created_at DESC, q.id DESC LIMIT";
    let listed = plan(&format!(
        "SELECT * FROM session s CROSS JOIN LATERAL ({of_session} 1) newest ORDER BY 4 DESC LIMIT 101"
    ))
    .await;
    assert!(listed.contains("queue_listed"), "{listed}");
    let started = Instant::now();
    let page = queues::listing::list(db.store(), queues::listing::Filter::default(), 300)
        .await
        .unwrap();
    println!("listed in {:?}", started.elapsed());
    let times: Vec<_> = page
        .iter()
        .map(|(_, queue)| std::cmp::Reverse(queue.created_at))
        .collect();
    assert!(times.len() == 300 && times.is_sorted());
}

#[tokio::test]
async fn keys_are_loaded_by_their_names_however_many_the_session_has() {
    let db = TestDatabase::new().await;
    db.query("INSERT INTO session (token, shard) VALUES ('old', 0)")
        .await;
    db.query(
        "INSERT INTO device_key (session_id, kind, name, value)
         SELECT s.id, 4, convert_to(n::text, 'UTF8'), decode(repeat('00', 64), 'hex') FROM session s, generate_series(1, 5000) n",
    )
    .await;
    // Without statistics as with them: a session grows faster than they are taken.
    for statistics in ["SELECT 1", "ANALYZE device_key"] {
        db.query(statistics).await;
        let load = keys::LOAD
            .replace("$1 /* session */", "(SELECT id FROM session)")
            .replace("$2::smallint[]", "array_fill(4::smallint, ARRAY[200])")
            .replace(
                "$3::bytea[]",
                "(SELECT array_agg(convert_to(n::text, 'UTF8')) FROM generate_series(1, 200) n)",
            );
        let plan = db
            .query(&format!(
                "EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) {load}"
            ))
            .await;
        let plan: Vec<String> = plan.into_iter().flatten().collect();
        let of_keys = plan.iter().filter(|line| line.contains("device_key"));
        let read: Vec<_> = of_keys
            .filter(|line| !line.contains("rows=1 loops=200"))
            .collect();
        assert!(read.is_empty() && plan.len() > 3, "{plan:#?}");
    }
}
