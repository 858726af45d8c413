use super::*;
use crate::event::RestrictionKind;
use crate::store::sessions::{LookUps, Restriction, SessionRecord};

async fn next(bench: &Bench, queue: &QueueRecord, held: Option<u32>) -> Vec<u32> {
    let page = recipients::next(bench.db.store(), queue.id, None, held, 10).await;
    page.unwrap().iter().map(|pending| pending.seq).collect()
}

async fn active(bench: &Bench, held: Option<u32>) -> usize {
    let active = queues::active(bench.db.store(), bench.session, due(held)).await;
    active.unwrap().len()
}

#[tokio::test]
async fn those_who_wait_are_queued_again_under_their_id_and_passed_over() {
    let bench = Bench::new().await;
    let (queue, at) = (bench.queue(3).await, now());
    // In one write and in two: what was refused had an id, and keeps it.
    bench
        .commit(|w| {
            w.recipients = vec![
                RecipientChange::sending(queue.id, 0, stanza(0), at),
                RecipientChange::held(queue.id, 0, 1, at),
                RecipientChange::sending(queue.id, 1, stanza(1), at),
            ];
        })
        .await
        .unwrap();
    bench
        .commit(|w| w.recipients = vec![RecipientChange::held(queue.id, 1, 1, at)])
        .await
        .unwrap();
    assert_eq!(next(&bench, &queue, Some(1)).await, [2]);
    assert_eq!(
        next(&bench, &queue, Some(2)).await,
        [0, 1, 2],
        "of an earlier one it means nothing"
    );
    let page = recipients::next(bench.db.store(), queue.id, None, None, 10)
        .await
        .unwrap();
    let told = page.iter().map(|pending| (pending.state, pending.stanza.clone()));
    let queued = |stanza| (RecipientState::Queued, stanza);
    assert!(told.eq([queued(Some(stanza(0))), queued(Some(stanza(1))), queued(None)]));
    assert_eq!(recipients::held(bench.db.store(), queue.id, 1).await.unwrap(), 2);
    assert_eq!(bench.reload(&queue).await.settled, 0);
    // Who is settled does not wait any more.
    let sent = RecipientChange::state(RecipientKey::Seq(queue.id, 2), RecipientState::Sent, at);
    let sent = RecipientChange {
        stanza: Some(stanza(2)),
        ..sent
    };
    bench.commit(|w| w.recipients = vec![sent]).await.unwrap();
    bench
        .commit(|w| w.recipients = vec![RecipientChange::held(queue.id, 2, 1, at)])
        .await
        .unwrap();
    assert_eq!(recipients::held(bench.db.store(), queue.id, 1).await.unwrap(), 2);
}

#[tokio::test]
async fn a_queue_that_waits_stays_as_it_is_and_is_not_read() {
    let bench = Bench::new().await;
    let queue = bench.queue(2).await;
    bench
        .commit(|w| w.queues = vec![QueueChange::Hold(queue.id, 1)])
        .await
        .unwrap();
    assert_eq!(bench.reload(&queue).await.state, QueueState::Queued);
    assert_eq!(
        (active(&bench, Some(1)).await, active(&bench, Some(2)).await),
        (0, 1)
    );
    assert_eq!(active(&bench, None).await, 1);
    bench
        .commit(|w| w.queues = vec![QueueChange::Start(queue.id), QueueChange::Hold(queue.id, 2)])
        .await
        .unwrap();
    assert_eq!(bench.reload(&queue).await.state, QueueState::Running);
    assert_eq!(active(&bench, Some(2)).await, 0);
}

async fn record(bench: &Bench) -> SessionRecord {
    let all = sessions::list(bench.db.store(), None, 10).await.unwrap();
    all.into_iter().find(|record| record.id == bench.session).unwrap()
}

#[tokio::test]
async fn a_restriction_is_kept_until_it_is_lifted_and_its_number_for_good() {
    let bench = Bench::new().await;
    let since = now();
    let restriction = Restriction {
        kind: RestrictionKind::TimeLock,
        since,
        until: since + Duration::from_secs(600),
        why: Some("BIZ_QUALITY".into()),
        number: 7,
    };
    let begin = |w: &mut Write| {
        let row = w.session_row();
        row.restriction = Some(Some(restriction.clone()));
        row.restrictions = Some(7);
        row.look_ups = Some(LookUps { since, count: 3 });
        row.rate_limited_until = Some(since);
    };
    bench.commit(begin).await.unwrap();
    let seen = record(&bench).await;
    assert_eq!(seen.restriction.as_ref(), Some(&restriction));
    assert_eq!(seen.look_ups, Some(LookUps { since, count: 3 }));
    assert_eq!(seen.rate_limited_until, Some(since));
    // What says nothing of it leaves it.
    bench
        .commit(|w| w.session_row().wanted = Some(true))
        .await
        .unwrap();
    assert_eq!(record(&bench).await.restriction, Some(restriction.clone()));
    bench
        .commit(|w| w.session_row().restriction = Some(None))
        .await
        .unwrap();
    let seen = record(&bench).await;
    assert_eq!((seen.restriction, seen.restrictions), (None, 7));
    // Begun and over in one batch.
    let (mut one, mut other) = (bench.write(), bench.write());
    begin(&mut one);
    one.session_row().restrictions = Some(8);
    other.session_row().restriction = Some(None);
    for result in bench.commit_all([one, other]).await {
        result.unwrap();
    }
    let seen = record(&bench).await;
    assert_eq!((seen.restriction, seen.restrictions), (None, 8));
}
