//! Jobs that are accepted together: each as if it were alone.

use super::*;
use crate::job::{Duplicates, Label, Reference};
use crate::store::queues::accepting::Offer;

struct Send {
    session: SessionId,
    queue: QueueId,
    id: JobId,
    job: SendJob,
}

impl Send {
    fn new(session: SessionId, job: SendJob) -> Self {
        let id = job_id();
        Self {
            session,
            queue: crate::testing::queue_id(),
            id,
            job,
        }
    }

    fn offer(&self) -> Offer<'_> {
        Offer {
            session: self.session,
            queue: self.queue,
            other: None,
            id: &self.id,
            ids: crate::testing::stanza_ids(),
            job: &self.job,
            trace: None,
        }
    }
}

fn offers<'a>(sends: &[&'a Send]) -> Vec<Offer<'a>> {
    sends.iter().map(|send| send.offer()).collect()
}

#[tokio::test]
async fn jobs_that_come_together_are_stored_in_their_order_and_each_once() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let (a, b) = (session(&db).await, session(&db).await);
    let first = Send::new(a, job(3));
    let other_body = Send {
        job: job(1),
        id: first.id.clone(),
        ..Send::new(a, job(1))
    };
    let of_another = Send::new(b, job(2));
    let last = Send::new(a, job(1));
    let together = [&first, &of_another, &first, &other_body, &last];
    let answers = queues::accepting::accept_all(db.store(), fence, &offers(&together))
        .await
        .unwrap();
    let Ok(
        [
            Ok(Acceptance::Accepted(stored)),
            Ok(Acceptance::Accepted(_)),
            Ok(Acceptance::Duplicate(again)),
            Ok(Acceptance::Conflict),
            Ok(Acceptance::Accepted(_)),
        ],
    ) = <[_; 5]>::try_from(answers.clone())
    else {
        panic!("{answers:?}")
    };
    assert_eq!((stored.id, again.id), (first.queue, first.queue));
    assert_eq!(
        db.query("SELECT count(*) FROM recipient").await,
        [Some("6".into())]
    );
    // In the order in which they came, not in that of their ids.
    let order = db.query("SELECT id FROM queue ORDER BY created_at").await;
    let came = [&first, &of_another, &last].map(|send| Some(send.queue.to_string()));
    assert_eq!(order, came);
    let again = queues::accepting::accept_all(db.store(), fence, &offers(&together))
        .await
        .unwrap();
    assert!(!again.iter().any(|one| matches!(one, Ok(Acceptance::Accepted(_)))));
}

#[tokio::test]
async fn one_that_is_refused_spoils_nothing_for_those_beside_it() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let here = session(&db).await;
    let stanza = |id: &str| SendJob {
        message_id: Some(StanzaId::new(id).unwrap()),
        ..job(1)
    };
    let (good, named, taken) = (
        Send::new(here, job(2)),
        Send::new(here, stanza("3EB0AA")),
        Send::new(here, stanza("3EB0AA")),
    );
    let nowhere = Send::new(SessionId::new(99), job(1));
    let together = [&good, &named, &taken, &nowhere];
    let answers = queues::accepting::accept_all(db.store(), fence, &offers(&together))
        .await
        .unwrap();
    assert!(
        matches!(
            answers.as_slice(),
            [
                Ok(Acceptance::Accepted(_)),
                Ok(Acceptance::Accepted(_)),
                Ok(Acceptance::MessageIdTaken),
                Ok(Acceptance::NoSession)
            ]
        ),
        "{answers:?}"
    );
    assert_eq!(
        db.query("SELECT count(*) FROM recipient").await,
        [Some("3".into())]
    );
    leases::release(db.store(), fence).await.unwrap();
    let stale = queues::accepting::accept_all(db.store(), fence, &offers(&[&good])).await;
    assert!(matches!(stale, Err(StoreError::Fenced)), "{stale:?}");
}

