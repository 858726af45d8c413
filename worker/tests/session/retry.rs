//! Sending again to those who failed, asked for by a job.

use shared::broker::Outgoing;
use shared::id::{QueueId, Token};
use shared::job::{Answer, FailureCode, Job, RetryJob};
use shared::store::queues::{self, QueueRecord};
use shared::store::retries;
use shared::testing::job_id;

use crate::stage::{Stage, text};

fn retry(queue_id: QueueId, codes: Option<&[u16]>) -> Job {
    let codes = codes.map(|codes| codes.to_vec().try_into().expect("codes"));
    Job::Retry(RetryJob { queue_id, codes })
}

fn is_refused(answer: &Answer, expected: FailureCode) {
    let refused = matches!(answer, Answer::Failed { code, .. } if *code == expected);
    assert!(refused, "{answer:?}");
}

async fn record(stage: &Stage, token: &Token, queue: QueueId) -> QueueRecord {
    let session = stage.record(token).await.expect("a session").id;
    let found = queues::find(stage.database.store(), session, queue).await;
    found.expect("the database answers").expect("a queue")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_failed_are_sent_to_again_as_one_new_queue() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000121").await;
    let mut numbers = stage.contacts("155501210", 2).await;
    numbers.push("15550122000".to_owned());
    let queue = stage.send(&token, text(&numbers, None)).await;
    let of = |queue: QueueId| {
        move |event: &serde_json::Value| event["data"]["queue"]["queueId"] == queue.to_string()
    };
    stage.event(&token, "send.message:COMPLETED", of(queue)).await;
    is_refused(
        &stage.call(&token, retry(queue, Some(&[503]))).await,
        FailureCode::Conflict,
    );
    let other = shared::testing::queue_id();
    is_refused(
        &stage.call(&token, retry(other, None)).await,
        FailureCode::UnknownQueue,
    );

    // By now they are on WhatsApp.
    stage.contacts("1555012200", 1).await;
    let id = job_id();
    let again = QueueId::derived(&token, &id);
    for _ in 0..2 {
        stage.publish(&token, &id, &retry(queue, Some(&[404]))).await;
        stage.event(&token, "send.message:COMPLETED", of(again)).await;
    }
    let report = stage.audit(|report| report.contacts.shown_once == 3).await;
    assert_eq!(report.contacts.shown_twice, 0);
    // Under another id it is another queue, and the answer says which.
    let Answer::Done { queue_id, .. } = stage.call(&token, retry(queue, None)).await else {
        panic!("not done")
    };
    assert!(queue_id.is_some_and(|made| made != queue && made != again));
    let accepted = stage.of_queue(&token, again);
    let mut accepted = accepted.iter().filter(|event| event["event"] == "job.accepted");
    assert_eq!(accepted.clone().count(), 1);
    assert_eq!(accepted.next_back().unwrap()["data"]["total"], 1);
    // One without an id is the same as long as the same have failed.
    let publisher = stage.broker.broker().publisher();
    let mut nameless = Outgoing::job(
        stage.broker.broker().topology(),
        &token,
        &job_id(),
        &retry(queue, None),
    );
    nameless.message_id = None;
    let known = retries::of_failed(stage.database.store(), record(&stage, &token, queue).await, &[]);
    let made = QueueId::derived(&token, &known.await.unwrap().unwrap().id);
    for _ in 0..2 {
        publisher.publish(nameless.clone()).await.unwrap();
        stage.event(&token, "send.message:COMPLETED", of(made)).await;
    }
    // The id of the job that made the queue is taken.
    stage.publish(&token, &id, &retry(again, None)).await;
    let rejected = stage
        .event(&token, "job.rejected", |event| {
            event["data"]["jobId"] == id.to_string()
        })
        .await;
    assert_eq!(rejected["data"]["code"], "conflict");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_that_is_asked_for_while_no_worker_runs_is_not_lost() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000122").await;
    let queue = stage.send(&token, text(&["15550123000".to_owned()], None)).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    worker.stop().await;
    let id = job_id();
    stage.publish(&token, &id, &retry(queue, None)).await;
    stage.contacts("1555012300", 1).await;
    let worker = stage.worker("w2");
    stage.audit(|report| report.contacts.shown_once == 1).await;
    worker.stop().await;
}
