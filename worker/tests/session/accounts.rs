//! Sessions that are paired again with another account: its queues are another's until somebody says otherwise.

use shared::id::{QueueId, Token};
use shared::job::{Answer, FailureCode, Job};
use shared::store::queues::{self, QueueRecord, QueueState};
use shared::store::recipients::{self, RecipientState};
use simulator::fault::{Fault, Kind, Match};

use crate::stage::{Stage, adopt, fault, pause, resume, text};

const FIRST: &str = "15550000081";
const SECOND: &str = "15550000082";

/// The phone throws the session out; then this one scans its code.
async fn pair_again(stage: &Stage, token: &Token, phone: &str) {
    let old = stage.record(token).await.expect("a session");
    let old = old.owner.expect("an account");
    let thrown_out = stage
        .simulator
        .unlink(old.number().parse().expect("a number"), None);
    thrown_out.await.expect("it is linked");
    let closed = |event: &serde_json::Value| event["data"]["statusReason"] == 401;
    let closed = stage.event(token, "connection.update", closed).await;
    let is_later = |event: &serde_json::Value| event["sequence"].as_i64() > closed["sequence"].as_i64();
    stage.call(token, Job::SessionStart).await;
    let qr = stage.event(token, "qrcode.updated", is_later).await;
    let code = qr["data"]["qrcode"]["code"].as_str().expect("a code").to_owned();
    let number: simulator::number::Number = phone.parse().expect("a number");
    drop(stage.simulator.create_phone(number, "Other").await);
    stage.simulator.scan(number, code).await.expect("a valid code");
    let opened = |event: &serde_json::Value| event["data"]["state"] == "open" && is_later(event);
    stage.event(token, "connection.update", opened).await;
}

async fn record(stage: &Stage, token: &Token, queue: QueueId) -> QueueRecord {
    let session = stage.record(token).await.expect("a session").id;
    let found = queues::find(stage.database.store(), session, queue).await;
    found.expect("the database").expect("a queue")
}

async fn sends_of(stage: &Stage, phone: &str) -> u64 {
    let report = stage.simulator.audit().await.expect("an audit");
    let of_phone = report.sessions.iter().filter(|session| session.number == phone);
    of_phone.map(|session| session.sends).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_waits_for_its_account_until_the_present_one_adopts_it() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired(FIRST).await;
    let numbers = stage.contacts("15550081", 12).await;
    // What becomes of the fourth is not known when the account goes.
    let lost = Fault {
        matching: Match {
            from: None,
            to: Some(numbers[3].clone()),
        },
        cut: Some(false),
        count: Some(100),
        ..fault(Kind::DropBefore)
    };
    stage.simulator.add_fault(lost).await.unwrap();
    let queue = stage.send(&token, text(&numbers, Some((0.1, 0.1)))).await;
    while !stage.is_sending(queue, 3).await {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    pair_again(&stage, &token, SECOND).await;
    stage.simulator.end_faults(None).await.unwrap();
    // A queue of the new account goes; the old one is neither sent nor resumed into it.
    let own = stage.send(&token, text(&numbers[..1], None)).await;
    stage
        .event(&token, "send.message:COMPLETED", |event| {
            event["data"]["queue"]["queueId"] == own.to_string()
        })
        .await;
    for command in [pause(queue), resume(queue)] {
        let answer = stage.call(&token, command).await;
        assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    }
    let waits = record(&stage, &token, queue).await;
    assert_eq!(waits.account.as_deref(), Some(FIRST));
    assert!(!waits.state.is_final());
    assert_eq!(sends_of(&stage, SECOND).await, 1, "its own alone");

    let answer = stage.call(&token, adopt(queue)).await;
    assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    stage
        .event(&token, "send.message:COMPLETED", |event| {
            event["data"]["queue"]["queueId"] == queue.to_string()
        })
        .await;
    let adopted = record(&stage, &token, queue).await;
    assert_eq!(
        (adopted.account.as_deref(), adopted.state),
        (Some(SECOND), QueueState::Completed)
    );
    let rows = recipients::page(stage.database.store(), queue, None, None, 100)
        .await
        .unwrap();
    assert_eq!(rows[3].state, RecipientState::Unknown, "nobody gets it from both");
    let report = stage.audit(|report| report.contacts.shown_once == 12).await;
    assert_eq!(report.contacts.shown_twice, 0);
    // Again changes nothing; a completed queue has no use for it.
    let again = stage.call(&token, adopt(queue)).await;
    assert!(
        matches!(
            again,
            Answer::Failed {
                code: FailureCode::Conflict,
                ..
            }
        ),
        "{again:?}"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_account_goes_on_and_a_queue_from_before_it_belongs_to_the_first_that_sends() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.session().await;
    let numbers = stage.contacts("15550083", 3).await;
    let queue = stage.send(&token, text(&numbers, None)).await;
    stage.event(&token, "job.accepted", |_| true).await;
    assert_eq!(record(&stage, &token, queue).await.account, None);
    let phone: simulator::number::Number = "15550000083".parse().unwrap();
    stage.simulator.create_phone(phone, "Owner").await.unwrap();
    let qr = stage.event(&token, "qrcode.updated", |_| true).await;
    let code = qr["data"]["qrcode"]["code"].as_str().unwrap().to_owned();
    stage.simulator.scan(phone, code).await.unwrap();
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let account = record(&stage, &token, queue).await.account;
    assert_eq!(account.as_deref(), Some("15550000083"));

    let more = stage.contacts("15550084", 8).await;
    let queue = stage.send(&token, text(&more, Some((0.2, 0.2)))).await;
    stage
        .event(&token, "send.message:PROCESSING", |event| {
            event["data"]["queue"]["queueId"] == queue.to_string()
        })
        .await;
    pair_again(&stage, &token, "15550000083").await;
    stage
        .event(&token, "send.message:COMPLETED", |event| {
            event["data"]["queue"]["queueId"] == queue.to_string()
        })
        .await;
    stage.audit(|report| report.contacts.shown_once == 11).await;
    worker.stop().await;
}
