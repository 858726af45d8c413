//! Accounts that may not write to new contacts, or went too fast: nobody fails, and nobody is written to twice.

use std::time::{Duration, Instant};

use shared::id::{QueueId, Token};
use shared::store::recipients::{self, RecipientState};
use simulator::world::{Cap, Ends, Restrict, Speaker};
use worker::session::look_up::LookUpPace;

use crate::stage::{Stage, names, text};

/// Long enough for all that does not wait.
const LOCK_SECONDS: u64 = 6;

fn lock(seconds: u64) -> Restrict {
    Restrict {
        kind: "RESTRICT_ALL_COMPANIONS".into(),
        seconds,
        ends: Ends::Text,
        tell: true,
        answer: true,
    }
}

fn phone(number: &str) -> simulator::number::Number {
    number.parse().expect("a number")
}

/// New contacts and known ones, in turns. Those that are known have written to the account.
async fn mixed(stage: &Stage, owner: &str, prefixes: [&str; 2], each: u64) -> Vec<String> {
    let new = stage.contacts(prefixes[0], each).await;
    let known = stage.contacts(prefixes[1], each).await;
    for contact in &known {
        let said = stage
            .simulator
            .say(Speaker::Contact(phone(contact)), phone(owner), "hello");
        said.await.expect("it is said");
    }
    new.into_iter()
        .zip(known)
        .flat_map(|(new, known)| [new, known])
        .collect()
}