#[tokio::test]
async fn the_oldest_queues_of_both_kinds_are_read_and_no_more_than_asked_for() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let session = session(&db).await;
    let mut ids = Vec::new();
    for recipients in [2, 2, 2, 1, 1, 1] {
        let Acceptance::Accepted(queue) = accept(&db, fence, session, (&job_id(), &job(recipients))).await
        else {
            panic!("not accepted")
        };
        ids.push(queue.id);
    }
    let read = queues::active(db.store(), session, due(2)).await.unwrap();
    let read: Vec<_> = read.iter().map(|queue| queue.id).collect();
    assert_eq!(read.len(), 4);
    for id in [ids[0], ids[1], ids[3], ids[4]] {
        assert!(read.contains(&id));
    }
}

#[tokio::test]
async fn a_uuid_is_the_identity_of_a_job_of_each_session() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let (a, b) = (session(&db).await, session(&db).await);
    let (id, send) = (job_id(), job(1));
    let offer = |session, token: &str| {
        let token = Token::new(token).unwrap();
        Offer {
            session,
            queue: send.queue_id(&token, &id),
            other: send.other_queue_id(&token, &id),
            id: &id,
            ids: crate::testing::stanza_ids(),
            job: &send,
            trace: None,
        }
    };
    let together = [offer(a, "a"), offer(b, "b"), offer(b, "b")];
    let answers = queues::accepting::accept_all(db.store(), fence, &together)
        .await
        .unwrap();
    let [
        Ok(Acceptance::Accepted(first)),
        Ok(Acceptance::Accepted(second)),
        Ok(Acceptance::Duplicate(again)),
    ] = answers.as_slice()
    else {
        panic!("{answers:?}")
    };
    assert_eq!(first.id.to_string(), id.as_str());
    assert_ne!(first.id, second.id);
    assert_eq!(second, again);
    // Both are found under the id that their publishers know.
    let found = queues::find(db.store(), b, first.id).await.unwrap().unwrap();
    assert_eq!(found.id, second.id);
    let found = queues::find(db.store(), a, first.id).await.unwrap().unwrap();
    assert_eq!(found.id, first.id);
    // What the caller calls its queue is one queue of all sessions.
    let claim = Offer {
        other: None,
        ..offer(session(&db).await, "c")
    };
    let answers = queues::accepting::accept_all(db.store(), fence, &[claim])
        .await
        .unwrap();
    assert!(matches!(answers.as_slice(), [Ok(Acceptance::Conflict)]));
}

#[tokio::test]
async fn names_of_the_caller_s_own_are_kept_and_queues_listed_by_their_label() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let session = session(&db).await;
    let mut send = SendJob {
        reference: Some(Reference::new("order 17").unwrap()),
        label: Some(Label::new("spring").unwrap()),
        duplicates: Duplicates::Allow,
        ..job(2)
    };
    send.numbers[1].reference = Some(Reference::new("Ana").unwrap());
    let Acceptance::Accepted(queue) = accept(&db, fence, session, (&job_id(), &send)).await else {
        panic!("not accepted")
    };
    accept(&db, fence, session, (&job_id(), &job(1))).await;
    assert_eq!(
        (&queue.reference, &queue.label, queue.duplicates),
        (&send.reference, &send.label, Duplicates::Allow)
    );
    let of_label = queues::listing::Filter {
        label: send.label.as_ref(),
        ..queues::listing::Filter::default()
    };
    for (state, session) in [
        (None, Some(session)),
        (Some(queue.state), Some(session)),
        (Some(queue.state), None),
        (None, None),
    ] {
        let filter = queues::listing::Filter {
            state,
            session,
            ..of_label
        };
        let listed = queues::listing::list(db.store(), filter, 10).await.unwrap();
        let ids: Vec<_> = listed.iter().map(|(_, listed)| listed.id).collect();
        assert_eq!(ids, [queue.id]);
    }
    let page = recipients::page(db.store(), queue.id, None, None, 10)
        .await
        .unwrap();
    let references: Vec<_> = page.into_iter().map(|one| one.reference).collect();
    assert_eq!(references, [None, send.numbers[1].reference.clone()]);
    let next = recipients::next(db.store(), queue.id, Some(0), None, 10)
        .await
        .unwrap();
    assert_eq!(next[0].reference, send.numbers[1].reference);
}
