//! Broadcasts: all events in order, each recipient once, also when a worker dies in the middle.

use std::time::Duration;

use shared::job::{Duplicates, Reference, SendJob};
use shared::store::recipients::{self, RecipientState};

use crate::stage::{Stage, names, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_tells_its_progress_and_reaches_everybody_once() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000001").await;
    let mut numbers = stage.contacts("15550001", 12).await;
    // Nobody has this number.
    numbers.insert(3, "15559999999".to_owned());
    let queue = stage.send(&token, text(&numbers, Some((0.02, 0.04)))).await;
    let done = stage.event(&token, "send.message:COMPLETED", |_| true).await;

    let events = stage.of_queue(&token, queue);
    let names = names(&events);
    let names: Vec<_> = names.into_iter().filter(|name| *name != "job.accepted").collect();
    assert_eq!(names.first(), Some(&"send.message:START"), "{names:?}");
    assert_eq!(names.last(), Some(&"send.message:COMPLETED"));
    assert_eq!(
        names
            .iter()
            .filter(|name| **name == "send.message:PROCESSING")
            .count(),
        13
    );
    assert_eq!(
        names.iter().filter(|name| **name == "send.message:ERROR").count(),
        1
    );
    let progress: Vec<u64> = events
        .iter()
        .filter_map(|event| event["data"]["queue"]["progress"].as_u64())
        .collect();
    assert!(progress.is_sorted(), "{progress:?}");
    assert_eq!(
        done["data"]["queue"]["data"]["messageIds"]
            .as_array()
            .map(Vec::len),
        Some(12)
    );
    let sequences: Vec<i64> = stage
        .seen(&token)
        .iter()
        .filter_map(|event| event["sequence"].as_i64())
        .collect();
    assert!(
        sequences.windows(2).all(|pair| pair[0] < pair[1]),
        "{sequences:?}"
    );

    let report = stage.audit(|report| report.contacts.shown_once == 12).await;
    assert_eq!(
        (
            report.contacts.shown_twice,
            report.lost,
            report.server.message_keys_reused
        ),
        (0, 0, 0)
    );
    let gap = report.sessions[0].gap_ms.min.expect("gaps");
    assert!(gap >= 20.0, "the gap is at least MIN, seen {gap} ms");
    stage
        .event(&token, "messages.update", |event| {
            event["data"]["update"]["status"] == "DELIVERY_ACK"
        })
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_survives_the_death_of_its_worker() {
    let stage = Stage::new().await;
    let first = stage.worker("w1");
    let token = stage.paired("15550000002").await;
    let numbers = stage.contacts("15550002", 60).await;
    let queue = stage.send(&token, text(&numbers, Some((0.01, 0.03)))).await;
    stage.audit(|report| report.contacts.shown_once >= 15).await;
    first.kill();
    let second = stage.worker("w2");
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let report = stage
        .audit(|report| report.contacts.shown_once + report.contacts.shown_twice == 60)
        .await;
    assert_eq!(
        (
            report.contacts.shown_twice,
            report.lost,
            report.server.message_keys_reused
        ),
        (0, 0, 0)
    );

    // An event may be published twice, under the same id; each one happened once.
    let mut events = stage.of_queue(&token, queue);
    events.dedup_by_key(|event| event["id"].to_string());
    let processing = names(&events)
        .into_iter()
        .filter(|name| *name == "send.message:PROCESSING")
        .count();
    assert_eq!(processing, 60);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_hands_over_in_good_order() {
    let stage = Stage::new().await;
    let first = stage.worker("w1");
    let token = stage.paired("15550000003").await;
    let numbers = stage.contacts("15550003", 40).await;
    stage.send(&token, text(&numbers, Some((0.02, 0.03)))).await;
    stage.audit(|report| report.contacts.shown_once >= 10).await;
    let second = stage.worker("w2");
    let stopped = tokio::time::Instant::now();
    first.stop().await;
    assert!(
        stopped.elapsed() < Duration::from_secs(8),
        "a hand-over takes {:?}",
        stopped.elapsed()
    );
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let report = stage.audit(|report| report.contacts.shown_once == 40).await;
    assert_eq!(
        (
            report.contacts.shown_twice,
            report.lost,
            report.server.accepted_again
        ),
        (0, 0, 0)
    );
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_message_overtakes_a_broadcast() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000004").await;
    let numbers = stage.contacts("15550004", 30).await;
    let bulk = stage.send(&token, text(&numbers, Some((0.1, 0.1)))).await;
    stage
        .event(&token, "send.message:START", |event| {
            event["data"]["queue"]["queueId"] == bulk.to_string()
        })
        .await;
    let single = stage.send(&token, text(&numbers[29..], Some((0.1, 0.1)))).await;
    let fits = |event: &serde_json::Value| event["data"]["queue"]["queueId"] == single.to_string();
    stage.event(&token, "send.message:COMPLETED", fits).await;
    let settled = names(&stage.of_queue(&token, bulk))
        .iter()
        .filter(|n| **n == "send.message:PROCESSING")
        .count();
    assert!(settled < 20, "{settled} of the broadcast went first");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sessions_send_side_by_side() {
    const SESSIONS: u64 = 10;
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let numbers = stage.contacts("1555009", 100).await;
    let mut tokens = Vec::new();
    for n in 0..SESSIONS {
        tokens.push(stage.paired(&format!("1555000010{n:02}")).await);
    }
    let mut queues = Vec::new();
    for token in &tokens {
        let (fast, slow) = (
            text(&numbers[..40], Some((0.0, 0.0))),
            text(&numbers[40..60], Some((0.02, 0.02))),
        );
        queues.push((token, stage.send(token, fast).await));
        queues.push((token, stage.send(token, slow).await));
    }
    for (token, queue) in queues {
        let id = queue.to_string();
        let of_queue = |event: &serde_json::Value| event["data"]["queue"]["queueId"] == id.as_str();
        stage.event(token, "send.message:COMPLETED", of_queue).await;
    }
    let report = stage
        .audit(|report| report.contacts.shown_once == SESSIONS * 60)
        .await;
    assert_eq!(
        (
            report.contacts.shown_twice,
            report.lost,
            report.server.message_keys_reused
        ),
        (0, 0, 0)
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_the_server_has_it_is_told_of_each_message_once() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000029").await;
    let numbers = stage.contacts("15550029", 3).await;
    let acks = || {
        let mut told = stage.seen(&token);
        told.retain(|event| event["data"]["update"]["status"] == "SERVER_ACK");
        told.len()
    };
    let completed = async |queue: shared::id::QueueId| {
        let of_queue = |event: &serde_json::Value| event["data"]["queue"]["queueId"] == queue.to_string();
        stage.event(&token, "send.message:COMPLETED", of_queue).await;
    };
    // Of many: by the progress, which names each message.
    let queue = stage.send(&token, text(&numbers, None)).await;
    completed(queue).await;
    let mut told = stage.of_queue(&token, queue);
    told.retain(|event| event["event"] == "send.message:PROCESSING");
    assert!(
        told.iter()
            .all(|event| event["data"]["queue"]["messageId"].is_string())
            && told.len() == 3
    );
    assert_eq!(acks(), 0);
    // Of one: by both, as those who send one wait for it.
    let queue = stage.send(&token, text(&numbers[..1], None)).await;
    completed(queue).await;
    assert_eq!(acks(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_turn_out_to_be_one_account_get_one_message() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000005").await;
    let contacts = stage.contacts("15550005", 3).await;
    // The second is in the list by its own number too, the third by two others.
    let others = ["15551110001", "15551110002", "15551110003"];
    for (own, other) in [(1, 0), (2, 1), (2, 2)] {
        let (own, other) = (contacts[own].parse().unwrap(), others[other].parse().unwrap());
        stage.simulator.spell(own, other).await.unwrap();
    }
    let numbers = [others[0], others[1], &contacts[0], &contacts[1], others[2]].map(str::to_owned);
    let queue = stage.send(&token, text(&numbers, None)).await;
    let done = stage.event(&token, "send.message:COMPLETED", |_| true).await;
    assert_eq!(done["data"]["queue"]["progress"], 100);

    let page = recipients::page(stage.database.store(), queue, None, None, 10)
        .await
        .unwrap();
    let states: Vec<_> = page.iter().map(|one| one.state).collect();
    assert_eq!(
        states[0],
        RecipientState::Duplicate,
        "its account is in the list by its own number"
    );
    let twins = [states[1], states[4]];
    assert!(
        twins.contains(&RecipientState::Duplicate) && twins[0] != twins[1],
        "{states:?}"
    );
    // Each says whose number it is, those that are not sent to as well.
    let accounts: Vec<_> = [0, 1, 4]
        .map(|at: usize| page[at].addressee.as_ref().map(ToString::to_string))
        .into();
    assert_eq!(accounts, [1, 2, 2].map(|own: usize| Some(contacts[own].clone())));
    let told: Vec<_> = stage
        .of_queue(&token, queue)
        .into_iter()
        .filter(|event| event["data"]["queue"]["recipient"]["state"] == "duplicate")
        .collect();
    assert_eq!(told.len(), 2);
    assert!(
        told.iter()
            .all(|event| event["data"]["queue"]["messageId"].is_null())
    );
    let report = stage.audit(|report| report.contacts.shown_once == 3).await;
    assert_eq!(
        (report.contacts.shown_twice, report.server.messages_accepted),
        (0, 3)
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_gets_as_many_messages_as_a_job_insists_on() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000006").await;
    let contacts = stage.contacts("15550006", 1).await;
    let other = "15551110006".to_owned();
    stage
        .simulator
        .spell(contacts[0].parse().unwrap(), other.parse().unwrap())
        .await
        .unwrap();
    let job = SendJob {
        duplicates: Duplicates::Allow,
        reference: Some(Reference::new("order 17").unwrap()),
        ..text(&[contacts[0].clone(), other], None)
    };
    let queue = stage.send(&token, job).await;
    let done = stage.event(&token, "send.message:COMPLETED", |_| true).await;
    assert_eq!(done["data"]["queue"]["reference"], "order 17");
    let counts = recipients::counts(stage.database.store(), queue).await.unwrap();
    assert!(
        counts
            .iter()
            .all(|(state, _)| *state != RecipientState::Duplicate),
        "{counts:?}"
    );
    stage.audit(|report| report.server.messages_accepted == 2).await;
    worker.stop().await;
}
