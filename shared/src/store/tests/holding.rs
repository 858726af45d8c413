//! Who waits for whom: transactions that are given up, lease rows that are held, and queues of great length.

use futures_util::FutureExt;

use super::*;
use crate::id::WorkerId;

fn lone(db: &TestDatabase) -> Store {
    let database = config::Database {
        pool_size: 1,
        ..db.config().clone()
    };
    Store::new(
        &database,
        Some(crate::testing::sealer()),
        crate::clock::Clock::system(),
    )
    .unwrap()
}

#[tokio::test]
async fn what_is_given_up_while_it_begins_leaves_no_open_transaction_in_the_pool() {
    let db = TestDatabase::new().await;
    let store = lone(&db);
    store.ping().await.unwrap();
    // As with a request whose client goes away, or a tick that is cut: the word is on the wire, the answer is not
    // waited for.
    assert!(store.begin("given_up").now_or_never().is_none());
    let token = token();
    sessions::create(&store, &token, 1).await.unwrap();
    let found = sessions::find(db.store(), &token).await.unwrap();
    assert!(found.is_some(), "what was answered is durable");
}

#[tokio::test]
async fn a_lease_is_renewed_while_a_long_write_holds_it_and_nobody_takes_it() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let (owner, heir) = (WorkerId::new("w").unwrap(), WorkerId::new("heir").unwrap());
    let ttl = Duration::from_secs(600);
    let other = db.another_store();
    let take = async || {
        db.query("UPDATE shard_lease SET expires_at = now() - interval '1 second'")
            .await;
        leases::take(&other, &heir, &[fence.shard], ttl).await.unwrap()
    };
    let long = db.store().begin("test").await.unwrap();
    leases::hold(&long, fence).await.unwrap();
    let renewed = leases::tick(&other, &owner, leases::Presence::Live, ttl);
    let view = tokio::time::timeout(IDLE_TIMEOUT / 2, renewed)
        .await
        .expect("a renewal does not wait for a write")
        .unwrap();
    assert_eq!(view.leases[0].owner.as_deref(), Some("w"));
    assert!(take().await.is_empty(), "the write is still under way");
    long.rollback().await.unwrap();
    assert_eq!(take().await.len(), 1);
}

#[tokio::test]
async fn a_session_is_deleted_piece_by_piece_and_sends_nothing_meanwhile() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let session = session(&db).await;
    for _ in 0..3 {
        accept(&db, fence, session, (&job_id(), &job(900))).await;
    }
    // The first piece: no queue is active any more, whatever becomes of the rest.
    let more = sessions::delete_piece(db.store(), fence, session, 1_000)
        .await
        .unwrap();
    assert!(more);
    assert!(
        queues::active(db.store(), session, due(10))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        db.query("SELECT count(*) FROM recipient").await,
        [Some("1700".into())]
    );
    sessions::delete(db.store(), fence, session).await.unwrap();
    for table in ["recipient", "queue", "session"] {
        assert_eq!(
            db.query(&format!("SELECT count(*) FROM {table}")).await,
            [Some("0".into())]
        );
    }
}

#[tokio::test]
async fn a_job_that_is_accepted_while_its_session_is_deleted_leaves_nothing() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let session = session(&db).await;
    let accepting = db.store().begin("test").await.unwrap();
    // What accepting a job does, up to its commit.
    let rows = format!(
        "SET LOCAL idle_in_transaction_session_timeout = 0;
         INSERT INTO queue (id, session_id, job_id, fingerprint, content, total)
         VALUES ('00000000-0000-4000-8000-000000000001', {session}, 'j', decode(repeat('00', 32), 'hex'), '{{}}', 1);
         INSERT INTO recipient (queue_id, seq, session_id, number)
         VALUES ('00000000-0000-4000-8000-000000000001', 0, {session}, '5531900000000')"
    );
    accepting.batch_execute(&rows).await.unwrap();
    let commit = async {
        let waits =
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while db.query(waits).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        accepting.commit().await.unwrap();
    };
    let other = db.another_store();
    let (deleted, ()) = tokio::join!(sessions::delete(&other, fence, session), commit);
    deleted.unwrap();
    for table in ["recipient", "queue", "session"] {
        let rows = db.query(&format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(rows, [Some("0".into())], "{table}");
    }
}

#[tokio::test]
async fn finished_queues_are_forgotten_piece_by_piece_and_others_are_kept() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let session = session(&db).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = job_id();
        accept(&db, fence, session, (&id, &job(5))).await;
        ids.push(id);
    }
    let month = Duration::from_secs(30 * 86_400);
    let finish = |nth: usize, days: u32| {
        format!(
            "UPDATE queue SET state = 4, finished_at = now() - interval '{days} days' WHERE job_id = '{}'",
            ids[nth]
        )
    };
    db.query(&finish(0, 31)).await;
    db.query(&finish(1, 29)).await;
    let forget = async |most: u32| {
        queues::retention::forget_finished(db.store(), month, most)
            .await
            .unwrap()
    };
    let counts = async || {
        db.query("SELECT count(*) FROM recipient UNION ALL SELECT count(*) FROM queue")
            .await
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    };
    assert_eq!(forget(3).await, Some(3));
    assert_eq!(counts().await, ["12", "3"], "a piece of the queue's recipients");
    assert_eq!(forget(3).await, Some(3));
    assert_eq!(counts().await, ["10", "2"], "the rest, and the queue");
    assert_eq!(forget(3).await, None);
    assert_eq!(
        counts().await,
        ["10", "2"],
        "a younger and an unfinished one stay"
    );
}

#[tokio::test]
async fn many_small_queues_are_forgotten_together() {
    let db = TestDatabase::new().await;
    let session = session(&db).await;
    let queues = queues::retention::FORGET_MAX + 200;
    let one_each = format!(
        "WITH made AS (
            INSERT INTO queue (id, session_id, job_id, fingerprint, content, state, total, finished_at)
            SELECT gen_random_uuid(), {}, n::text, sha256('x'), '{{}}', 4, 1, now() - interval '31 days'
            FROM generate_series(1, {queues}) AS n RETURNING id)
         INSERT INTO recipient (queue_id, seq, session_id, number) SELECT id, 0, 0, '1' FROM made",
        session.get()
    );
    db.query(&one_each).await;
    let month = Duration::from_secs(30 * 86_400);
    let forget = async |most: u32| {
        queues::retention::forget_finished(db.store(), month, most)
            .await
            .unwrap()
    };
    assert_eq!(
        forget(100).await,
        Some(200),
        "so many recipients, and their queues"
    );
    assert_eq!(
        forget(10_000).await,
        Some(2 * u64::from(queues::retention::FORGET_MAX)),
        "so many queues"
    );
    assert_eq!(forget(10_000).await, Some(200), "the rest");
    assert_eq!(forget(10_000).await, None);
}
