//! What is listed of deliveries, and made again by filter.

use shared::id::DeliveryId;
use shared::store::deliveries::{Fate, NewDelivery, at_once};

use super::*;

fn listing(keep_delivered: u32) -> Settings {
    Settings {
        keep_delivered,
        ..settings()
    }
}

impl Stage {
    /// A delivery that was given up; the id of its event.
    async fn put_dead(&self, webhook: WebhookId, token: &Token, sequence: i64) -> String {
        let event_id = shared::testing::event_id();
        let new = NewDelivery {
            id: DeliveryId::new(event_id.as_uuid()),
            webhook,
            event_id,
            token: token.clone(),
            event: "send.message:START".to_owned(),
            sequence,
            body: "{}".to_owned(),
            attempted: None,
            fate: Fate::Dead,
            lease: None,
            trace: None,
        };
        deliveries::insert(self.database.store(), &new)
            .await
            .unwrap()
            .unwrap();
        event_id.to_string()
    }
}

#[tokio::test]
async fn a_delivery_that_is_taken_at_once_is_listed_and_can_be_made_again() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Well).await;
    let webhook = stage.register(&receiver, None, &[]).await;
    stage.start(listing(1_000));
    let token = testing::token();
    let id = stage.publish(&token, 7).await;
    until("it is listed", async || {
        stage.rows(webhook, DeliveryState::Delivered).await.len() == 1
    })
    .await;
    let row = &stage.rows(webhook, DeliveryState::Delivered).await[0];
    assert_eq!(
        (row.event_id.to_string(), row.token.as_str()),
        (id, token.as_str())
    );
    assert_eq!(
        (row.attempts, row.last_status, row.history.len()),
        (1, Some(204), 1)
    );
    assert_eq!(
        row.body.as_bytes(),
        receiver.taken()[0].body,
        "it is what was posted"
    );
    replays::replay(stage.database.store(), webhook, row.id)
        .await
        .unwrap()
        .unwrap();
    until("it is posted again", async || receiver.taken().len() == 2).await;
    assert_eq!(receiver.taken_ids().len(), 1, "under the same id");
    stage.stop().await;
}

#[tokio::test]
async fn no_more_than_the_newest_are_kept() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Well).await;
    let webhook = stage.register(&receiver, None, &[]).await;
    // One is written at a time; with one too many the oldest goes.
    stage.start(listing(2));
    let token = testing::token();
    let mut last = String::new();
    for sequence in 1..=4 {
        last = stage.publish(&token, sequence).await;
        until("it is the newest", async || {
            let rows = stage.rows(webhook, DeliveryState::Delivered).await;
            rows.first().is_some_and(|row| row.event_id.to_string() == last)
        })
        .await;
    }
    until("two are kept", async || {
        stage.rows(webhook, DeliveryState::Delivered).await.len() == 2
    })
    .await;
    stage.stop().await;
    assert_eq!(
        stage.rows(webhook, DeliveryState::Delivered).await[0]
            .event_id
            .to_string(),
        last
    );
    let store = stage.database.store();
    let now = Clock::system().wall();
    assert_eq!(
        at_once::purge(store, now - Duration::from_secs(3_600))
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        at_once::purge(store, now + Duration::from_secs(1)).await.unwrap(),
        2
    );
}

#[tokio::test]
async fn what_died_is_made_again_by_filter_page_by_page_and_in_order() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Well).await;
    let webhook = stage.register(&receiver, None, &[]).await;
    let (own, other) = (testing::token(), testing::token());
    let mut published = Vec::new();
    for sequence in 1..=12 {
        published.push(stage.put_dead(webhook, &own, sequence).await);
    }
    stage.put_dead(webhook, &other, 1).await;
    stage.start(settings());
    let store = stage.database.store();
    let filter = Filter {
        state: Some(DeliveryState::Dead),
        token: Some(own),
        event: Some("send.message:*".to_owned()),
        since: Some(Clock::system().wall() - Duration::from_secs(600)),
        until: Some(Clock::system().wall() + Duration::from_secs(600)),
    };
    let (mut after, mut counts) = (None, Vec::new());
    loop {
        let replayed = replays::replay_all(store, webhook, &filter, after, 5)
            .await
            .unwrap();
        counts.push(replayed.replayed);
        after = replayed.last;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(counts, [5, 5, 2]);
    until("all of the session are taken", async || {
        receiver.taken_ids().len() == 12
    })
    .await;
    let order: Vec<String> = receiver.taken().into_iter().map(|attempt| attempt.id).collect();
    assert_eq!(order, published);
    assert_eq!(
        stage.rows(webhook, DeliveryState::Dead).await.len(),
        1,
        "the other session's"
    );
    let long_ago = Filter {
        until: Some(Clock::system().wall() - Duration::from_secs(600)),
        ..filter
    };
    let none = replays::replay_all(store, webhook, &long_ago, None, 5)
        .await
        .unwrap();
    assert_eq!((none.replayed, none.last), (0, None));
    stage.stop().await;
}

#[tokio::test]
async fn a_test_is_posted_once_and_its_answer_is_kept() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Failing).await;
    let webhook = stage.register(&receiver, None, &["paused.queue"]).await;
    stage.start(settings());
    let new = NewDelivery {
        id: DeliveryId::new(shared::testing::event_id().as_uuid()),
        webhook,
        event_id: shared::testing::event_id(),
        token: testing::token(),
        event: deliveries::TEST_EVENT.to_owned(),
        sequence: 0,
        body: "{}".to_owned(),
        attempted: None,
        fate: Fate::InTurn,
        lease: None,
        trace: None,
    };
    deliveries::insert(stage.database.store(), &new)
        .await
        .unwrap()
        .unwrap();
    until("it is over", async || {
        stage.rows(webhook, DeliveryState::Dead).await.len() == 1
    })
    .await;
    stage.stop().await;
    let row = &stage.rows(webhook, DeliveryState::Dead).await[0];
    assert_eq!(
        (row.attempts, row.last_status, row.answer.as_deref()),
        (1, Some(500), Some("it fails"))
    );
    let attempt = &receiver.attempts()[0];
    let key = standardwebhooks::Webhook::new(SECRET).unwrap();
    key.verify(&attempt.body, &attempt.headers).unwrap();
}
