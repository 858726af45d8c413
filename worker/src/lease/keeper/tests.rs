//! Who gets which shard when, and when a lease is over.

use std::time::Duration;

use shared::testing::TestDatabase;

use super::super::leases::Leases;
use super::*;

fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

fn shard(number: u16) -> ShardId {
    ShardId::new(number).unwrap()
}

fn gained(events: Vec<LeaseEvent>) -> Vec<Lease> {
    let gained = |event| match event {
        LeaseEvent::Gained(lease) => Some(lease),
        LeaseEvent::Release(_) | LeaseEvent::Lost(_) => None,
    };
    events.into_iter().filter_map(gained).collect()
}

/// Ticks both until the second has what it should, answering every request for a release at once.
async fn balance(a: &mut Keeper, b: &mut Keeper) -> Vec<Lease> {
    let mut of_b = Vec::new();
    for _ in 0..40 {
        a.tick().await.unwrap();
        for event in a.take_events() {
            if let LeaseEvent::Release(shard) = event {
                a.release(shard).await;
            }
        }
        b.tick().await.unwrap();
        of_b.extend(gained(b.take_events()));
    }
    of_b
}

#[test]
fn shares_differ_by_one_at_most_and_few_shards_move() {
    let shards = || (0..64).map(shard);
    let names = |count: usize| (0..count).map(|n| format!("worker-{n}")).collect::<Vec<_>>();
    for count in 1..=9 {
        let plan = assign(&names(count), shards());
        assert_eq!(plan.len(), 64);
        let loads: Vec<usize> = names(count)
            .iter()
            .map(|name| plan.values().filter(|owner| *owner == name).count())
            .collect();
        assert!(
            loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1,
            "{count}: {loads:?}"
        );
    }
    let (three, four) = (assign(&names(3), shards()), assign(&names(4), shards()));
    let moved = shards().filter(|shard| three[shard] != four[shard]).count();
    assert!(moved <= 32, "{moved} of 64 moved when a fourth worker came");
    assert!(assign(&[], shards()).is_empty());
}

#[tokio::test]
async fn a_second_worker_gets_its_share_one_shard_at_a_time() {
    let db = TestDatabase::new().await;
    leases::ensure_shards(db.store(), 7).await.unwrap();
    let mut a = Keeper::new(
        db.store().clone(),
        worker("a"),
        Timing::default(),
        Clock::system(),
    );
    a.tick().await.unwrap();
    assert_eq!(gained(a.take_events()).len(), 7, "alone it has all");
    let mut b = Keeper::new(
        db.another_store(),
        worker("b"),
        Timing::default(),
        Clock::system(),
    );
    b.tick().await.unwrap();
    assert!(b.take_events().is_empty(), "nothing is free");
    a.tick().await.unwrap();
    a.tick().await.unwrap();
    let asked: Vec<_> = a.take_events();
    assert!(
        matches!(asked.as_slice(), [LeaseEvent::Release(_)]),
        "one at a time: {asked:?}"
    );
    let LeaseEvent::Release(first) = asked[0] else {
        panic!()
    };
    a.release(first).await;
    let share = balance(&mut a, &mut b).await.len();
    assert!((3..=4).contains(&share), "{share}");
}

#[tokio::test]
async fn idle_shards_are_handed_over_first() {
    let db = TestDatabase::new().await;
    leases::ensure_shards(db.store(), 8).await.unwrap();
    let mut a = Keeper::new(
        db.store().clone(),
        worker("a"),
        Timing::default(),
        Clock::system(),
    );
    a.tick().await.unwrap();
    let plan = assign(&["a".into(), "b".into()], (0..8).map(shard));
    let idle = (0..8).map(shard).rfind(|s| plan[s] == "b").unwrap();
    let leases = gained(a.take_events());
    let _at_work: Vec<_> = leases
        .iter()
        .filter(|lease| lease.shard() != idle)
        .map(Lease::busy)
        .collect();
    // One that was at work and is not any more is idle too.
    leases.iter().for_each(|lease| drop(lease.busy()));
    let mut b = Keeper::new(
        db.another_store(),
        worker("b"),
        Timing::default(),
        Clock::system(),
    );
    b.tick().await.unwrap();
    a.tick().await.unwrap();
    assert!(matches!(a.take_events().as_slice(), [LeaseEvent::Release(shard)] if *shard == idle));
}

