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
        job,
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
async fn the_same_job_is_accepted_once_and_another_body_is_refused() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let session = session(&db).await;
    let (id, send) = (job_id(), job(3));
    let Acceptance::Accepted(queue) = accept(&db, fence, session, (&id, &send)).await else {
        panic!()
    };
    assert_eq!(
        (queue.state, queue.total, queue.settled),
        (QueueState::Queued, 3, 0)
    );
    assert_eq!(
        accept(&db, fence, session, (&id, &send)).await,
        Acceptance::Duplicate(queue.clone())
    );
    assert_eq!(
        accept(&db, fence, session, (&id, &job(2))).await,
        Acceptance::Conflict
    );
    // Another job that claims the same queue.
    let claim = SendJob {
        queue_id: Some(queue.id),
        ..job(3)
    };
    assert_eq!(
        accept(&db, fence, session, (&job_id(), &claim)).await,
        Acceptance::Duplicate(queue.clone())
    );
    let claim = SendJob {
        queue_id: Some(queue.id),
        ..job(1)
    };
    assert_eq!(
        accept(&db, fence, session, (&job_id(), &claim)).await,
        Acceptance::Conflict
    );
    assert_eq!(
        db.query("SELECT count(*) FROM recipient").await,
        [Some("3".into())]
    );
    // Another session may use the same job id, but not the queue.
    let other = sessions::create(db.store(), &token(), 1)
        .await
        .unwrap()
        .into_record()
        .id;
    let offer = |queue| queues::accepting::Offer {
        session: other,
        queue,
        other: None,
        id: &id,
        job: &send,
    };
    let claimed = accept_one(&db, fence, offer(queue.id)).await.unwrap();
    assert_eq!(claimed, Acceptance::Conflict);
    let fresh = accept_one(&db, fence, offer(crate::testing::queue_id()))
        .await
        .unwrap();
    assert!(matches!(fresh, Acceptance::Accepted(_)));
}

#[tokio::test]
async fn a_stale_owner_accepts_nothing() {
    let db = TestDatabase::new().await;
    let old = db.lease(0, "old").await;
    let session = session(&db).await;
    leases::release(db.store(), old).await.unwrap();
    let id = job_id();
    let offer = queues::accepting::Offer {
        session,
        queue: crate::testing::queue_id(),
        other: None,
        id: &id,
        job: &job(1),
    };
    let result = accept_one(&db, old, offer).await;
    assert!(matches!(result, Err(StoreError::Fenced)));
    assert_eq!(db.query("SELECT count(*) FROM queue").await, [Some("0".into())]);
}

#[tokio::test]
async fn a_stanza_id_that_was_used_is_a_conflict() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let session = session(&db).await;
    let send = SendJob {
        message_id: Some(StanzaId::new("3EB0AA").unwrap()),
        ..job(1)
    };
    assert!(matches!(
        accept(&db, fence, session, (&job_id(), &send)).await,
        Acceptance::Accepted(_)
    ));
    assert_eq!(
        accept(&db, fence, session, (&job_id(), &send)).await,
        Acceptance::MessageIdTaken
    );
    assert_eq!(db.query("SELECT count(*) FROM queue").await, [Some("1".into())]);
}

#[tokio::test]
async fn a_hundred_thousand_recipients_are_stored_and_read_in_pages() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let session = session(&db).await;
    let send = SendJob {
        delay: Some(Delay::new(0.05, 0.15).unwrap()),
        ..job(100_000)
    };
    let started = Instant::now();
    let Acceptance::Accepted(queue) = accept(&db, fence, session, (&job_id(), &send)).await else {
        panic!()
    };
    println!("accepted in {:?}", started.elapsed());
    assert_eq!((queue.total, queue.delay), (100_000, send.delay));
    let first = recipients::next(db.store(), queue.id, None, None, 100)
        .await
        .unwrap();
    assert_eq!(first.len(), 100);
    assert_eq!((first[0].seq, first[99].seq), (0, 99));
    assert_eq!(first[7].number, send.numbers[7].number);
    assert_eq!(
        (first[0].state, first[0].stanza.as_ref()),
        (RecipientState::Queued, None)
    );
    let last = recipients::next(db.store(), queue.id, Some(99_998), None, 100)
        .await
        .unwrap();
    assert_eq!(last.len(), 1);
    assert!(
        recipients::next(db.store(), queue.id, Some(99_999), None, 100)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        recipients::counts(db.store(), queue.id).await.unwrap(),
        [(RecipientState::Queued, 100_000)]
    );
    let started = Instant::now();
    assert_eq!(
        recipients::tally(db.store(), queue.id).await.unwrap(),
        [(RecipientState::Queued, None, 100_000)]
    );
    println!("counted in {:?}", started.elapsed());
    let recipients::Lists { numbers, stanzas } = recipients::lists(db.store(), queue.id, 3).await.unwrap();
    let first = send.numbers[..3].iter().map(|recipient| recipient.number.clone());
    assert_eq!((numbers, stanzas.len()), (first.collect(), 0));
}

