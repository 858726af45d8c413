//! Jobs: once whatever happens, refused with a reason, and never in each other's way.

use std::time::Duration;

use serde_json::Value;
use shared::broker::QueueName;
use shared::id::{JobId, QueueId, ShardId, Token};
use shared::job::Job;

use crate::stage::{Stage, names, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_job_three_times_is_sent_once_and_another_body_is_refused() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000021").await;
    let numbers = stage.contacts("15550071", 3).await;
    let id = JobId::new("order-17").unwrap();
    let job = Job::Send(Box::new(text(&numbers, None)));
    for _ in 0..3 {
        stage.publish(&token, &id, &job).await;
    }
    stage
        .publish(&token, &id, &Job::Send(Box::new(text(&numbers[..1], None))))
        .await;
    let rejected = stage.event(&token, "job.rejected", |_| true).await;
    assert_eq!(rejected["data"]["code"], "conflict");
    assert_eq!(rejected["data"]["jobId"], "order-17");
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let report = stage.audit(|report| report.contacts.shown_once == 3).await;
    assert_eq!(report.server.messages_accepted, 3);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_job_is_buried_with_its_reason_and_holds_nobody_up() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000022").await;
    let numbers = stage.contacts("15550072", 1).await;
    stage
        .publish_raw(
            token.as_str(),
            "send",
            "bad-1",
            "{\"numbers\":[\"1\"],\"message\":",
        )
        .await;
    stage
        .publish_raw(token.as_str(), "no-such-kind", "bad-2", "{}")
        .await;
    let queue = stage.send(&token, text(&numbers, None)).await;
    let id = queue.to_string();
    stage
        .event(&token, "send.message:COMPLETED", |event| {
            event["data"]["queue"]["queueId"] == id.as_str()
        })
        .await;
    for bad in ["bad-1", "bad-2"] {
        let rejected = stage
            .event(&token, "job.rejected", |event| event["data"]["jobId"] == bad)
            .await;
        assert_eq!(rejected["data"]["code"], "invalid_job");
    }
    let mut dead = stage
        .broker
        .broker()
        .consume(&shared::broker::QueueName::DeadJobs, 10);
    for _ in 0..2 {
        let letter = dead.next().await.unwrap();
        assert!(letter.reason.as_deref().is_some_and(|reason| !reason.is_empty()));
        letter.ack().await.unwrap();
    }
    dead.close().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_for_an_unknown_token_is_refused_and_a_lost_binding_is_made_again() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let nobody = Token::new("nobody").unwrap();
    stage
        .publish(&nobody, &JobId::new("lost-1").unwrap(), &Job::SessionStart)
        .await;
    let rejected = stage.event(&nobody, "job.rejected", |_| true).await;
    assert_eq!(rejected["data"]["code"], "unknown_session");

    let token = stage.paired("15550000023").await;
    let numbers = stage.contacts("15550073", 1).await;
    let shard = stage.record(&token).await.unwrap().shard;
    stage.broker.broker().unbind_token(&token, shard).await.unwrap();
    let queue = stage.send(&token, text(&numbers, None)).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    assert!(names(&stage.of_queue(&token, queue)).contains(&"send.message:START"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binding_to_a_former_shard_misleads_no_job() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000024").await;
    let numbers = stage.contacts("15550074", 2).await;
    let home = stage.record(&token).await.unwrap().shard;
    let former = ShardId::new(1 - home.get()).unwrap();
    let broker = stage.broker.broker();
    // Beside the right one, and instead of it.
    broker.bind_token(&token, former).await.unwrap();
    let first = stage.send(&token, text(&numbers[..1], None)).await;
    let of = |queue: QueueId| move |event: &Value| event["data"]["queue"]["queueId"] == queue.to_string();
    stage.event(&token, "send.message:COMPLETED", of(first)).await;
    broker.unbind_token(&token, home).await.unwrap();
    broker.bind_token(&token, former).await.unwrap();
    let second = stage.send(&token, text(&numbers[1..], None)).await;
    stage.event(&token, "send.message:COMPLETED", of(second)).await;
    assert!(!names(&stage.seen(&token)).contains(&"job.rejected"));
    stage.audit(|report| report.contacts.shown_once == 2).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_without_a_binding_waits_for_the_database() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000025").await;
    let numbers = stage.contacts("15550075", 1).await;
    let home = stage.record(&token).await.unwrap().shard;
    stage.broker.broker().unbind_token(&token, home).await.unwrap();
    stage.database.query("ALTER TABLE session RENAME TO away").await;
    let queue = stage.send(&token, text(&numbers, None)).await;
    let broker = stage.broker.broker();
    // Taken from its queue, and neither given back nor given up.
    while broker.depth(&QueueName::Unroutable).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.database.query("ALTER TABLE away RENAME TO session").await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    assert!(names(&stage.of_queue(&token, queue)).contains(&"send.message:START"));
    assert_eq!(broker.depth(&QueueName::DeadJobs).await.unwrap(), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_acceptance_was_lost_with_its_session_is_told_of_all_the_same() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000026").await;
    let numbers = stage.contacts("15550076", 1).await;
    stage.fail_events().await;
    let queue = stage.send(&token, text(&numbers, None)).await;
    // Stored, and then its session is lost over telling of it.
    while stage.failures().await < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.mend_events().await;
    let accepted = stage
        .event(&token, "job.accepted", |event| {
            event["data"]["queueId"] == queue.to_string()
        })
        .await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let told = stage.of_queue(&token, queue);
    let ids: std::collections::HashSet<_> = told
        .iter()
        .filter(|event| event["event"] == "job.accepted")
        .map(|event| event["id"].as_str())
        .collect();
    assert_eq!(ids, [accepted["id"].as_str()].into(), "under one id");
    stage.audit(|report| report.contacts.shown_once == 1).await;
    worker.stop().await;
}
