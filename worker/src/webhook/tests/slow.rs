//! Endpoints that take long to answer.

use super::*;

#[tokio::test]
async fn a_slow_endpoint_holds_nobody_up() {
    let mut stage = Stage::new().await;
    let (slow, quick) = (
        Receiver::start(Mood::Hanging).await,
        Receiver::start(Mood::Well).await,
    );
    let webhook = stage.register(&slow, None, &[]).await;
    stage.register(&quick, None, &[]).await;
    stage.start(Settings {
        timeout: Duration::from_secs(20),
        ..settings()
    });
    let token = testing::token();
    let count = i64::try_from(endpoint::WAITING_MAX).unwrap() + 50;
    for sequence in 0..count {
        stage.publish(&token, sequence).await;
    }
    until("the quick one has all", async || {
        quick.taken().len() == usize::try_from(count).unwrap()
    })
    .await;
    let order: Vec<i64> = quick
        .taken()
        .iter()
        .map(|attempt| {
            serde_json::from_slice::<Value>(&attempt.body).unwrap()["sequence"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert!(
        order.is_sorted(),
        "the events of a session keep their order: {order:?}"
    );
    // The attempt that hangs has a row of its own by now, leased while it is under way.
    until("the slow one's attempt is a row", async || {
        !stage.rows(webhook, DeliveryState::Pending).await.is_empty()
    })
    .await;
}

/// An endpoint that answers, but so late that its events pile up. There may be as many of them as hold all messages
/// that the broker lets out.
#[tokio::test]
async fn slow_endpoints_hold_no_messages_that_others_need() {
    let mut stage = Stage::new().await;
    let of_slow = endpoint::WAITING_MAX + 1;
    let slow = [
        (Receiver::start(Mood::Late).await, testing::token()),
        (Receiver::start(Mood::Late).await, testing::token()),
    ];
    assert!(slow.len() * of_slow > usize::from(fanout::PREFETCH));
    let mut webhooks = Vec::new();
    for (receiver, token) in &slow {
        webhooks.push(stage.register(receiver, Some(token), &[]).await);
        for sequence in 0..of_slow {
            stage.publish(token, i64::try_from(sequence).unwrap()).await;
        }
    }
    let (quick, token) = (Receiver::start(Mood::Well).await, testing::token());
    stage.register(&quick, Some(&token), &[]).await;
    for sequence in 0..50 {
        stage.publish(&token, sequence).await;
    }
    stage.start(Settings {
        timeout: Duration::from_secs(120),
        ..settings()
    });
    until("the quick one has all", async || quick.taken().len() == 50).await;
    for webhook in webhooks {
        until("all events of a slow one are rows", async || {
            stage.rows(webhook, DeliveryState::Pending).await.len() == of_slow
        })
        .await;
    }
    for (receiver, _) in &slow {
        receiver.set(Mood::Well);
    }
    for (receiver, _) in &slow {
        until("the slow ones get all of theirs", async || {
            let ids: BTreeSet<_> = receiver
                .attempts()
                .into_iter()
                .map(|attempt| attempt.id)
                .collect();
            ids.len() == of_slow
        })
        .await;
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_stop_waits_for_retries_that_are_under_way() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Failing).await;
    let webhook = stage.register(&receiver, None, &[]).await;
    stage.start(Settings {
        timeout: Duration::from_secs(120),
        ..settings()
    });
    stage.publish(&testing::token(), 1).await;
    until("its first attempt failed", async || {
        stage.rows(webhook, DeliveryState::Pending).await.len() == 1
    })
    .await;
    receiver.set(Mood::Late);
    until("it is tried again", async || {
        receiver
            .attempts()
            .iter()
            .any(|attempt| attempt.mood == Mood::Late)
    })
    .await;
    let (stop, role) = stage.role.take().unwrap();
    stop.cancel();
    receiver.set(Mood::Well);
    role.await.unwrap().unwrap();
    assert_eq!(stage.rows(webhook, DeliveryState::Delivered).await.len(), 1);
}

#[tokio::test]
async fn an_answer_that_comes_while_its_row_waits_for_the_database_is_in_time() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Well).await;
    let webhook = stage.register(&receiver, None, &[]).await;
    let timeout = attempt::PATIENCE * 2;
    stage.start(Settings {
        timeout,
        ..settings()
    });
    stage.publish(&testing::token(), 1).await;
    until("the role is at work", async || receiver.attempts().len() == 1).await;
    receiver.set(Mood::Late);
    let hold = stage.database.query(
        "DO $$ BEGIN
            LOCK TABLE delivery IN SHARE MODE;
            WHILE NOT EXISTS (SELECT 1 FROM idempotency WHERE scope = 'released') LOOP
                PERFORM pg_sleep(0.02);
            END LOOP;
         END $$",
    );
    let story = async {
        stage.publish(&testing::token(), 1).await;
        until("its row waits", async || {
            let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
                AND wait_event_type = 'Lock' AND query LIKE '-- deliveries::insert%'";
            !stage.database.query(waiting).await.is_empty()
        })
        .await;
        receiver.set(Mood::Well);
        // Until the attempt would have run out of time, if it did not see the answer.
        tokio::time::sleep(timeout).await;
        let release = "INSERT INTO idempotency (scope, key, fingerprint, locked_until, expires_at)
            VALUES ('released', 'x', sha256('x'), now(), now())";
        stage.database.query(release).await;
    };
    tokio::join!(hold, story);
    until("it is delivered", async || {
        stage.rows(webhook, DeliveryState::Delivered).await.len() == 1
    })
    .await;
    assert_eq!(receiver.attempts().len(), 2);
    stage.stop().await;
}
