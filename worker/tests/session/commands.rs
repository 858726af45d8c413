//! Pause, resume and delete: nothing starts behind a pause, and illegal transitions change nothing.

use std::time::Duration;

use shared::job::{Answer, FailureCode};
use shared::store::queues::{self, QueueState};

use crate::stage::{Stage, delete, names, pause, resume, text};

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
    let unknown = stage.call(&token, pause(shared::id::QueueId::random())).await;
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
