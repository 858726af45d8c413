//! Broadcasts that say something else to each recipient: whatever is killed, asked for again, or carried along.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::id::Token;
use shared::job::{Answer, Delay, Job, Misfire, Person, PersonJob, RetryJob, ScheduleJob, SendJob, Timing};
use shared::recipient::Number;
use shared::store::chats::change::Peer;
use shared::store::chats::messages;
use shared::store::recipients;
use simulator::fault::{Fault, Kind};

use crate::media::shown;
use crate::stage::{Stage, fault};

/// A job to these numbers, each with its own as `code`.
fn job(numbers: &[String], message: &Value) -> SendJob {
    let own = |number: &String| json!({ "number": number, "variables": { "code": number } });
    let numbers: Vec<Value> = numbers.iter().map(own).collect();
    let body = json!({ "numbers": numbers, "message": message, "delay": { "min": 0.01, "max": 0.02 } });
    SendJob::parse(body.to_string().as_bytes()).expect("what was made here")
}

fn text() -> Value {
    json!({ "type": "text", "text": "Hi {{name|there}}, {{code}}" })
}

async fn texts(stage: &Stage, number: &str) -> Vec<String> {
    let messages = shown(stage, number).await.into_iter();
    let texts = messages.filter_map(|message| message.extended_text_message.and_then(|text| text.text));
    texts.collect()
}

