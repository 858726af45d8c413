//! Contacts for whom WhatsApp never answers: the others go first, the attempts end, and the truth may come late.

use std::time::Duration;

use serde_json::Value;
use shared::id::{QueueId, Token};
use shared::store::queues::{self, QueueState};
use shared::store::recipients::{self, RecipientRecord, RecipientState};
use simulator::fault::{Fault, Kind, Match};
use simulator::population::Manners;
use worker::session::Settings;
use worker::session::attempts::Attempts;

use crate::stage::{Stage, fault, names, text};

/// Messages to this contact are shown, and never acknowledged.
async fn never_acknowledged(stage: &Stage, to: &str) {
    let withheld = Fault {
        matching: Match {
            from: None,
            to: Some(to.to_owned()),
        },
        count: Some(u32::MAX),
        ..fault(Kind::WithholdAck)
    };
    stage.simulator.add_fault(withheld).await.expect("a fault");
}

fn quick(most: u16) -> impl FnOnce(&mut Settings) {
    move |settings| {
        // Long enough that whoever answers at all does so in time, on a busy machine too.
        settings.whatsapp.timing.ack = Duration::from_secs(2);
        settings.attempts = Attempts {
            most,
            pause: Duration::from_millis(200),
        };
    }
}

async fn recipient(stage: &Stage, queue: QueueId, seq: usize) -> RecipientRecord {
    let page = recipients::page(stage.database.store(), queue, None, None, 1_000).await;
    page.expect("recipients").remove(seq)
}

fn messages(stage: &Stage, token: &Token, queue: QueueId) -> Vec<Value> {
    let mut told = stage.of_queue(token, queue);
    told.retain(|event| event["event"] == "send.message:PROCESSING");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_whose_ack_never_comes_is_unknown_in_the_end_and_holds_nobody_up() {
    let stage = Stage::new().await;
    let worker = stage.worker_set("w1", quick(3));
    let token = stage.paired("15550000071").await;
    let numbers = stage.silent_contacts("15550071", 10).await;
    never_acknowledged(&stage, &numbers[2]).await;
    let queue = stage.send(&token, text(&numbers, None)).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let unknown = stage.event(&token, "send.message:UNKNOWN", |_| true).await;
    let row = recipient(&stage, queue, 2).await;
    let id = row.stanza.clone().expect("an id");
    assert_eq!(
        unknown["data"]["number"],
        format!("{}@s.whatsapp.net", numbers[2])
    );
    assert_eq!(unknown["data"]["messageId"], id.as_str());
    assert_eq!(unknown["data"]["status"], 504);
    assert_eq!((row.state, row.attempts), (RecipientState::Unknown, 3));
    assert!(row.error.is_some_and(|words| words.contains("3 attempts")));
    let told = messages(&stage, &token, queue);
    assert_eq!(told.len(), 10, "progress counts it");
    assert_eq!(
        told[9]["data"]["queue"]["messageId"],
        id.as_str(),
        "it comes last"
    );
    assert!(!names(&stage.of_queue(&token, queue)).contains(&"send.message:ERROR"));
    let report = stage.audit(|report| report.contacts.shown_once == 10).await;
    assert_eq!(
        (report.contacts.shown_twice, report.server.message_keys_reused),
        (0, 0)
    );
    let accepted = (report.server.messages_accepted, report.server.accepted_again);
    assert_eq!(accepted, (10, 2), "three times under one id");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_are_counted_over_a_killed_worker() {
    let stage = Stage::new().await;
    let worker = stage.worker_set("w1", quick(3));
    let token = stage.paired("15550000072").await;
    let numbers = stage.silent_contacts("15550072", 1).await;
    never_acknowledged(&stage, &numbers[0]).await;
    let queue = stage.send(&token, text(&numbers, None)).await;
    stage.audit(|report| report.server.accepted_again == 1).await;
    worker.kill();
    let worker = stage.worker_set("w2", quick(3));
    stage.event(&token, "send.message:UNKNOWN", |_| true).await;
    let report = stage.audit(|report| report.contacts.shown_once == 1).await;
    assert_eq!(report.server.accepted_again, 2, "two before, one after");
    assert_eq!(recipient(&stage, queue, 0).await.attempts, 3);
    worker.stop().await;
}

/// The answer is held back until the recipient is unknown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_answer_or_receipt_moves_an_unknown_recipient_to_its_true_state() {
    let stage = Stage::new().await;
    let worker = stage.worker_set("w1", quick(1));
    let token = stage.paired("15550000073").await;
    let numbers = stage.silent_contacts("15550073", 2).await;
    let late = Fault {
        matching: Match {
            from: None,
            to: Some(numbers[0].clone()),
        },
        delay_ms: Some(6_000),
        ack: true,
        ..fault(Kind::Delay)
    };
    stage.simulator.add_fault(late).await.unwrap();
    let queue = stage.send(&token, text(&numbers, None)).await;
    stage.event(&token, "send.message:UNKNOWN", |_| true).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let id = recipient(&stage, queue, 0).await.stanza.expect("an id");
    stage
        .event(&token, "messages.update", |event| {
            let update = &event["data"]["update"];
            update["status"] == "SERVER_ACK" && update["header"]["messageId"] == id.as_str()
        })
        .await;
    let row = recipient(&stage, queue, 0).await;
    assert_eq!((row.state, row.error_status), (RecipientState::Sent, None));
    let record = queues::find(
        stage.database.store(),
        stage.record(&token).await.unwrap().id,
        queue,
    )
    .await
    .unwrap()
    .unwrap();
    assert_eq!((record.state, record.settled), (QueueState::Completed, 2));
    stage.audit(|report| report.contacts.shown_once == 2).await;
    worker.stop().await;
}

/// A receipt says that the message arrived: no further attempt is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_ends_the_attempts() {
    let stage = Stage::new().await;
    let worker = stage.worker_set("w1", |settings| {
        quick(2)(settings);
        settings.attempts.pause = Duration::from_secs(30);
    });
    let token = stage.paired("15550000074").await;
    let manners = Manners {
        deliver_after: Some(Duration::from_secs(4)),
        ..Manners::default()
    };
    let numbers = stage.contacts_of("15550074", 1, manners).await;
    never_acknowledged(&stage, &numbers[0]).await;
    let queue = stage.send(&token, text(&numbers, None)).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    assert!(!names(&stage.of_queue(&token, queue)).contains(&"send.message:UNKNOWN"));
    let report = stage.audit(|report| report.contacts.shown_once == 1).await;
    assert_eq!(report.server.accepted_again, 0);
    worker.stop().await;
}
