use std::time::{Duration, Instant};

use super::migrate::MIGRATIONS;
use super::queues::QueueState;
use super::queues::accepting::Acceptance;
use super::recipients::RecipientState;
use super::sessions::{Created, SessionState};
use super::*;
use crate::content::Text;
use crate::id::{JobId, QueueId, SessionId, ShardId, StanzaId, Token};
use crate::job::{Delay, SendJob};
use crate::recipient::Number;
use crate::testing::{TestDatabase, job_id, token};

mod accepting;
mod client_version;
mod holding;
mod plans;
mod queues_and_requests;
mod reseal;
mod survey;

fn job(recipients: u32) -> SendJob {
    let numbers = (0..recipients).map(|n| Number::new(&format!("55319{n:08}")).unwrap());
    SendJob::new(numbers, Text::new("hi"))
}

/// So many of each kind, at any time.
fn due(most: u32) -> queues::Due<'static> {
    queues::Due {
        held: None,
        account: None,
        now: time::OffsetDateTime::UNIX_EPOCH,
        most,
    }
}

async fn session(db: &TestDatabase) -> SessionId {
    sessions::create(db.store(), &token(), 1)
        .await
        .unwrap()
        .into_record()
        .id
}

async fn accept(
    db: &TestDatabase,
    fence: Fence,
    session: SessionId,
    (id, job): (&JobId, &SendJob),
) -> Acceptance {
    let queue = job.queue_id(&Token::new("t").unwrap(), id);
    let offer = queues::accepting::Offer {
        session,
        queue,
        other: None,
        id,
        ids: crate::testing::stanza_ids(),
        job,
        trace: None,
    };
    accept_one(db, fence, offer).await.unwrap()
}

async fn accept_one(
    db: &TestDatabase,
    fence: Fence,
    offer: queues::accepting::Offer<'_>,
) -> Result<Acceptance, StoreError> {
    let mut accepted = queues::accepting::accept_all(db.store(), fence, &[offer]).await?;
    Ok(accepted.pop().unwrap().unwrap())
}

#[tokio::test]
async fn migrating_twice_is_migrating_once_and_a_changed_schema_is_refused() {
    let db = TestDatabase::new().await;
    assert!(db.store().migrate().await.unwrap().is_empty());
    db.store().check_schema().await.unwrap();
    db.query("UPDATE migration SET checksum = 'x' WHERE version = 1")
        .await;
    assert!(matches!(db.store().migrate().await, Err(StoreError::Changed(1))));
    db.query("INSERT INTO migration (version, name, checksum) VALUES (999, 'future', 'x')")
        .await;
    assert!(matches!(
        db.store().migrate().await,
        Err(StoreError::Schema { found: 999, .. })
    ));
    assert!(matches!(
        db.store().check_schema().await,
        Err(StoreError::Schema { found: 999, .. })
    ));
}

/// Releases are merged in another order than their migrations are numbered.
#[tokio::test]
async fn a_migration_that_was_skipped_is_made_up_for_and_asked_for_until_then() {
    const SKIPPED: i32 = 15;
    let columns = "SELECT string_agg(table_name || '.' || column_name, ' ' ORDER BY column_name) FROM (
        SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public') c
        GROUP BY table_name ORDER BY table_name";
    let (db, whole) = (TestDatabase::new().await, TestDatabase::new().await);
    db.query("DROP SCHEMA public CASCADE").await;
    db.query("CREATE SCHEMA public").await;
    let mut before = MIGRATIONS.to_vec();
    before.retain(|migration| migration.version != SKIPPED);
    db.store().apply(&before).await.unwrap();
    assert!(matches!(
        db.store().check_schema().await,
        Err(StoreError::Schema {
            found: 14,
            needed: SCHEMA_VERSION
        })
    ));
    let applied = db.store().migrate().await.unwrap();
    let versions: Vec<i32> = applied.iter().map(|migration| migration.version).collect();
    assert_eq!(versions, [SKIPPED]);
    db.store().check_schema().await.unwrap();
    assert_eq!(db.query(columns).await, whole.query(columns).await);
}

#[tokio::test]
async fn every_column_is_explained() {
    let db = TestDatabase::new().await;
    let silent = db
        .query(
            "SELECT c.relname || '.' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'migration'
               AND a.attnum > 0 AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NULL",
        )
        .await;
    assert!(silent.is_empty(), "{silent:?}");
}

