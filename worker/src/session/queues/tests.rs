//! Turns, pages and phases.

use std::time::Duration;

use shared::recipient::Number;

use super::*;

fn queue(total: u32) -> Queue {
    Queue::new(Spec {
        id: shared::testing::queue_id(),
        content: Arc::new(shared::content::Text::new("hi").into()),
        accepted_at: time::OffsetDateTime::UNIX_EPOCH,
        pace: Pace::new(Duration::ZERO, Duration::ZERO).unwrap(),
        on_unknown: OnUnknown::Resend,
        duplicates: Duplicates::Drop,
        reference: None,
        total,
        settled: 0,
        started: false,
        account: None,
        waiting: None,
        trace: QueueTrace::default(),
    })
}

fn targets(range: std::ops::Range<u32>) -> Vec<Target> {
    range.map(target).collect()
}

fn target(seq: u32) -> Target {
    Target::new(seq, Number::new(&format!("55319{seq:08}")).unwrap(), None)
}

/// A session with queues of these totals, each with its first page read.
fn loaded(totals: &[u32]) -> (Queues, Vec<QueueId>) {
    let mut queues = Queues::default();
    let mut ids = Vec::new();
    for total in totals {
        let queue = queue(*total);
        ids.push(queue.id);
        queues.insert(queue);
    }
    while let Some((id, after)) = queues.want_page() {
        assert_eq!(after, None);
        let total = queues.get(id).unwrap().total;
        queues.page(id, targets(0..total.min(PAGE as u32)), None);
        if total > PAGE as u32 {
            break;
        }
    }
    (queues, ids)
}

fn order(queues: &mut Queues) -> Vec<(QueueId, u32)> {
    std::iter::from_fn(|| queues.take(From::Known).map(|(id, target)| (id, target.seq))).collect()
}

#[test]
fn broadcasts_take_turns_and_a_single_overtakes_them() {
    let (mut queues, ids) = loaded(&[3, 2]);
    let (a, b) = (ids[0], ids[1]);
    assert_eq!(queues.take(From::Known).unwrap().0, a);
    let single = queue(1);
    let single_id = single.id;
    queues.insert(single);
    assert_eq!(queues.want_page(), Some((single_id, None)));
    queues.page(single_id, targets(0..1), None);
    assert_eq!(
        queues.peek(From::Known).unwrap().0,
        single_id,
        "the single goes before the bulk"
    );
    assert_eq!(
        order(&mut queues),
        [(single_id, 0), (b, 0), (a, 1), (b, 1), (a, 2)]
    );
}

#[test]
fn pages_are_read_ahead_and_never_twice() {
    let (mut queues, ids) = loaded(&[PAGE as u32 * 2]);
    assert_eq!(queues.want_page(), None, "a full page is enough");
    for _ in 0..PAGE / 2 {
        queues.take(From::Known).unwrap();
    }
    let last = PAGE as u32 - 1;
    assert_eq!(queues.want_page(), Some((ids[0], Some(last))));
    assert_eq!(queues.want_page(), None, "one read at a time");
    queues.page(ids[0], targets(last + 1..last + 11), None);
    assert!(!queues.is_reading(), "a short page is the last");
    assert_eq!(order(&mut queues).len(), PAGE / 2 + 10);
    assert_eq!(queues.want_page(), None);
}

#[test]
fn a_draining_queue_starts_nothing_and_says_when_it_is_drained() {
    let (mut queues, ids) = loaded(&[3]);
    let (_, first) = queues.take(From::Known).unwrap();
    queues.drain(ids[0], Change::Pause);
    assert_eq!(queues.peek(From::Known), None);
    assert_eq!(queues.take_drained(), []);
    queues.give_back(ids[0], first.clone());
    assert_eq!(queues.take_drained(), [(ids[0], Change::Pause)]);
    assert!(queues.is_changing(ids[0]) && queues.take_drained().is_empty());
    queues.all.get_mut(&ids[0]).unwrap().phase = Phase::Running;
    assert_eq!(
        queues.take(From::Known),
        Some((ids[0], first)),
        "what was given back is next"
    );
    assert_eq!(queues.settle(ids[0]).unwrap().settled, 1);
    assert!(queues.get(ids[0]).unwrap().is_running());
}

#[test]
fn the_number_of_queues_in_memory_is_bounded() {
    let mut queues = Queues::default();
    let mut ids = Vec::new();
    for _ in 0..QUEUES_MAX {
        let queue = queue(1);
        ids.push(queue.id);
        assert!(queues.insert(queue));
    }
    assert!(!queues.insert(queue(1)), "no room");
    assert!(!queues.take_room(), "still full");
    for id in ids.iter().skip(QUEUES_MAX / 2) {
        queues.remove(*id);
    }
    assert!(queues.take_room());
    assert!(!queues.take_room(), "asked once");
}