async fn heard(stage: &Stage, token: &Token, messages: usize) {
    while names(&stage.seen(token))
        .iter()
        .filter(|name| **name == "new.message")
        .count()
        < messages
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn count(stage: &Stage, queue: QueueId, state: RecipientState) -> u32 {
    let counts = recipients::counts(stage.database.store(), queue)
        .await
        .expect("the counts");
    counts
        .iter()
        .find(|(other, _)| *other == state)
        .map_or(0, |(_, count)| *count)
}

async fn until_sent(stage: &Stage, queue: QueueId, sent: u32) {
    let settled = async || {
        count(stage, queue, RecipientState::Sent).await
            + count(stage, queue, RecipientState::Delivered).await
            + count(stage, queue, RecipientState::Read).await
    };
    while settled().await < sent {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_contacts_wait_for_the_end_of_a_lock_and_known_ones_do_not() {
    let (stage, owner) = (Stage::new().await, "15550000061");
    let worker = stage.worker("w1");
    let token = stage.paired(owner).await;
    let numbers = mixed(&stage, owner, ["1555061", "1555062"], 10).await;
    heard(&stage, &token, 10).await;
    stage
        .simulator
        .restrict(phone(owner), Some(lock(LOCK_SECONDS)))
        .await
        .unwrap();
    let told = stage.event(&token, "session.restricted", |_| true).await;
    assert_eq!(told["data"]["kind"], "time-lock");
    assert_eq!(told["data"]["reason"], "RESTRICT_ALL_COMPANIONS");
    let queue = stage.send(&token, text(&numbers, None)).await;
    until_sent(&stage, queue, 10).await;
    assert_eq!(count(&stage, queue, RecipientState::Queued).await, 10);
    let session = stage.record(&token).await.unwrap();
    assert!(session.restriction.is_some() && session.restrictions == 1);
    let held = recipients::held(stage.database.store(), queue, 1).await.unwrap();
    assert_eq!(held, 10, "each is marked");
    stage.event(&token, "session.unrestricted", |_| true).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let report = stage.audit(|report| report.contacts.shown_once == 20).await;
    assert_eq!((report.contacts.shown_twice, report.lost), (0, 0));
    assert_eq!(report.server.refused_new, 0, "it was known before");
    assert!(!names(&stage.of_queue(&token, queue)).contains(&"send.message:ERROR"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_nobody_tells_of_shows_in_one_refusal_and_outlives_the_worker() {
    let (stage, owner) = (Stage::new().await, "15550000063");
    let worker = stage.worker_with("w1", |config| {
        config.timing.restrictions = Duration::from_millis(500)
    });
    let token = stage.paired(owner).await;
    let numbers = mixed(&stage, owner, ["1555063", "1555064"], 10).await;
    heard(&stage, &token, 10).await;
    let silent = Restrict {
        tell: false,
        ends: Ends::Number,
        ..lock(20)
    };
    stage
        .simulator
        .restrict(phone(owner), Some(silent))
        .await
        .unwrap();
    let queue = stage.send(&token, text(&numbers, Some((0.005, 0.01)))).await;
    stage.event(&token, "session.restricted", |_| true).await;
    worker.kill();
    let worker = stage.worker_with("w2", |config| {
        config.timing.restrictions = Duration::from_millis(500)
    });
    until_sent(&stage, queue, 10).await;
    stage
        .event(&token, "session.restricted", |event| {
            event["data"]["kind"] == "time-lock"
        })
        .await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let report = stage.audit(|report| report.contacts.shown_once == 20).await;
    assert_eq!((report.contacts.shown_twice, report.lost), (0, 0));
    let refused = (report.server.refused_new, report.server.refused_again);
    assert_eq!(refused, (1, 0), "one tells of it");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_on_new_chats_holds_those_beyond_it_until_the_cycle_ends() {
    let (stage, owner) = (Stage::new().await, "15550000065");
    let worker = stage.worker_with("w1", |config| {
        config.timing.restrictions = Duration::from_millis(500)
    });
    let token = stage.paired(owner).await;
    let numbers = stage.contacts("1555065", 6).await;
    let cap = Cap {
        total: 4,
        used: 1,
        seconds: LOCK_SECONDS,
    };
    stage.simulator.cap(phone(owner), Some(cap)).await.unwrap();
    let queue = stage.send(&token, text(&numbers, Some((0.01, 0.02)))).await;
    stage
        .event(&token, "session.restricted", |event| {
            event["data"]["kind"] == "cap"
        })
        .await;
    until_sent(&stage, queue, 3).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let report = stage.audit(|report| report.contacts.shown_once == 6).await;
    assert_eq!((report.contacts.shown_twice, report.server.refused_again), (0, 0));
    worker.stop().await;
}

/// Many single sends must not fill the memory of a session and keep out those that can go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_that_wait_leave_room_for_others() {
    let (stage, owner) = (Stage::new().await, "15550000066");
    let worker = stage.worker("w1");
    let token = stage.paired(owner).await;
    let new = stage.contacts("1555066", 200).await;
    let known = mixed(&stage, owner, ["1555067", "1555068"], 1).await.remove(1);
    heard(&stage, &token, 1).await;
    stage
        .simulator
        .restrict(phone(owner), Some(lock(600)))
        .await
        .unwrap();
    stage.event(&token, "session.restricted", |_| true).await;
    for number in &new {
        stage.send(&token, text(std::slice::from_ref(number), None)).await;
    }
    let queue = stage.send(&token, text(&[known], None)).await;
    until_sent(&stage, queue, 1).await;
    stage.simulator.restrict(phone(owner), None).await.unwrap();
    let report = stage.audit(|report| report.contacts.shown_once == 201).await;
    assert_eq!((report.contacts.shown_twice, report.server.refused_new), (0, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_fast_pauses_the_session_and_fails_nobody() {
    let (stage, owner) = (Stage::new().await, "15550000067");
    let worker = stage.worker("w1");
    let token = stage.paired(owner).await;
    let numbers = stage.contacts("1555069", 20).await;
    stage.simulator.rate_limit(phone(owner), 4).await.unwrap();
    let queue = stage.send(&token, text(&numbers, Some((0.0, 0.01)))).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    assert!(!names(&stage.of_queue(&token, queue)).contains(&"send.message:ERROR"));
    assert!(stage.record(&token).await.unwrap().rate_limited_until.is_some());
    let report = stage.audit(|report| report.contacts.shown_once == 20).await;
    assert_eq!(report.contacts.shown_twice, 0);
    worker.stop().await;
}

/// More refusals than a recipient has tries for trouble of the server, and time for all of its attempts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_long_too_fast_lasts_it_costs_no_recipient() {
    let (stage, owner) = (Stage::new().await, "15550000068");
    let worker = stage.worker_set("w1", |settings| {
        settings.rate_limit.first = Duration::from_millis(10);
        settings.rate_limit.longest = Duration::from_millis(20);
        settings.attempts.most = 1;
    });
    let token = stage.paired(owner).await;
    let numbers = stage.contacts("1555070", 2).await;
    stage.simulator.rate_limit(phone(owner), 600).await.unwrap();
    let queue = stage.send(&token, text(&numbers, Some((0.001, 0.001)))).await;
    // More often than both of them could be tried in vain otherwise, however long that takes.
    stage.audit(|report| report.server.messages_nacked > 60).await;
    stage.simulator.rate_limit(phone(owner), 0).await.unwrap();
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let told = stage.of_queue(&token, queue);
    for end in ["send.message:ERROR", "send.message:UNKNOWN"] {
        assert!(!names(&told).contains(&end), "{told:#?}");
    }
    stage.audit(|report| report.contacts.shown_once == 2).await;
    worker.stop().await;
}

/// Who is not on WhatsApp takes no gap between messages, and yet is not asked for faster than look-ups go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_are_not_on_whatsapp_are_looked_up_at_the_pace_of_look_ups() {
    const GAP: Duration = Duration::from_millis(300);
    let stage = Stage::new().await;
    let worker = stage.worker_set("w1", |settings| settings.look_ups.gap = GAP);
    let token = stage.paired("15550000069").await;
    let numbers: Vec<String> = (0..8).map(|n| format!("1555990000{n}")).collect();
    let start = std::time::Instant::now();
    let queue = stage.send(&token, text(&numbers, None)).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    assert!(start.elapsed() >= 7 * GAP, "{:?}", start.elapsed());
    let told = stage.of_queue(&token, queue);
    let errors = names(&told);
    let errors = errors
        .iter()
        .filter(|name| **name == "send.message:ERROR")
        .count();
    assert_eq!(errors, 8);
    let report = stage.simulator.audit().await.unwrap();
    assert_eq!(report.server.numbers_looked_up, 8, "each once");
    worker.stop().await;
}

/// Numbers that wait to be looked up when a lock begins are not, and the next ones have their turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_the_end_of_a_lock_costs_no_look_up() {
    let (stage, owner) = (Stage::new().await, "15550000069");
    let pace = LookUpPace {
        gap: Duration::from_secs(3),
        per_day: 3,
    };
    let worker = stage.worker_set("w1", |settings| settings.look_ups = pace);
    let token = stage.paired(owner).await;
    let numbers = stage.contacts("155506990", 20).await;
    let queue = stage.send(&token, text(&numbers, None)).await;
    until_sent(&stage, queue, 1).await;
    stage
        .simulator
        .restrict(phone(owner), Some(lock(600)))
        .await
        .unwrap();
    stage.event(&token, "session.restricted", |_| true).await;
    let held = async || recipients::held(stage.database.store(), queue, 1).await.unwrap();
    while held().await < 19 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let look_ups = stage.record(&token).await.unwrap().look_ups.unwrap();
    assert_eq!(look_ups.count, 1);
    let report = stage.audit(|report| report.contacts.shown_once == 1).await;
    assert_eq!(report.server.contact_lookups, 1);
    worker.stop().await;
}

/// What is found out from the database alone waits for no turn of the worker's cap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finding_out_who_is_new_takes_no_turn_of_the_cap() {
    let (stage, owner) = (Stage::new().await, "15550000070");
    let worker = stage.worker_set("w1", |settings| settings.cap = 1.try_into().expect("not zero"));
    let token = stage.paired(owner).await;
    let new = stage.contacts("1555070", 50).await;
    stage
        .simulator
        .restrict(phone(owner), Some(lock(600)))
        .await
        .unwrap();
    stage.event(&token, "session.restricted", |_| true).await;
    let start = Instant::now();
    let queue = stage.send(&token, text(&new, None)).await;
    while recipients::held(stage.database.store(), queue, 1).await.unwrap() < 50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "50 turns take 50 seconds"
    );
    worker.stop().await;
}