#[tokio::test]
async fn queues_are_found_and_listed() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let session = session(&db).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let Acceptance::Accepted(queue) = accept(&db, fence, session, (&job_id(), &job(1))).await else {
            panic!()
        };
        ids.push(queue.id);
    }
    let active: Vec<_> = queues::active(db.store(), session, due(10))
        .await
        .unwrap()
        .iter()
        .map(|q| q.id)
        .collect();
    assert_eq!(active, ids);
    let mut filter = queues::listing::Filter {
        session: Some(session),
        ..queues::listing::Filter::default()
    };
    let newest = queues::listing::list(db.store(), filter, 2).await.unwrap();
    filter.before = Some((newest[1].1.created_at, newest[1].1.id));
    let oldest = queues::listing::list(db.store(), filter, 2).await.unwrap();
    let listed: Vec<_> = newest.iter().chain(&oldest).map(|(_, q)| q.id).rev().collect();
    assert_eq!(listed, ids);
    assert!(queues::find(db.store(), session, ids[0]).await.unwrap().is_some());
    assert!(
        queues::find(db.store(), SessionId::new(0), ids[0])
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        queues::find_any(db.store(), ids[0]).await.unwrap().unwrap().1.id,
        ids[0]
    );
}

#[tokio::test]
async fn queues_that_start_later_are_passed_over_but_for_the_first_of_them() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let session = session(&db).await;
    let epoch = time::OffsetDateTime::UNIX_EPOCH;
    let mut ids = Vec::new();
    for seconds in [None, Some(30), Some(10), Some(20)] {
        let send = SendJob {
            start_at: seconds.map(|seconds| epoch + Duration::from_secs(seconds)),
            ..job(1)
        };
        let Acceptance::Accepted(queue) = accept(&db, fence, session, (&job_id(), &send)).await else {
            panic!()
        };
        assert_eq!(queue.start_at, send.start_at);
        ids.push(queue.id);
    }
    for (now, expected) in [
        (0, vec![0, 2]),
        (10, vec![0, 2, 3]),
        (25, vec![0, 2, 3, 1]),
        (30, vec![0, 1, 2, 3]),
    ] {
        let due = queues::Due {
            now: epoch + Duration::from_secs(now),
            ..due(10)
        };
        let found = queues::active(db.store(), session, due).await.unwrap();
        let found: Vec<_> = found.iter().map(|queue| queue.id).collect();
        let expected: Vec<_> = expected.into_iter().map(|nth: usize| ids[nth]).collect();
        assert_eq!(found, expected, "{now} seconds on");
    }
}

#[tokio::test]
async fn what_was_asked_for_is_found_until_it_is_taken_back() {
    use super::requests::{self, Asked, Noted};
    let db = TestDatabase::new().await;
    let session = session(&db).await;
    let (id, message) = (job_id(), StanzaId::new("3EB0AA").unwrap());
    let asked = Asked {
        session,
        queue: crate::testing::queue_id(),
        job: &id,
        message: Some(&message),
    };
    assert_eq!(requests::note(db.store(), asked).await.unwrap(), Noted::New);
    assert_eq!(requests::note(db.store(), asked).await.unwrap(), Noted::Again);
    let found = requests::of_message(db.store(), session, &message).await.unwrap();
    assert_eq!(
        (found.len(), found[0].queue, &found[0].rejection),
        (1, asked.queue, &None)
    );
    assert_eq!(
        requests::of_queue(db.store(), session, asked.queue)
            .await
            .unwrap(),
        found
    );
    requests::take_back(db.store(), asked).await.unwrap();
    assert_eq!(
        requests::of_message(db.store(), session, &message).await.unwrap(),
        []
    );
    let nowhere = Asked {
        session: SessionId::new(99),
        ..asked
    };
    assert_eq!(
        requests::note(db.store(), nowhere).await.unwrap(),
        Noted::NoSession
    );
    requests::note(db.store(), asked).await.unwrap();
    assert_eq!(requests::purge(db.store()).await.unwrap(), 0);
    db.query("UPDATE send_request SET recorded_at = now() - interval '31 days'")
        .await;
    assert_eq!(requests::purge(db.store()).await.unwrap(), 1);
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
        "UPDATE recipient SET state = 1",
        "UPDATE recipient SET state = 2, stanza_id = seq::text",
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
