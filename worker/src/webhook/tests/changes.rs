//! Webhooks that are changed while the role runs, and what they ask of it.

use shared::store::webhooks::CustomHeader;
use shared::store::webhooks::registry::{Change, Rotation};

use super::*;

const NEW_SECRET: &str = "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3";

impl Stage {
    async fn change(&self, id: WebhookId, change: Change) {
        let (store, broker) = (self.database.store(), self.broker.broker());
        subscription::change(store, broker, id, &change)
            .await
            .unwrap()
            .unwrap();
    }

    async fn is_disabled(&self, id: WebhookId) -> bool {
        let record = webhooks::find(self.database.store(), id).await.unwrap().unwrap();
        record.disabled.is_some()
    }

    /// Publishes events of a session that wait, and returns their ids in their order.
    async fn pile_up(&self, webhook: WebhookId, token: &Token, count: i64) -> Vec<String> {
        let mut published = Vec::new();
        for sequence in 1..=count {
            published.push(self.publish(token, sequence).await);
        }
        let all = usize::try_from(count).unwrap();
        until("all of them wait", async || {
            self.rows(webhook, DeliveryState::Pending).await.len() == all
        })
        .await;
        published
    }
}

fn enabled() -> Change {
    Change {
        enabled: Some(true),
        ..Change::default()
    }
}

fn is_signed_with(attempt: &Attempt, secret: &str) -> bool {
    let key = standardwebhooks::Webhook::new(secret).unwrap();
    key.verify(&attempt.body, &attempt.headers).is_ok()
}

/// The ids of what was taken, each as often as it was.
fn taken_in_order(receiver: &Receiver) -> Vec<String> {
    receiver.taken().into_iter().map(|attempt| attempt.id).collect()
}

#[tokio::test]
async fn an_endpoint_that_is_enabled_again_gets_what_waited_in_order() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Failing).await;
    let webhook = stage.register(&receiver, None, &[]).await;
    let circuit = CircuitLimits {
        first: Duration::from_secs(600),
        longest: Duration::from_secs(600),
    };
    let schedule = vec!["600"; 31].join(",").parse().unwrap();
    stage.start(Settings {
        circuit,
        schedule,
        ..settings()
    });
    let token = testing::token();
    let published = stage.pile_up(webhook, &token, 40).await;
    let (store, why) = (stage.database.store(), "more than 50 deliveries waited for it");
    webhooks::disable(store, webhook, why).await.unwrap();
    receiver.set(Mood::Well);
    stage.change(webhook, enabled()).await;
    assert!(!stage.is_disabled(webhook).await, "the reason goes");
    until("all that waited is taken", async || {
        receiver.taken_ids().len() == published.len()
    })
    .await;
    assert_eq!(taken_in_order(&receiver), published);
    // Its circuit is as new too.
    let next = stage.publish(&token, 41).await;
    until("and what comes then", async || {
        receiver.taken_ids().contains(&next)
    })
    .await;
    stage.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_was_gone_gets_the_event_that_it_refused() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Gone).await;
    let webhook = stage.register(&receiver, None, &[]).await;
    stage.start(settings());
    let token = testing::token();
    let refused = stage.publish(&token, 1).await;
    until("it is disabled", async || stage.is_disabled(webhook).await).await;
    until("the event waits", async || {
        stage.rows(webhook, DeliveryState::Pending).await.len() == 1
    })
    .await;
    receiver.set(Mood::Well);
    stage.change(webhook, enabled()).await;
    let next = stage.publish(&token, 2).await;
    until("both are taken", async || receiver.taken().len() == 2).await;
    assert_eq!(receiver.taken_ids(), BTreeSet::from([refused, next]));
    stage.stop().await;
}

#[tokio::test]
async fn a_change_counts_for_the_next_event() {
    let mut stage = Stage::new().await;
    let (before, after) = (
        Receiver::start(Mood::Well).await,
        Receiver::start(Mood::Well).await,
    );
    let webhook = stage.register(&before, None, &["send.message:*"]).await;
    stage.start(settings());
    let (own, other) = (testing::token(), testing::token());
    stage.publish(&other, 1).await;
    until("the old address has it", async || before.taken().len() == 1).await;
    stage
        .change(
            webhook,
            Change {
                url: Some(after.url()),
                events: Some(vec!["send.message:START".to_owned()]),
                tokens: Some(vec![testing::token(), own.clone()]),
                ..Change::default()
            },
        )
        .await;
    stage.publish(&other, 2).await;
    let id = stage.publish(&own, 2).await;
    until("the new address has it", async || after.taken().len() == 1).await;
    assert_eq!(after.taken()[0].id, id);
    let off = Change {
        enabled: Some(false),
        ..Change::default()
    };
    stage.change(webhook, off).await;
    stage.publish(&own, 3).await;
    until("the event is settled", async || {
        stage.depth(&QueueName::Webhooks).await == 0
    })
    .await;
    stage.stop().await;
    assert_eq!((before.attempts().len(), after.attempts().len()), (1, 1));
}

