//! Events in their order, none lost, none of a shard that is another's.

use std::time::Duration;

use shared::broker::{Consumer, QueueName};
use shared::event::{Event, Instance};
use shared::id::{SessionId, Token};
use shared::store::commit::Write;
use shared::store::outbox::OutboxEvent;
use shared::store::{Fence, sessions};
use shared::testing::{TestBroker, TestDatabase, token};
use tokio::time::Instant;

use super::*;
use crate::committer::Committer;

const SOON: Duration = Duration::from_secs(20);

fn event(token: &Token, sequence: i64) -> OutboxEvent {
    let instance = Instance {
        owner: None,
        name: token.clone(),
    };
    let event = Event::send_start(shared::testing::queue_id());
    OutboxEvent::from(&event.envelope(instance, shared::testing::event_id(), 0, sequence))
}

async fn sequences(consumer: &mut Consumer, count: usize) -> Vec<i64> {
    let mut seen = Vec::with_capacity(count);
    while seen.len() < count {
        let delivery = tokio::time::timeout(SOON, consumer.next())
            .await
            .unwrap()
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&delivery.body).unwrap();
        seen.push(body["sequence"].as_i64().unwrap());
        delivery.ack().await.unwrap();
    }
    seen
}

struct Bench {
    db: TestDatabase,
    test: TestBroker,
    fence: Fence,
    wake: Wake,
    committer: Committer,
    token: Token,
    session: SessionId,
}

impl Bench {
    async fn new() -> Self {
        let (db, test) = (TestDatabase::new().await, TestBroker::new(1).await);
        let (fence, wake, token) = (db.lease(0, "w").await, Wake::new(), token());
        let session = sessions::create(db.store(), &token, 1)
            .await
            .unwrap()
            .into_record()
            .id;
        let (committer, _task) = Committer::start(db.store(), wake.clone(), Clock::system()).unwrap();
        Self {
            db,
            test,
            fence,
            wake,
            committer,
            token,
            session,
        }
    }

    async fn put(&self, sequences: std::ops::Range<i64>) {
        let mut write = Write::new(self.fence, self.session);
        write.events = sequences.map(|sequence| event(&self.token, sequence)).collect();
        self.committer.commit(write).await.unwrap();
    }

    fn relay(&self, lease: &Lease) -> Relay {
        Relay {
            store: self.db.store().clone(),
            publisher: self.test.broker().publisher(),
            topology: self.test.broker().topology().clone(),
            lease: lease.clone(),
            wake: self.wake.clone(),
            clock: Clock::system(),
        }
    }

    fn lease(&self) -> Lease {
        Lease::new(
            self.fence,
            Instant::now(),
            Instant::now() + Duration::from_secs(600),
        )
    }

    async fn left(&self) -> i64 {
        outbox::backlog(self.db.store()).await.unwrap().0
    }
}

#[tokio::test]
async fn events_are_published_in_order_and_forgotten() {
    let bench = Bench::new().await;
    bench.put(0..1_200).await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(bench.relay(&bench.lease()).run(stop.clone()));
    let mut consumer = bench.test.broker().consume(&QueueName::Webhooks, 500);
    assert_eq!(
        sequences(&mut consumer, 1_200).await,
        (0..1_200).collect::<Vec<_>>()
    );
    // Later ones are published without waiting for the poll.
    let started = std::time::Instant::now();
    bench.put(1_200..1_210).await;
    assert_eq!(
        sequences(&mut consumer, 10).await,
        (1_200..1_210).collect::<Vec<_>>()
    );
    println!("woken and published in {:?}", started.elapsed());
    stop.cancel();
    task.await.unwrap();
    assert_eq!(bench.left().await, 0);
    consumer.close().await;
}

#[tokio::test]
async fn a_stopped_relay_publishes_what_was_committed_before() {
    let bench = Bench::new().await;
    bench.put(0..7).await;
    let stop = CancellationToken::new();
    stop.cancel();
    bench.relay(&bench.lease()).run(stop).await;
    assert_eq!(bench.left().await, 0);
}

