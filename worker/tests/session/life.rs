//! The life of a session: pairing, messages that come in, questions, logout.

use std::time::Duration;

use shared::job::{Answer, FailureCode, IsExistsJob, Job, PairingCodeJob, Presence, SessionUpdateJob};
use shared::recipient::Number;
use shared::store::sessions::SessionState;
use shared::testing::job_id;
use simulator::fault::{Fault, Kind, On};
use simulator::world::Speaker;

use crate::stage::{Stage, fault, pause, text};
use crate::wire::{Way, Wire};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_come_in_and_questions_are_answered() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000031").await;
    let contacts = stage.contacts("15550081", 2).await;
    let (contact, owner) = (contacts[0].parse().unwrap(), "15550000031".parse().unwrap());
    stage
        .simulator
        .say(Speaker::Contact(contact), owner, "good morning")
        .await
        .unwrap();
    let message = stage.event(&token, "new.message", |_| true).await;
    assert!(
        message["data"]["body"]["message"]
            .to_string()
            .contains("good morning")
    );
    assert_eq!(message["data"]["header"]["fromMe"], false);
    assert_eq!(message["data"]["header"]["phoneNumber"], contacts[0].as_str());

    for (number, expected) in [(contacts[1].as_str(), true), ("15559999999", false)] {
        let job = Job::IsExists(IsExistsJob {
            number: Number::new(number).unwrap(),
        });
        match stage.call(&token, job).await {
            Answer::IsExists { exists, jid, .. } => {
                assert_eq!(exists, expected);
                assert_eq!(jid.is_some(), expected);
            }
            other => panic!("{other:?}"),
        }
    }
    worker.stop().await;
}

