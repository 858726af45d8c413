//! Pause, resume and delete: nothing starts behind a pause, and illegal transitions change nothing.

use std::time::Duration;

use shared::job::{Answer, FailureCode};
use shared::store::queues::{self, QueueState};
use shared::testing::job_id;
use simulator::fault::{Kind, Match};
use time::OffsetDateTime;

use crate::stage::{Stage, delete, fault, names, pause, resume, text};

fn is_done(answer: &Answer) -> bool {
    matches!(answer, Answer::Done { .. })
}

fn is_conflict(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Failed {
            code: FailureCode::Conflict,
            ..
        }
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_queue_sends_nothing_until_it_is_resumed_by_any_worker() {
    let stage = Stage::new().await;
    let first = stage.worker("w1");
    let token = stage.paired("15550000011").await;
    let numbers = stage.contacts("15550061", 30).await;
    let queue = stage.send(&token, text(&numbers, Some((0.03, 0.05)))).await;
    stage
        .event(&token, "send.message:PROCESSING", |event| {
            event["data"]["queue"]["progress"] == 20
        })
        .await;
    assert!(is_done(&stage.call(&token, pause(queue)).await));
    let paused = stage.event(&token, "paused.queue", |_| true).await;
    assert_eq!(paused["data"]["action"], "pause");
    assert!(is_done(&stage.call(&token, pause(queue)).await), "twice is once");

    let sent = stage.simulator.audit().await.unwrap().server.messages_accepted;
    first.stop().await;
    let second = stage.worker("w2");
    stage
        .event(&token, "connection.update", |event| {
            event["data"]["state"] == "open" && event["sequence"].as_i64() > paused["sequence"].as_i64()
        })
        .await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(
        stage.simulator.audit().await.unwrap().server.messages_accepted,
        sent,
        "nothing was sent"
    );

    assert!(is_done(&stage.call(&token, resume(queue)).await));
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let events = stage.of_queue(&token, queue);
    let names = names(&events);
    let place = |name| names.iter().position(|other| *other == name).unwrap();
    assert_eq!(place("resumed.queue"), place("paused.queue") + 1, "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == "paused.queue").count(), 1);
    let report = stage.audit(|report| report.contacts.shown_once == 30).await;
    assert_eq!((report.contacts.shown_twice, report.lost), (0, 0));

    for illegal in [pause(queue), resume(queue), delete(queue)] {
        let answer = stage.call(&token, illegal).await;
        assert!(is_conflict(&answer), "{answer:?}");
    }
    stage
        .event(&token, "job.rejected", |event| {
            event["data"]["code"] == "conflict"
        })
        .await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_is_never_sent_and_cannot_be_resumed() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000012").await;
    let numbers = stage.contacts("15550062", 30).await;
    let queue = stage.send(&token, text(&numbers, Some((0.05, 0.05)))).await;
    stage
        .event(&token, "send.message:PROCESSING", |event| {
            event["data"]["queue"]["progress"] == 10
        })
        .await;
    assert!(is_done(&stage.call(&token, delete(queue)).await));
    let deleted = stage.event(&token, "deleted.queue", |_| true).await;
    assert_eq!(
        deleted["data"]["queue"]["data"]["jids"].as_array().map(Vec::len),
        Some(30)
    );
    let sent = stage.simulator.audit().await.unwrap().server.messages_accepted;
    assert!(is_done(&stage.call(&token, delete(queue)).await), "twice is once");
    assert!(is_conflict(&stage.call(&token, resume(queue)).await));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        stage.simulator.audit().await.unwrap().server.messages_accepted,
        sent
    );
    let stored = queues::find_any(stage.database.store(), queue)
        .await
        .unwrap()
        .unwrap()
        .1;
    assert_eq!(stored.state, QueueState::Deleted);
    let unknown = stage.call(&token, pause(shared::testing::queue_id())).await;
    assert!(
        matches!(
            unknown,
            Answer::Failed {
                code: FailureCode::UnknownQueue,
                ..
            }
        ),
        "{unknown:?}"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_a_session_that_gets_no_answers_hold_up_nobody() {
    // More than a shard has jobs on their way.
    const MANY: usize = 100;
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let (stuck, _, quick) = (
        stage.paired("15550000061").await,
        stage.session().await,
        stage.paired("15550000062").await,
    );
    let shard = stage.record(&stuck).await.unwrap().shard;
    assert_eq!(shard, stage.record(&quick).await.unwrap().shard);
    let numbers = stage.contacts("15550096", 3).await;
    let swallowed = simulator::fault::Fault {
        matching: Match {
            from: None,
            to: Some(numbers[1].clone()),
        },
        cut: Some(false),
        ..fault(Kind::DropBefore)
    };
    stage.simulator.add_fault(swallowed).await.unwrap();
    let unanswered = stage.send(&stuck, text(&numbers[..2], Some((0.1, 0.1)))).await;
    stage.event(&stuck, "send.message:PROCESSING", |_| true).await;
    while !stage.is_sending(unanswered, 1).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Its pause waits for the answer that never comes; those behind it are for other queues.
    stage.publish(&stuck, &job_id(), &pause(unanswered)).await;
    for _ in 0..MANY {
        stage
            .publish(&stuck, &job_id(), &pause(shared::testing::queue_id()))
            .await;
    }
    // Nor do those behind it for the same queue, which wait as long as it does.
    for _ in 0..MANY {
        stage.publish(&stuck, &job_id(), &pause(unanswered)).await;
    }
    let queue = stage.send(&quick, text(&numbers[2..], None)).await;
    stage.event(&quick, "send.message:COMPLETED", |_| true).await;
    assert!(is_conflict(&stage.call(&quick, pause(queue)).await));
    assert!(
        !names(&stage.seen(&stuck)).contains(&"paused.queue"),
        "the stuck one still waits"
    );
    stage.event(&stuck, "paused.queue", |_| true).await;
    // Those that were put back meanwhile come back, and this one behind them.
    assert!(is_done(&stage.call(&stuck, pause(unanswered)).await));
    let paused = names(&stage.seen(&stuck))
        .iter()
        .filter(|name| **name == "paused.queue")
        .count();
    assert_eq!(paused, 1, "twice is once");
    let rejected = names(&stage.seen(&stuck))
        .iter()
        .filter(|name| **name == "job.rejected")
        .count();
    assert_eq!(rejected, MANY);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_session_had_in_its_hands_is_done_in_its_order_and_never_given_up() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000063").await;
    let numbers = stage.contacts("15550097", 2).await;
    let queue = stage.send(&token, text(&numbers, Some((3600.0, 3600.0)))).await;
    stage.event(&token, "send.message:PROCESSING", |_| true).await;
    stage.fail_events().await;
    for order in [pause(queue), resume(queue), pause(queue)] {
        stage.publish(&token, &job_id(), &order).await;
    }
    while stage.failures().await < 4 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.mend_events().await;
    let resumed = stage.event(&token, "resumed.queue", |_| true).await;
    stage
        .event(&token, "paused.queue", |event| {
            event["sequence"].as_i64() > resumed["sequence"].as_i64()
        })
        .await;
    let events = stage.of_queue(&token, queue);
    let told: Vec<_> = names(&events)
        .into_iter()
        .filter(|name| name.ends_with(".queue"))
        .collect();
    assert_eq!(told, ["paused.queue", "resumed.queue", "paused.queue"]);
    worker.stop().await;
}

/// The gap of the deleted queue is ten minutes: without it being let go the other one would run into the test's time-out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gap_of_a_deleted_queue_holds_no_other() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000019").await;
    let numbers = stage.contacts("15550069", 3).await;
    let slow = stage
        .send(&token, text(&numbers[..2], Some((600.0, 600.0))))
        .await;
    stage.event(&token, "send.message:PROCESSING", |_| true).await;
    assert!(is_done(&stage.call(&token, delete(slow)).await));
    stage.event(&token, "deleted.queue", |_| true).await;
    let next = stage.send(&token, text(&numbers[2..], None)).await.to_string();
    stage
        .event(&token, "send.message:COMPLETED", |event| {
            event.to_string().contains(&next)
        })
        .await;
    worker.stop().await;
}

/// The same where the gap was drawn by a worker that is gone: the queue is deleted when another one waits its gap out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gap_of_a_deleted_queue_holds_no_other_after_a_restart() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000020").await;
    let numbers = stage.contacts("15550070", 3).await;
    let pace = Some((600.0, 600.0));
    let slow = stage.send(&token, text(&numbers[..2], pace)).await;
    stage.event(&token, "send.message:PROCESSING", |_| true).await;
    assert_eq!(stage.record(&token).await.unwrap().paced_by, Some(slow));
    worker.stop().await;
    let worker = stage.worker("w2");
    assert!(is_done(&stage.call(&token, delete(slow)).await));
    stage.event(&token, "deleted.queue", |_| true).await;
    let next = stage.record(&token).await.unwrap().next_send_at.unwrap();
    assert!(
        next < OffsetDateTime::now_utc() + Duration::from_secs(300),
        "the gap goes in the write of the deletion"
    );
    let next = stage.send(&token, text(&numbers[2..], None)).await.to_string();
    stage
        .event(&token, "send.message:COMPLETED", |event| {
            event.to_string().contains(&next)
        })
        .await;
    worker.stop().await;
}