async fn completed(stage: &Stage, token: &Token) {
    stage.event(token, "send.message:COMPLETED", |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_gets_a_text_of_their_own_also_when_a_worker_dies_in_the_middle() {
    let stage = Stage::new().await;
    let first = stage.worker("w1");
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 40).await;
    let queue = stage.send(&token, job(&numbers, &text())).await;
    stage.audit(|report| report.contacts.shown_once >= 10).await;
    first.kill();
    let second = stage.worker("w2");
    completed(&stage, &token).await;
    let report = stage.audit(|report| report.contacts.shown_once == 40).await;
    assert_eq!((report.contacts.shown_twice, report.lost), (0, 0));
    for number in &numbers {
        assert_eq!(texts(&stage, number).await, [format!("Hi there, {number}")]);
    }
    let page = recipients::page(stage.database.store(), queue, None, None, 1)
        .await
        .unwrap();
    assert_eq!(
        page[0].variables.as_ref().unwrap().get("code"),
        Some(numbers[0].as_str())
    );
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_contact_asks_for_again_is_their_own_text_again() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000002").await;
    let numbers = stage.contacts("15550002", 3).await;
    let spoiled = Fault {
        count: Some(3),
        ..fault(Kind::CorruptMac)
    };
    stage.simulator.add_fault(spoiled).await.unwrap();
    stage.send(&token, job(&numbers, &text())).await;
    let report = stage.audit(|report| report.contacts.shown_once == 3).await;
    assert!(report.contacts.retries_requested >= 3, "{report:?}");
    for number in &numbers {
        assert_eq!(texts(&stage, number).await, [format!("Hi there, {number}")]);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captions_and_file_names_differ_and_the_file_is_uploaded_once() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000003").await;
    let numbers = stage.contacts("15550003", 30).await;
    let file = STANDARD.encode(b"a bill");
    let message = json!({ "type": "document", "media": { "base64": file, "mimetype": "application/pdf" },
        "fileName": "bill {{code}}.pdf", "caption": "For {{code}}" });
    stage.send(&token, job(&numbers, &message)).await;
    completed(&stage, &token).await;
    let report = stage.audit(|report| report.contacts.shown_once == 30).await;
    assert_eq!(report.server.uploads, 1);
    let mut places = Vec::new();
    for number in &numbers {
        let message = shown(&stage, number).await.pop().unwrap();
        let inner = message.document_with_caption_message.unwrap().message.unwrap();
        let document = inner.document_message.unwrap();
        assert_eq!(document.caption, Some(format!("For {number}")));
        assert_eq!(document.file_name, Some(format!("bill {number}.pdf")));
        places.push(document.direct_path);
    }
    places.dedup();
    assert_eq!(places.len(), 1, "one file for all");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_number_is_sent_to_twice_where_that_is_asked_for() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000004").await;
    let number = stage.contacts("15550004", 1).await.remove(0);
    let twice = ["a", "b"].map(|code| json!({ "number": number, "variables": { "code": code } }));
    let body =
        json!({ "numbers": twice, "message": text(), "duplicates": "keep", "delay": { "min": 0, "max": 0 } });
    let twice = SendJob::parse(body.to_string().as_bytes()).unwrap();
    stage.send(&token, twice).await;
    completed(&stage, &token).await;
    stage.audit(|report| report.contacts.shown_once == 2).await;
    assert_eq!(texts(&stage, &number).await, ["Hi there, a", "Hi there, b"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_failed_is_sent_their_own_text_again() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000005").await;
    // Nobody has it yet.
    let number = "15550122000".to_owned();
    let queue = stage
        .send(&token, job(std::slice::from_ref(&number), &text()))
        .await;
    completed(&stage, &token).await;
    stage.contacts("1555012200", 1).await;
    let again = RetryJob {
        queue_id: queue,
        codes: None,
    };
    let answer = stage.call(&token, Job::Retry(again)).await;
    assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    stage.audit(|report| report.contacts.shown_once == 1).await;
    assert_eq!(texts(&stage, &number).await, [format!("Hi there, {number}")]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_fires_with_the_variables_of_its_recipients() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000006").await;
    let numbers = stage.contacts("15550006", 2).await;
    let send = SendJob {
        delay: Delay::new(0.0, 0.0).ok(),
        ..job(&numbers, &text())
    };
    let schedule = ScheduleJob {
        id: "soon".parse().unwrap(),
        timing: Timing::At(time::OffsetDateTime::now_utc() + Duration::from_secs(1)),
        misfire: Misfire::Once,
        send,
    };
    stage.call(&token, Job::Schedule(Box::new(schedule))).await;
    stage.audit(|report| report.contacts.shown_once == 2).await;
    for number in &numbers {
        assert_eq!(texts(&stage, number).await, [format!("Hi there, {number}")]);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_shows_the_text_of_its_own_until_the_person_is_forgotten() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000008").await;
    let numbers = stage.contacts("15550008", 2).await;
    let queue = stage.send(&token, job(&numbers, &text())).await;
    completed(&stage, &token).await;
    let (store, session) = (stage.database.store(), stage.record(&token).await.unwrap().id);
    let jid = format!("{}@s.whatsapp.net", numbers[0]);
    let kept = messages::of_chat(store, session, &Peer { jid, lid: None }, None, 10)
        .await
        .unwrap();
    assert_eq!(kept[0].words, Some(format!("Hi there, {}", numbers[0])));
    let person = Person(Number::new(&numbers[0]).unwrap());
    stage.call(&token, Job::ForgetPerson(PersonJob { person })).await;
    let rows = recipients::page(store, queue, None, None, 2).await.unwrap();
    let known: Vec<bool> = rows.iter().map(|row| row.variables.is_some()).collect();
    assert_eq!(known, [false, true]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_is_answered_and_nothing_is_sent() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    // Not connected: that is told, and no reason not to answer.
    let token = stage.session().await;
    let body = json!({ "numbers": [{ "number": "15550007001", "variables": { "code": 1 } }, "12"], "message": text(),
        "delay": { "min": 1, "max": 2 } });
    let run = Job::parse("dry-run", body.to_string().as_bytes()).unwrap();
    let Answer::DryRun(told) = stage.call(&token, run).await else {
        panic!("another answer")
    };
    assert_eq!(
        (told.recipients, told.invalid_count, told.invalid[0].place),
        (1, 1, 1)
    );
    assert_eq!(told.first[0].message["text"], "Hi there, 1");
    assert!(
        told.assumptions[0].contains("not connected"),
        "{:?}",
        told.assumptions
    );
    let session = stage.record(&token).await.unwrap().id;
    let queues = shared::store::queues::unfinished(stage.database.store(), session, None, 1).await;
    assert_eq!(queues.unwrap(), []);
    worker.stop().await;
}
