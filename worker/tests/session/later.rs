//! Queues that start later, and those whose pace changes; what is refused of sends, and found again.

use std::time::Duration;

use shared::id::StanzaId;
use shared::job::{Answer, FailureCode, SendJob, SendLimits};
use shared::store::{queues, recipients, requests};
use time::OffsetDateTime;

use crate::stage::{Stage, delete, names, pace, pause, resume, text};

fn later(numbers: &[String], wait: Duration) -> SendJob {
    SendJob {
        start_at: Some(OffsetDateTime::now_utc() + wait),
        ..text(numbers, None)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_waits_for_its_start_over_a_restart_and_lets_others_pass() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000081").await;
    let numbers = stage.contacts("15550081", 3).await;
    let first = later(&numbers[..2], Duration::from_secs(4));
    let starts_at = first.start_at.unwrap();
    let first = stage.send(&token, first).await;
    let accepted = |id: String| move |event: &serde_json::Value| event["data"]["queueId"] == id.as_str();
    stage
        .event(&token, "job.accepted", accepted(first.to_string()))
        .await;
    worker.stop().await;
    let worker = stage.worker("w2");
    let now = stage.send(&token, text(&numbers[2..], None)).await;
    let of_now = |event: &serde_json::Value| event["data"]["queue"]["queueId"] == now.to_string();
    stage.event(&token, "send.message:COMPLETED", of_now).await;
    let of_first = |event: &serde_json::Value| event["data"]["queue"]["queueId"] == first.to_string();
    let started = stage.event(&token, "send.message:START", of_first).await;
    let at = started["timestamp"].as_i64().unwrap();
    assert!(
        at >= shared::clock::unix_millis(starts_at),
        "{at} is before {starts_at}"
    );
    stage.event(&token, "send.message:COMPLETED", of_first).await;
    stage.audit(|report| report.contacts.shown_once == 3).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_starts_later_can_be_paused_paced_resumed_and_deleted() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000082").await;
    let numbers = stage.contacts("15550082", 4).await;
    let slow = SendJob {
        delay: text(&numbers, Some((3600.0, 3600.0))).delay,
        ..later(&numbers[..3], Duration::from_secs(2))
    };
    let (kept, gone) = (
        stage.send(&token, slow).await,
        stage
            .send(&token, later(&numbers[3..], Duration::from_secs(3)))
            .await,
    );
    let done = |queue| Answer::Done {
        queue_id: Some(queue),
        reading: None,
    };
    assert_eq!(stage.call(&token, pause(kept)).await, done(kept));
    assert_eq!(stage.call(&token, delete(gone)).await, done(gone));
    assert_eq!(stage.call(&token, pace(kept, (0.01, 0.02))).await, done(kept));
    assert_eq!(stage.call(&token, resume(kept)).await, done(kept));
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let report = stage.audit(|report| report.contacts.shown_once == 3).await;
    assert_eq!(
        report.server.messages_accepted, 3,
        "what was deleted is never sent"
    );
    assert_eq!(
        names(&stage.of_queue(&token, gone)),
        ["job.accepted", "deleted.queue"]
    );
    let refused = stage.call(&token, pace(kept, (1.0, 2.0))).await;
    assert!(
        matches!(
            refused,
            Answer::Failed {
                code: FailureCode::Conflict,
                ..
            }
        ),
        "{refused:?}"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_queue_takes_another_pace_with_its_next_gap() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000083").await;
    // At its first pace it would not end while anybody waits for it.
    let numbers = stage.contacts("15550083", 100).await;
    let queue = stage.send(&token, text(&numbers, Some((1.0, 1.0)))).await;
    let processing = stage.event(&token, "send.message:PROCESSING", |_| true).await;
    let told = &processing["data"]["queue"];
    assert_eq!(
        told["recipient"]["number"],
        format!("{}@s.whatsapp.net", numbers[0])
    );
    assert_eq!(told["recipient"]["state"], "sent");
    let done = stage.call(&token, pace(queue, (0.001, 0.002))).await;
    assert_eq!(
        done,
        Answer::Done {
            queue_id: Some(queue),
            reading: None,
        }
    );
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let id = stage.record(&token).await.unwrap().id;
    let stored = queues::find(stage.database.store(), id, queue)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        stored.delay.map(|delay| delay.max()),
        Some(Duration::from_millis(2))
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_that_is_rejected_is_found_under_its_ids_with_the_reason() {
    let stage = Stage::new().await;
    let worker = stage.worker_within("w1", SendLimits::new(2.0, Duration::from_secs(86_400)).unwrap());
    let token = stage.paired("15550000084").await;
    let numbers = stage.contacts("15550084", 2).await;
    let message = StanzaId::new("3EB0AABBCCDDEEFF001122").unwrap();
    let named = |number: usize| SendJob {
        message_id: Some(message.clone()),
        ..text(&numbers[number..=number], None)
    };
    let (sent, refused) = (
        stage.send(&token, named(0)).await,
        stage.send(&token, named(1)).await,
    );
    let rejected = stage.event(&token, "job.rejected", |_| true).await;
    let data = &rejected["data"];
    assert_eq!(
        (&data["code"], &data["field"]),
        (&"conflict".into(), &"messageId".into())
    );
    assert_eq!(
        (&data["queueId"], &data["messageId"]),
        (&refused.to_string().into(), &message.as_str().into())
    );
    let (store, session) = (stage.database.store(), stage.record(&token).await.unwrap().id);
    let recorded = requests::of_message(store, session, &message).await.unwrap();
    let why = recorded[0].rejection.as_ref().unwrap();
    assert_eq!(
        (recorded[0].queue, why.code.as_str(), why.field.as_deref()),
        (refused, "conflict", Some("messageId"))
    );
    assert_eq!(
        requests::of_queue(store, session, refused).await.unwrap(),
        recorded
    );
    let (queue, recipient) = recipients::of_message(store, session, &message)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (queue, recipient.number.as_text().as_ref()),
        (sent, numbers[0].as_str())
    );

    let far = stage
        .send(&token, later(&numbers, Duration::from_secs(90_000)))
        .await;
    let told = stage
        .event(&token, "job.rejected", |event| {
            event["data"]["field"] == "startAt"
        })
        .await;
    assert_eq!(
        (&told["data"]["code"], &told["data"]["queueId"]),
        (&"invalid_job".into(), &far.to_string().into())
    );
    assert_eq!(requests::of_queue(store, session, far).await.unwrap().len(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_below_the_floor_is_raised_and_that_is_told() {
    let stage = Stage::new().await;
    let limits = SendLimits::new(2.0, Duration::from_secs(86_400)).unwrap();
    let worker = stage.worker_within("w1", limits);
    let token = stage.paired("15550000085").await;
    let numbers = stage.contacts("15550085", 2).await;
    let hasty = stage.send(&token, text(&numbers, Some((0.0, 1.0)))).await;
    let accepted = stage
        .event(&token, "job.accepted", |event| {
            event["data"]["queueId"] == hasty.to_string()
        })
        .await;
    assert_eq!(
        accepted["data"]["raisedDelay"],
        serde_json::json!({ "min": 2.0, "max": 2.0 })
    );
    let of_hasty = |event: &serde_json::Value| event["data"]["queue"]["queueId"] == hasty.to_string();
    stage.event(&token, "send.message:COMPLETED", of_hasty).await;
    let times: Vec<i64> = stage
        .of_queue(&token, hasty)
        .iter()
        .filter(|event| event["event"] == "send.message:PROCESSING")
        .map(|event| event["timestamp"].as_i64().unwrap())
        .collect();
    assert!(times[1] - times[0] > 1_500, "{times:?}");
    worker.stop().await;
}