#[tokio::test]
async fn nothing_is_published_after_the_lease() {
    let bench = Bench::new().await;
    bench.put(0..3).await;
    let lease = bench.lease();
    lease.end();
    bench.relay(&lease).run(CancellationToken::new()).await;
    assert_eq!(bench.left().await, 3);
    let heir = bench.lease();
    let stop = CancellationToken::new();
    stop.cancel();
    bench.relay(&heir).run(stop).await;
    assert_eq!(bench.left().await, 0, "the next owner publishes them");
}

#[tokio::test]
async fn a_full_queue_holds_events_back_in_their_order_and_floods_nobody_else() {
    const EVENTS: i64 = 40;
    const ROOM: i32 = 10;
    let bench = Bench::new().await;
    let broker = bench.test.broker();
    let narrow = bench.test.narrow_queue(ROOM).await;
    bench.put(0..EVENTS).await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(bench.relay(&bench.lease()).run(stop.clone()));
    let mut beside = broker.consume(&QueueName::Webhooks, 500);
    // The first batch whole, and then again one by one what the narrow queue refused.
    let mut seen = sequences(&mut beside, usize::try_from(EVENTS).unwrap()).await;
    while bench.left().await > EVENTS - i64::from(ROOM) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(bench.left().await > 0, "what is refused is kept");
    let mut taken = Vec::new();
    while taken.len() < usize::try_from(EVENTS).unwrap() {
        for body in bench.test.drain(&narrow).await {
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let sequence = body["sequence"].as_i64().unwrap();
            if taken.last().is_none_or(|last| *last < sequence) {
                assert_eq!(
                    sequence,
                    i64::try_from(taken.len()).unwrap(),
                    "in order, none left out"
                );
                taken.push(sequence);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    task.await.unwrap();
    assert_eq!(bench.left().await, 0);
    beside.close().await;
    seen.dedup();
    assert_eq!(seen, (0..EVENTS).collect::<Vec<_>>());
    bench.test.remove(&narrow).await;
}

#[test]
fn only_a_refusal_narrows_what_is_on_its_way_and_full_reads_widen_it_again() {
    let refused = RelayError::Publish(PublishError::Refused);
    let mut width = Width(ABREAST_MAX);
    assert_eq!(width.0, ABREAST_MAX);
    for error in [
        RelayError::Publish(PublishError::Unconfirmed),
        RelayError::Publish(PublishError::Unavailable("away".into())),
        RelayError::Store(StoreError::Unavailable("away".into())),
        RelayError::LeaseOver,
    ] {
        width.learn(0, Some(&error));
        assert_eq!(width.0, ABREAST_MAX, "{error}");
    }
    width.learn(7, Some(&refused));
    assert_eq!(width.0, 1);
    width.learn(0, Some(&RelayError::Publish(PublishError::Unconfirmed)));
    assert_eq!(width.0, 1);
    width.learn(ABREAST_MAX, None);
    width.learn(ABREAST_MAX, None);
    assert_eq!(width.0, 4);
    for _ in 0..10 {
        width.learn(ABREAST_MAX, None);
    }
    assert_eq!(width.0, ABREAST_MAX);
    width.learn(0, Some(&refused));
    width.learn(3, None);
    assert_eq!(width.0, ABREAST_MAX, "none waits any more");
}

#[tokio::test]
async fn a_lease_that_is_renewed_while_the_broker_says_nothing_is_not_over() {
    let bench = Bench::new().await;
    tokio::time::pause();
    let lease = Lease::new(
        bench.fence,
        Instant::now(),
        Instant::now() + Duration::from_secs(8),
    );
    let started = Instant::now();
    let renew = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        lease.extend(started + Duration::from_secs(13));
    };
    tokio::join!(over(&lease, Clock::system()), renew);
    assert!(
        started.elapsed() >= Duration::from_secs(13),
        "{:?}",
        started.elapsed()
    );
    lease.end();
    over(&lease, Clock::system()).await;
}
