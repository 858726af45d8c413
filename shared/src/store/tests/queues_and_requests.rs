//! Queues as they are accepted, found and listed, and what was asked for under their ids.

use std::collections::HashSet;

use super::*;

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
        ids: crate::testing::stanza_ids(),
        job: &send,
        trace: None,
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
        ids: crate::testing::stanza_ids(),
        job: &job(1),
        trace: None,
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
    assert_eq!(first[0].state, RecipientState::Queued);
    let ids: HashSet<_> = first
        .iter()
        .filter_map(|pending| pending.stanza.as_ref())
        .collect();
    assert_eq!(
        ids.len(),
        100,
        "each has the id of its message, none has that of another"
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