#[tokio::test]
async fn two_secrets_sign_until_the_old_one_ends() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Well).await;
    let webhook = stage.register(&receiver, None, &[]).await;
    stage.start(settings());
    let token = testing::token();
    let rotation = |keep_old| Change {
        rotation: Some(Rotation {
            secret: Secret::new(NEW_SECRET),
            keep_old,
        }),
        ..Change::default()
    };
    stage.change(webhook, rotation(Duration::from_secs(3_600))).await;
    stage.publish(&token, 1).await;
    until("it is taken", async || receiver.taken().len() == 1).await;
    let both = &receiver.taken()[0];
    assert!(is_signed_with(both, SECRET) && is_signed_with(both, NEW_SECRET));
    let signatures = both.headers["webhook-signature"].to_str().unwrap();
    assert_eq!(
        signatures.split(' ').filter(|one| one.starts_with("v1,")).count(),
        2
    );

    stage
        .database
        .query("UPDATE webhook SET old_secret_until = now(), revision = nextval('webhook_revision')")
        .await;
    stage.publish(&token, 2).await;
    until("it is taken too", async || receiver.taken().len() == 2).await;
    let new = &receiver.taken()[1];
    assert!(!is_signed_with(new, SECRET) && is_signed_with(new, NEW_SECRET));
    stage.stop().await;
}

#[tokio::test]
async fn headers_of_its_own_are_sealed_and_posted() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Well).await;
    let header = CustomHeader {
        name: "authorization".to_owned(),
        value: Secret::new("Bearer hunter2"),
    };
    stage
        .put(NewWebhook {
            headers: vec![header],
            ..webhook(&receiver)
        })
        .await;
    let stored = "SELECT encode(headers, 'escape') FROM webhook";
    let stored = stage.database.query(stored).await[0].clone().unwrap();
    assert!(!stored.contains("hunter2"), "sealed at rest");
    stage.start(settings());
    stage.publish(&testing::token(), 1).await;
    until("it is taken", async || receiver.taken().len() == 1).await;
    let attempt = &receiver.taken()[0];
    assert_eq!(attempt.headers["authorization"], "Bearer hunter2");
    assert_eq!(attempt.headers["content-type"], "application/json");
    stage.stop().await;
}

#[tokio::test]
async fn an_endpoint_is_asked_as_much_as_it_says_and_in_order() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Late).await;
    let limits = Limits {
        max_per_second: Some(20.0),
        max_concurrent: Some(2),
    };
    stage
        .put(NewWebhook {
            limits,
            ..webhook(&receiver)
        })
        .await;
    let tokens = [testing::token(), testing::token(), testing::token()];
    let mut published: BTreeMap<Token, Vec<String>> = BTreeMap::new();
    for sequence in 1..=20 {
        for token in &tokens {
            let id = stage.publish(token, sequence).await;
            published.entry(token.clone()).or_default().push(id);
        }
    }
    stage.start(Settings {
        timeout: Duration::from_secs(60),
        ..settings()
    });
    until("two are under way", async || receiver.attempts().len() == 2).await;
    let begun = tokio::time::Instant::now();
    // Long enough for a third, if there were a place.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.attempts().len(), 2);
    receiver.set(Mood::Well);
    until("all are answered", async || {
        let ids: BTreeSet<_> = receiver
            .attempts()
            .into_iter()
            .map(|attempt| attempt.id)
            .collect();
        ids.len() == 60
    })
    .await;
    // Two are over; 58 at 20 a second.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(2_800), "58 attempts took {took:?}");
    for of_session in published.values() {
        let order: Vec<String> = receiver
            .attempts()
            .into_iter()
            .map(|attempt| attempt.id)
            .filter(|id| of_session.contains(id))
            .collect();
        assert_eq!(order, *of_session);
    }
    stage.stop().await;
}
