use super::*;
use crate::broker::{Outgoing, QueueName};
use crate::id::{Token, WebhookId};
use crate::testing::{TestBroker, TestDatabase, token};

const SOON: Duration = Duration::from_secs(20);

struct Bench {
    database: TestDatabase,
    broker: TestBroker,
    token: Token,
}

impl Bench {
    async fn new() -> Self {
        Self {
            database: TestDatabase::new().await,
            broker: TestBroker::new(1).await,
            token: token(),
        }
    }

    async fn register(&self, events: &[&str]) -> WebhookId {
        let webhook = NewWebhook {
            id: crate::testing::webhook_id(),
            tokens: Vec::new(),
            headers: Vec::new(),
            limits: Limits::default(),
            url: "https://example.org".into(),
            secret: Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            dialect: Dialect::Standard,
        };
        let (store, broker) = (self.database.store(), self.broker.broker());
        register(store, broker, &webhook).await.unwrap().id
    }

    async fn review(&self) {
        review(self.database.store(), self.broker.broker()).await.unwrap();
    }

    /// Publishes one event of each of these names, then says which of them reached the queue.
    async fn reach(&self, events: &[&'static str]) -> Vec<&'static str> {
        let broker = self.broker.broker();
        let publisher = broker.publisher();
        for event in events {
            let event = Outgoing::event(
                broker.topology(),
                &self.token,
                event,
                crate::testing::event_id(),
                "{}".into(),
            );
            publisher.publish(event).await.unwrap();
        }
        let depth = broker.depth(&QueueName::Webhooks).await.unwrap();
        let mut consumer = broker.consume(&QueueName::Webhooks, 100);
        let mut reached = Vec::new();
        for _ in 0..depth {
            let next = tokio::time::timeout(SOON, consumer.next());
            let delivery = next.await.unwrap().unwrap();
            let kind = delivery.kind.clone().unwrap();
            reached.push(*events.iter().find(|event| **event == kind).unwrap());
            delivery.ack().await.unwrap();
        }
        consumer.close().await;
        reached
    }
}

const SOME: [&str; 4] = [
    "send.message:START",
    "send.message:PROCESSING",
    "paused.queue",
    "new.message",
];

#[tokio::test]
async fn only_what_a_webhook_wants_goes_through_the_queue() {
    let bench = Bench::new().await;
    assert_eq!(
        bench.reach(&SOME).await,
        SOME,
        "until somebody looks, everything goes through"
    );
    bench.review().await;
    assert_eq!(bench.reach(&SOME).await, [""; 0], "nobody wants anything");
    let paused = bench.register(&["paused.queue"]).await;
    assert_eq!(bench.reach(&SOME).await, ["paused.queue"]);
    bench.register(&["send.message:START", "paused.queue"]).await;
    assert_eq!(bench.reach(&SOME).await, ["send.message:START", "paused.queue"]);
    webhooks::delete(bench.database.store(), paused).await.unwrap();
    bench.review().await;
    assert_eq!(bench.reach(&SOME).await, ["send.message:START", "paused.queue"]);
    let all = bench.register(&[]).await;
    assert_eq!(bench.reach(&SOME).await, SOME);
    bench.review().await;
    assert_eq!(bench.reach(&SOME).await, SOME);
    webhooks::disable(bench.database.store(), all, "it answered 410 Gone")
        .await
        .unwrap();
    bench.review().await;
    assert_eq!(bench.reach(&SOME).await, ["send.message:START", "paused.queue"]);
}

#[tokio::test]
async fn what_is_wanted_outlives_a_declaration_and_comes_back_when_it_is_lost() {
    let bench = Bench::new().await;
    bench.review().await;
    bench.register(&["paused.queue"]).await;
    // Another process comes and declares everything.
    let again = crate::testing::connect(bench.broker.config()).await.unwrap();
    assert_eq!(bench.reach(&SOME).await, ["paused.queue"]);
    // Somebody takes the binding away.
    again.want_only(&Wanted::Only(BTreeSet::new())).await.unwrap();
    assert_eq!(bench.reach(&SOME).await, [""; 0]);
    bench.review().await;
    assert_eq!(bench.reach(&SOME).await, ["paused.queue"]);
    again.close().await;
    // The broker loses all it had.
    bench.broker.broker().delete_topology().await.unwrap();
    let again = crate::testing::connect(bench.broker.config()).await.unwrap();
    bench.review().await;
    assert_eq!(bench.reach(&SOME).await, ["paused.queue"]);
    again.close().await;
}

#[tokio::test]
async fn a_registration_is_never_undone_by_a_review_at_the_same_time() {
    let bench = Bench::new().await;
    for event in [
        "paused.queue",
        "resumed.queue",
        "send.message:START",
        "new.message",
    ] {
        let reviews = async {
            for _ in 0..5 {
                bench.review().await;
            }
        };
        let events = [event];
        tokio::join!(bench.register(&events), reviews);
        assert_eq!(bench.reach(&[event]).await, [event]);
    }
}

#[tokio::test]
async fn without_the_broker_nothing_is_registered() {
    let bench = Bench::new().await;
    bench.broker.broker().close().await;
    let webhook = NewWebhook {
        id: GLOBAL,
        tokens: Vec::new(),
        headers: Vec::new(),
        limits: Limits::default(),
        url: "https://example.org".into(),
        secret: Secret::new(""),
        events: Vec::new(),
        dialect: Dialect::Seed,
    };
    let (store, broker) = (bench.database.store(), bench.broker.broker());
    let error = register(store, broker, &webhook).await.unwrap_err();
    assert!(matches!(error, SubscriptionError::Broker(_)), "{error}");
    assert!(webhooks::find(store, GLOBAL).await.unwrap().is_none());
}

#[test]
fn a_list_that_may_mean_unknown_names_wants_everything() {
    let list = |entries: &[&str]| {
        entries
            .iter()
            .map(|entry| (*entry).to_owned())
            .collect::<Vec<_>>()
    };
    let names = |names: &[EventName]| Wanted::Only(names.iter().copied().collect());
    assert_eq!(wanted([]), names(&[]));
    assert_eq!(
        wanted([&list(&["new.message"]), &list(&["paused.queue", "new.message"])]),
        names(&[EventName::NewMessage, EventName::PausedQueue])
    );
    assert_eq!(wanted([&list(&["new.message"]), &list(&[])]), Wanted::All);
    assert_eq!(wanted([&list(&["send.message:*"])]), Wanted::All);
}