/// Waits until the one linked device says this of itself, with so many logins.
async fn says(stage: &Stage, is_available: bool, logins: u64) {
    let start = tokio::time::Instant::now();
    loop {
        let sessions = stage.simulator.sessions().await.expect("sessions");
        let told = |one: &&simulator::world::SessionInfo| one.presence_name.is_some() && one.online;
        let seen = sessions.iter().find(told).map(|one| (one.available, one.logins));
        if seen == Some((is_available, logins)) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_says_of_itself_what_it_is_set_to_at_once_and_by_another_worker() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000038").await;
    let set = |presence| Job::SessionUpdate(SessionUpdateJob { presence });
    let available = Some(Presence::Available);
    let logins = stage.simulator.sessions().await.unwrap()[0].logins;
    says(&stage, false, logins).await;
    for job in [set(Some(available)), set(None)] {
        let answer = stage.call(&token, job).await;
        assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
        says(&stage, true, logins).await;
        assert_eq!(stage.record(&token).await.unwrap().presence, available);
    }
    worker.kill();
    let worker = stage.worker("w2");
    says(&stage, true, logins + 1).await;
    // Null is what the deployment says.
    stage.call(&token, set(Some(None))).await;
    says(&stage, false, logins + 1).await;
    assert_eq!(stage.record(&token).await.unwrap().presence, None);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_pairs_by_code() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let phone: simulator::number::Number = "15550000032".parse().unwrap();
    stage.simulator.create_phone(phone, "Owner").await.unwrap();
    let token = stage.session().await;
    stage.event(&token, "qrcode.updated", |_| true).await;
    let job = Job::PairingCode(PairingCodeJob {
        phone: Number::new("15550000032").unwrap(),
    });
    let Answer::PairingCode { code } = stage.call(&token, job.clone()).await else {
        panic!("no code")
    };
    // Mistyped, it can be typed again.
    let last = if code.ends_with('1') { "2" } else { "1" };
    let wrong = format!("{}{last}", &code[..code.len() - 1]);
    stage.simulator.link_code(phone, &wrong).await.unwrap_err();
    stage.simulator.link_code(phone, &code).await.unwrap();
    stage
        .event(&token, "connection.update", |event| {
            event["data"]["state"] == "open"
        })
        .await;
    assert!(matches!(
        stage.call(&token, job).await,
        Answer::Failed {
            code: FailureCode::Conflict,
            ..
        }
    ));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_go_when_the_phone_unlinks_and_stay_when_the_session_is_stopped() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000033").await;
    assert!(matches!(
        stage.call(&token, Job::SessionStop).await,
        Answer::Done { .. }
    ));
    let closed = stage
        .event(&token, "connection.update", |event| {
            event["data"]["state"] == "close"
        })
        .await;
    let record = stage.record(&token).await.unwrap();
    assert!(!record.wanted && record.paired_at.is_some());

    assert!(matches!(
        stage.call(&token, Job::SessionStart).await,
        Answer::Done { .. }
    ));
    let opened = |event: &serde_json::Value| {
        event["data"]["state"] == "open" && event["sequence"].as_i64() > closed["sequence"].as_i64()
    };
    stage.event(&token, "connection.update", opened).await;
    stage
        .simulator
        .unlink("15550000033".parse().unwrap(), None)
        .await
        .unwrap();
    stage
        .event(&token, "connection.update", |event| {
            event["data"]["statusReason"] == 401
        })
        .await;
    let record = stage.record(&token).await.unwrap();
    assert_eq!(
        (record.state, record.paired_at, record.owner),
        (SessionState::LoggedOut, None, None)
    );
    let keys = stage.database.query("SELECT count(*) FROM device_key").await;
    assert_eq!(keys, [Some("0".to_owned())]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_session_logs_it_out_and_leaves_nothing() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000034").await;
    assert!(matches!(
        stage.call(&token, Job::SessionDelete).await,
        Answer::Done { .. }
    ));
    assert_eq!(stage.record(&token).await, None);
    assert!(
        stage.simulator.sessions().await.unwrap().is_empty(),
        "the device is unlinked at WhatsApp"
    );
    let answer = stage.call(&token, Job::SessionStart).await;
    assert!(
        matches!(
            answer,
            Answer::Failed {
                code: FailureCode::UnknownSession,
                ..
            }
        ),
        "{answer:?}"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_can_be_deleted_while_it_pairs_and_after_it_was_stopped() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let pairing = stage.session().await;
    stage.event(&pairing, "qrcode.updated", |_| true).await;
    assert!(matches!(
        stage.call(&pairing, Job::SessionDelete).await,
        Answer::Done { .. }
    ));
    assert_eq!(stage.record(&pairing).await, None);

    let stopped = stage.paired("15550000035").await;
    assert!(matches!(
        stage.call(&stopped, Job::SessionStop).await,
        Answer::Done { .. }
    ));
    stage
        .event(&stopped, "connection.update", |event| {
            event["data"]["state"] == "close"
        })
        .await;
    assert!(matches!(
        stage.call(&stopped, Job::SessionDelete).await,
        Answer::Done { .. }
    ));
    assert_eq!(stage.record(&stopped).await, None);
    assert!(
        stage.simulator.sessions().await.unwrap().is_empty(),
        "it connects once more to log out"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_being_deleted_is_not_started_again_and_says_so() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000036").await;
    stage.hold("DELETE ON recipient").await;
    let deleted = async {
        let deleted = stage.call(&token, Job::SessionDelete).await;
        assert!(matches!(deleted, Answer::Done { .. }), "{deleted:?}");
        assert_eq!(stage.record(&token).await, None);
    };
    let refused = async {
        while stage.record(&token).await.unwrap().deleting_at.is_none() {
            tokio::task::yield_now().await;
        }
        for job in [
            Job::SessionStart,
            Job::SessionStop,
            Job::SessionUpdate(SessionUpdateJob::default()),
        ] {
            let answer = stage.call(&token, job).await;
            let conflict = matches!(&answer, Answer::Failed { code: FailureCode::Conflict, message, .. }
                if message.contains("being deleted"));
            assert!(conflict, "{answer:?}");
        }
        stage
            .event(&token, "job.rejected", |event| {
                event["data"]["type"] == "session.start"
            })
            .await;
        stage.let_go().await;
    };
    tokio::join!(deleted, refused);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_connects_only_to_log_out_sends_nothing() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000037").await;
    let numbers = stage.contacts("15550086", 60).await;
    assert!(matches!(
        stage.call(&token, Job::SessionStop).await,
        Answer::Done { .. }
    ));
    stage
        .event(&token, "connection.update", |event| {
            event["data"]["state"] == "close"
        })
        .await;
    stage.send(&token, text(&numbers, Some((0.0, 0.0)))).await;
    stage.event(&token, "job.accepted", |_| true).await;
    assert!(matches!(
        stage.call(&token, Job::SessionDelete).await,
        Answer::Done { .. }
    ));
    assert_eq!(stage.record(&token).await, None);
    let report = stage.simulator.audit().await.unwrap();
    assert_eq!(report.server.messages_accepted, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_whatsapp_refused_says_so_until_it_is_started() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000038").await;
    let replaced = Fault {
        on: On::Now,
        ..fault(Kind::StreamError)
    };
    stage.simulator.add_fault(replaced).await.unwrap();
    let closed = stage
        .event(&token, "connection.update", |event| {
            event["data"]["statusReason"] == 440
        })
        .await;
    let record = stage.record(&token).await.unwrap();
    assert_eq!(
        (record.state, record.close_reason, record.refused),
        (SessionState::Closed, Some(440), true)
    );

    stage.call(&token, Job::SessionStart).await;
    let opened = |event: &serde_json::Value| {
        event["data"]["state"] == "open" && event["sequence"].as_i64() > closed["sequence"].as_i64()
    };
    stage.event(&token, "connection.update", opened).await;
    assert!(!stage.record(&token).await.unwrap().refused);
    stage.call(&token, Job::SessionStop).await;
    let stopped = |event: &serde_json::Value| event["data"]["statusReason"] == 428;
    stage.event(&token, "connection.update", stopped).await;
    assert!(!stage.record(&token).await.unwrap().refused);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_does_not_wait_for_the_next_connections_time_and_everybody_waits_for_it() {
    let stage = Stage::new().await;
    let wire = Wire::to(&stage.simulator.ws_url).await;
    let worker = stage.worker_with("w1", |config| {
        config.url.clone_from(&wire.url);
        config.timing.backoff_base = Duration::from_secs(36_000);
        config.timing.backoff_cap = Duration::from_secs(36_000);
    });
    let token = stage.paired("15550000039").await;
    wire.set(Way::Down);
    // Once right behind the loss, and then not for hours.
    stage
        .event(&token, "connection.update", |event| {
            event["data"]["state"] == "close"
        })
        .await;
    wire.set(Way::Open);
    let delete = async || {
        let answer = stage.call(&token, Job::SessionDelete).await;
        assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
        assert_eq!(stage.record(&token).await, None);
    };
    tokio::join!(delete(), delete());
    assert!(
        stage.simulator.sessions().await.unwrap().is_empty(),
        "the device is unlinked at WhatsApp"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_started_again_waits_for_what_the_lost_one_left_on_its_way() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000040").await;
    let numbers = stage.contacts("15550040", 1).await;
    // A write that hangs, and behind it a read that fails: the session is lost while the write is on its way.
    stage.hold("INSERT ON outbox").await;
    stage
        .publish_raw(token.as_str(), "no-such-kind", "bad-1", "{}")
        .await;
    stage.until_held().await;
    stage.database.query("ALTER TABLE queue RENAME TO away").await;
    stage
        .publish(&token, &job_id(), &pause(shared::testing::queue_id()))
        .await;
    while stage
        .simulator
        .sessions()
        .await
        .unwrap()
        .iter()
        .any(|session| session.online)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stage.database.query("ALTER TABLE away RENAME TO queue").await;
    // Time enough for the next one to start.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stage.let_go().await;
    stage.send(&token, text(&numbers, None)).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let mut events = stage.seen(&token);
    events.dedup_by_key(|event| event["id"].to_string());
    let sequences: Vec<_> = events
        .iter()
        .filter_map(|event| event["sequence"].as_i64())
        .collect();
    assert!(
        sequences.windows(2).all(|pair| pair[0] < pair[1]),
        "{sequences:?}"
    );
    worker.stop().await;
}