#[tokio::test]
async fn a_stalled_owner_stops_by_its_own_clock_before_another_takes_over() {
    let db = TestDatabase::new().await;
    leases::ensure_shards(db.store(), 2).await.unwrap();
    // As long as the stalled one does not tick, it is like a process under SIGSTOP.
    let timing = Timing {
        ttl: Duration::from_millis(1500),
        tick: Duration::from_millis(100),
        margin: Duration::from_millis(500),
    };
    let mut stalled = Keeper::new(db.store().clone(), worker("stalled"), timing, Clock::system());
    stalled.tick().await.unwrap();
    let old = gained(stalled.take_events());
    assert_eq!(old.len(), 2);
    let mut heir = Keeper::new(db.another_store(), worker("heir"), timing, Clock::system());
    let new = loop {
        heir.tick().await.unwrap();
        let new = gained(heir.take_events());
        if !new.is_empty() {
            break new;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(new.len(), 2, "both at once");
    for lease in &old {
        assert!(!lease.is_live(Instant::now()), "ended before it was taken");
    }
    assert!(new.iter().all(|lease| lease.fence().epoch > old[0].fence().epoch));
    // It wakes up: it learns what it lost, and takes nothing back while the heir lives.
    stalled.tick().await.unwrap();
    let events = stalled.take_events();
    assert_eq!(
        events
            .iter()
            .filter(|event| matches!(event, LeaseEvent::Lost(_)))
            .count(),
        2
    );
    assert!(gained(events).is_empty());
}

#[tokio::test]
async fn a_lease_that_ended_by_our_clock_is_not_revived_by_a_late_renewal() {
    let db = TestDatabase::new().await;
    leases::ensure_shards(db.store(), 1).await.unwrap();
    let timing = Timing {
        ttl: Duration::from_secs(60),
        tick: Duration::from_secs(1),
        margin: Duration::from_secs(2),
    };
    let mut keeper = Keeper::new(db.store().clone(), worker("a"), timing, Clock::system());
    keeper.tick().await.unwrap();
    let first = gained(keeper.take_events()).remove(0);
    keeper.expire_at(first.deadline());
    assert!(matches!(keeper.take_events().as_slice(), [LeaseEvent::Lost(_)]));
    // The database still shows it as ours: it is given back, and taken again under another epoch.
    keeper.tick().await.unwrap();
    keeper.tick().await.unwrap();
    let second = gained(keeper.take_events()).remove(0);
    assert!(second.fence().epoch > first.fence().epoch);
    assert!(!first.is_live(Instant::now()));
}

#[tokio::test]
async fn a_worker_that_leaves_gives_all_back_at_once() {
    let db = TestDatabase::new().await;
    leases::ensure_shards(db.store(), 3).await.unwrap();
    let timing = Timing {
        tick: Duration::from_millis(50),
        ..Timing::default()
    };
    let (leases, mut events, task) = Leases::start(db.store().clone(), worker("a"), timing, Clock::system());
    let mut held = Vec::new();
    while held.len() < 3 {
        let Some(LeaseEvent::Gained(lease)) = events.recv().await else {
            panic!()
        };
        held.push(lease);
    }
    let answering = leases.clone();
    let drain = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let LeaseEvent::Release(shard) = event {
                answering.release(shard).await;
            }
        }
    });
    leases.leave().await;
    assert!(held.iter().all(|lease| !lease.is_live(Instant::now())));
    assert_eq!(
        db.query("SELECT count(owner) FROM shard_lease").await,
        [Some("0".into())]
    );
    assert_eq!(db.query("SELECT count(*) FROM worker").await, [Some("0".into())]);
    task.await.unwrap();
    drain.await.unwrap();
}

#[tokio::test]
async fn a_shard_that_can_not_be_given_back_does_not_keep_the_end_of_another_from_being_told() {
    let db = TestDatabase::new().await;
    leases::ensure_shards(db.store(), 2).await.unwrap();
    let timing = Timing {
        ttl: Duration::from_secs(2),
        tick: Duration::from_secs(60),
        margin: Duration::from_millis(500),
    };
    let (leases, mut events, _) = Leases::start(db.another_store(), worker("a"), timing, Clock::system());
    for _ in 0..2 {
        assert!(matches!(events.recv().await, Some(LeaseEvent::Gained(_))));
    }
    let held = db.hold("shard_lease").await;
    let given_back = tokio::spawn(async move { leases.release(shard(0)).await });
    let told = tokio::time::timeout(Duration::from_secs(10), events.recv()).await;
    let told = told.expect("in time");
    assert!(
        matches!(told, Some(LeaseEvent::Lost(lost)) if lost == shard(1)),
        "{told:?}"
    );
    given_back.await.unwrap();
    held.release().await;
}