#[tokio::test]
async fn sessions_go_to_the_emptiest_shard_and_a_token_is_taken_once() {
    let db = TestDatabase::new().await;
    let mut loads = [0; 4];
    for _ in 0..8 {
        let created = sessions::create(db.store(), &token(), 4)
            .await
            .unwrap()
            .into_record();
        loads[usize::from(created.shard.get())] += 1;
    }
    assert_eq!(loads, [2; 4]);
    let taken = token();
    let Created::New(new) = sessions::create(db.store(), &taken, 4).await.unwrap() else {
        panic!("not new")
    };
    assert_eq!(new.state, SessionState::New);
    assert!(new.wanted && new.owner.is_none() && new.qr.is_none());
    let again = sessions::create(db.store(), &taken, 4).await.unwrap();
    assert_eq!(again, Created::Existing(new.clone()));
    assert_eq!(
        sessions::find(db.store(), &taken).await.unwrap(),
        Some(new.clone())
    );
    assert_eq!(sessions::find(db.store(), &token()).await.unwrap(), None);
    assert!(
        sessions::of_shard(db.store(), new.shard, None, 10)
            .await
            .unwrap()
            .contains(&new)
    );
}

#[tokio::test]
async fn sessions_are_listed_in_pages() {
    let db = TestDatabase::new().await;
    for name in ["a", "b", "c"] {
        sessions::create(db.store(), &Token::new(name).unwrap(), 1)
            .await
            .unwrap();
    }
    let first = sessions::list(db.store(), None, 2).await.unwrap();
    let rest = sessions::list(db.store(), Some(&first[1].token), 2)
        .await
        .unwrap();
    let names: Vec<_> = first
        .iter()
        .chain(&rest)
        .map(|s| s.token.as_str().to_owned())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_session_is_marked_for_deletion_once_until_its_worker_is_overdue() {
    let db = TestDatabase::new().await;
    let taken = token();
    let session = sessions::create(db.store(), &taken, 1)
        .await
        .unwrap()
        .into_record();
    assert_eq!(session.deleting_at, None);
    assert!(sessions::mark_deleting(db.store(), session.id).await.unwrap());
    assert!(!sessions::mark_deleting(db.store(), session.id).await.unwrap());
    let marked = sessions::find(db.store(), &taken).await.unwrap().unwrap();
    assert!(marked.deleting_at.is_some());
    db.query("UPDATE session SET deleting_at = deleting_at - interval '1 hour'")
        .await;
    assert!(sessions::mark_deleting(db.store(), session.id).await.unwrap());
    sessions::unmark_deleting(db.store(), session.id).await.unwrap();
    assert_eq!(
        sessions::find(db.store(), &taken)
            .await
            .unwrap()
            .unwrap()
            .deleting_at,
        None
    );
}

#[tokio::test]
async fn deleting_a_session_takes_all_of_it_and_needs_the_lease() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let session = session(&db).await;
    accept(&db, fence, session, (&job_id(), &job(3))).await;
    let stale = Fence {
        epoch: crate::id::Epoch::new(fence.epoch.get() - 1),
        ..fence
    };
    assert!(matches!(
        sessions::delete(db.store(), stale, session).await,
        Err(StoreError::Fenced)
    ));
    sessions::delete(db.store(), fence, session).await.unwrap();
    assert_eq!(
        db.query("SELECT count(*) FROM recipient").await,
        [Some("0".into())]
    );
}

