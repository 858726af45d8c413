//! Why queues wait: each reason that a worker alone knows is caused once, stored within about a second, and goes.

use std::num::NonZeroU32;
use std::time::Duration;

use shared::id::{QueueId, Token};
use shared::store::queues;
use shared::waiting::{NextAttempt, Reason, Standstill};
use simulator::fault::{Fault, Kind, Match};
use worker::session::look_up::LookUpPace;

use crate::stage::{Stage, fault, text};
use crate::wire::{Way, Wire};

async fn stored(stage: &Stage, token: &Token, queue: QueueId) -> Option<Standstill> {
    let session = stage.record(token).await.expect("a session").id;
    // It may not be accepted yet.
    let found = queues::find(stage.database.store(), session, queue).await;
    found.expect("the database").and_then(|record| record.waiting)
}

/// Waits until this is why a queue stands still.
async fn until(stage: &Stage, at: (&Token, QueueId), reason: Option<Reason>) -> Option<Standstill> {
    let (token, queue) = at;
    let told = async {
        loop {
            let told = stored(stage, token, queue).await;
            if told.map(|told| told.reason) == reason {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(20), told).await {
        Ok(told) => told,
        Err(_) => panic!("never {reason:?}; it is {:?}", stored(stage, token, queue).await),
    }
}

async fn completed(stage: &Stage, token: &Token, queue: QueueId) {
    stage
        .event(token, "send.message:COMPLETED", |event| {
            event["data"]["queue"]["queueId"] == queue.to_string()
        })
        .await;
}

fn for_one(kind: Kind, to: &str) -> Fault {
    Fault {
        matching: Match {
            from: None,
            to: Some(to.to_owned()),
        },
        count: Some(u32::MAX),
        ..fault(kind)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_and_then_an_attempt_are_waited_for_until_they_come() {
    let stage = Stage::new().await;
    let worker = stage.worker_set("w1", |settings| {
        settings.whatsapp.timing.ack = Duration::from_secs(3);
        settings.attempts.pause = Duration::from_secs(3);
        settings.attempts.most = 4;
    });
    let token = stage.paired("15550000091").await;
    let numbers = stage.silent_contacts("15550091", 3).await;
    stage
        .simulator
        .add_fault(for_one(Kind::WithholdAck, &numbers[1]))
        .await
        .unwrap();
    let queue = stage.send(&token, text(&numbers, None)).await;
    let ack = until(&stage, (&token, queue), Some(Reason::Ack)).await.unwrap();
    assert!(ack.until.is_some());
    let attempt = until(&stage, (&token, queue), Some(Reason::Attempt))
        .await
        .unwrap();
    assert_eq!(attempt.attempt, Some(NextAttempt { number: 2, most: 4 }));
    assert!(attempt.until > ack.until);
    stage.simulator.end_faults(None).await.unwrap();
    completed(&stage, &token, queue).await;
    assert_eq!(
        stored(&stage, &token, queue).await,
        None,
        "it goes when the queue moves"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_of_the_server_is_backed_off_from() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000092").await;
    let numbers = stage.contacts("15550092", 1).await;
    let trouble = Fault {
        code: Some(503),
        ..for_one(Kind::Nack, &numbers[0])
    };
    stage.simulator.add_fault(trouble).await.unwrap();
    let queue = stage.send(&token, text(&numbers, None)).await;
    let told = until(&stage, (&token, queue), Some(Reason::BackOff))
        .await
        .unwrap();
    assert!(told.until.is_some());
    stage.simulator.end_faults(None).await.unwrap();
    completed(&stage, &token, queue).await;
    worker.stop().await;
}

/// One send per second for two sessions: whoever has not got the turn waits for the cap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cap_of_the_worker_is_named() {
    let stage = Stage::new().await;
    let worker = stage.worker_set("w1", |settings| settings.cap = NonZeroU32::MIN);
    let mut queues = Vec::new();
    for phone in ["15550000093", "15550000094", "15550000095"] {
        let token = stage.paired(phone).await;
        let numbers = stage.contacts(&phone.replace("0000", "1"), 4).await;
        queues.push((token.clone(), stage.send(&token, text(&numbers, None)).await));
    }
    let (token, queue) = &queues[2];
    until(&stage, (token, *queue), Some(Reason::Cap)).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_do_not_come_are_named() {
    let stage = Stage::new().await;
    let wire = Wire::to(&stage.simulator.ws_url).await;
    let worker = stage.worker_with("w1", |config| config.url.clone_from(&wire.url));
    let token = stage.paired("15550000096").await;
    let numbers = stage.contacts("15550096", 2).await;
    wire.set(Way::Stalled);
    let queue = stage.send(&token, text(&numbers, Some((0.05, 0.05)))).await;
    until(&stage, (&token, queue), Some(Reason::Keys)).await;
    wire.set(Way::Open);
    completed(&stage, &token, queue).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_unknown_numbers_waits_for_look_ups_and_a_broadcast_for_a_single() {
    let stage = Stage::new().await;
    let worker = stage.worker_set("w1", |settings| {
        settings.look_ups = LookUpPace {
            gap: Duration::from_secs(3),
            per_day: 1_000,
        };
    });
    let token = stage.paired("15550000097").await;
    let numbers = stage.contacts("15550097", 3).await;
    // The first look-up goes at once, the next ones have their gap: the session's row tells of it.
    let queue = stage.send(&token, text(&numbers[..2], None)).await;
    completed(&stage, &token, queue).await;
    assert!(stage.record(&token).await.unwrap().look_up_at.is_some());
    // Known numbers: the second broadcast is in its gap when a single one comes, and has the next turn.
    let bulk = stage.send(&token, text(&numbers[..2], Some((4.0, 4.0)))).await;
    stage
        .event(&token, "send.message:PROCESSING", |event| {
            event["data"]["queue"]["queueId"] == bulk.to_string()
        })
        .await;
    stage.send(&token, text(&numbers[..1], Some((4.0, 4.0)))).await;
    until(&stage, (&token, bulk), Some(Reason::OtherQueue)).await;
    completed(&stage, &token, bulk).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gap_is_told_by_the_session_s_row_and_costs_no_write() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000098").await;
    let numbers = stage.contacts("15550098", 3).await;
    let queue = stage.send(&token, text(&numbers, Some((3.0, 3.0)))).await;
    stage.event(&token, "send.message:PROCESSING", |_| true).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(stored(&stage, &token, queue).await, None);
    assert!(stage.record(&token).await.unwrap().next_send_at.is_some());
    completed(&stage, &token, queue).await;
    worker.stop().await;
}