#[tokio::test]
async fn the_schema_refuses_what_must_not_be() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let session = session(&db).await;
    accept(&db, fence, session, (&job_id(), &job(2))).await;
    for wrong in [
        "UPDATE queue SET settled = 3",
        "UPDATE queue SET failed = 1",
        "UPDATE queue SET state = 3, finished_at = now(), started_at = now()",
        "UPDATE queue SET state = 2",
        "UPDATE queue SET state = 1",
        "UPDATE recipient SET state = 1, stanza_id = NULL",
        "UPDATE recipient SET state = 2",
        "UPDATE recipient SET state = 5",
        "UPDATE session SET state = 3",
        "UPDATE session SET qr = 'x', qr_expires_at = now()",
        "UPDATE session SET token = 'a b'",
        "UPDATE shard_lease SET owner = NULL",
    ] {
        let client = db.store().client().await.unwrap();
        let error = client.batch_execute(wrong).await.unwrap_err();
        assert!(
            matches!(StoreError::from(error), StoreError::Refused(_)),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_stopped_client_does_not_hold_the_lease_row_for_long() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let held = db.store().begin("test").await.unwrap();
    leases::hold(&held, fence).await.unwrap();
    // The client says nothing more, as a process does that is stopped in the middle of a transaction.
    let other = db.another_store();
    let worker = crate::id::WorkerId::new("b").unwrap();
    leases::release(&other, fence).await.unwrap();
    let started = Instant::now();
    let taken = loop {
        let taken = leases::take(&other, &worker, &[fence.shard], Duration::from_secs(9))
            .await
            .unwrap();
        if let [taken] = taken.as_slice() {
            break *taken;
        }
        assert!(started.elapsed() < IDLE_TIMEOUT + Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(taken.epoch > fence.epoch);
    assert!(
        held.commit().await.is_err(),
        "the stopped client's transaction is undone"
    );
}

#[tokio::test]
async fn workers_and_leases_follow_the_database_clock() {
    let db = TestDatabase::new().await;
    leases::ensure_shards(db.store(), 3).await.unwrap();
    leases::ensure_shards(db.store(), 3).await.unwrap();
    let (a, b) = (
        crate::id::WorkerId::new("a").unwrap(),
        crate::id::WorkerId::new("b").unwrap(),
    );
    let ttl = Duration::from_secs(30);
    let live = leases::Presence::Live;
    leases::tick(db.store(), &a, live, ttl).await.unwrap();
    let view = leases::tick(db.store(), &b, live, ttl).await.unwrap();
    assert_eq!(view.workers, ["a", "b"]);
    assert!(
        view.leases
            .iter()
            .all(|lease| lease.owner.is_none() && !lease.expired)
    );
    let shards: Vec<ShardId> = view.leases.iter().map(|lease| lease.shard).collect();
    assert_eq!(
        leases::take(db.store(), &a, &shards[..2], ttl)
            .await
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        leases::take(db.store(), &b, &shards, ttl).await.unwrap().len(),
        1,
        "only the free one"
    );
    db.query("UPDATE shard_lease SET expires_at = now() - interval '1 second' WHERE shard = 0")
        .await;
    let taken = leases::take(db.store(), &b, &shards, ttl).await.unwrap();
    assert_eq!(
        (taken.len(), taken[0].epoch.get()),
        (1, 2),
        "an expired one, under a new epoch"
    );
    leases::leave(db.store(), &a).await.unwrap();
    let view = leases::tick(db.store(), &b, live, ttl).await.unwrap();
    assert_eq!(view.workers, ["b"]);
}

#[tokio::test]
async fn an_idempotency_key_answers_once() {
    use super::idempotency::{RequestKey, Reservation, abandon, complete, purge, reserve};
    const ANSWER: &[u8] = br#"{"secret":"whsec_"}"#;
    let db = TestDatabase::new().await;
    let (lock, keep) = (Duration::from_secs(60), Duration::from_secs(3600));
    let at = RequestKey {
        scope: "POST /v1/x",
        key: "key-1",
    };
    let again = async |print: &[u8; 32]| reserve(db.store(), at, print, lock, keep).await.unwrap();
    assert_eq!(again(&[1; 32]).await, Reservation::New);
    assert_eq!(again(&[1; 32]).await, Reservation::InProgress);
    assert_eq!(again(&[2; 32]).await, Reservation::Mismatch);
    abandon(db.store(), at).await.unwrap();
    assert_eq!(again(&[1; 32]).await, Reservation::New);
    complete(db.store(), at, 202, ANSWER).await.unwrap();
    assert_eq!(
        again(&[1; 32]).await,
        Reservation::Done {
            status: 202,
            body: ANSWER.to_vec()
        }
    );
    assert_eq!(again(&[2; 32]).await, Reservation::Mismatch);
    let kept = db.query("SELECT encode(body, 'hex') FROM idempotency").await;
    assert!(
        !format!("{kept:?}").contains(&hex::encode(ANSWER)),
        "the answer is not sealed"
    );
    assert_eq!(purge(db.store()).await.unwrap(), 0);
    db.query("UPDATE idempotency SET expires_at = now()").await;
    assert_eq!(
        again(&[2; 32]).await,
        Reservation::New,
        "an expired key is free again"
    );
}

#[tokio::test]
async fn a_store_that_is_not_there_says_so() {
    let database = config::Database {
        url: config::Secret::new("postgres://nobody:hush@127.0.0.1:1/none?connect_timeout=1"),
        pool_size: 1,
    };
    let store = Store::new(&database, None, crate::clock::Clock::system()).unwrap();
    let error = store.ping().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)));
    assert!(!error.to_string().contains("hush"));
    assert!(matches!(store.sealer(), Err(StoreError::Seal(_))));
    let nonsense = config::Database {
        url: config::Secret::new("nonsense"),
        pool_size: 1,
    };
    assert!(matches!(
        Store::new(&nonsense, None, crate::clock::Clock::system()),
        Err(StoreError::Url(_))
    ));
}
