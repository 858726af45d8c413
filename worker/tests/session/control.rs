//! The control of a session, and what is asked about some numbers at once.

use std::time::Duration;

use shared::clock::unix_millis;
use shared::id::Token;
use shared::job::{
    Answer, FailureCode, Job, LogoutJob, LogoutQueues, NumberAnswer, NumberFailure, NumbersJob, Phone,
};
use shared::recipient::Number;
use shared::store::queues::{self, QueueState};
use shared::store::sessions::SessionState;
use simulator::world::Speaker;

use crate::stage::{Stage, names, text};

fn numbers(of: &[&str]) -> NumbersJob {
    let numbers = of
        .iter()
        .map(|number| Phone(Number::new(number).expect("a phone number")));
    NumbersJob {
        numbers: numbers.collect(),
    }
}

fn told(answer: Answer) -> Vec<NumberAnswer> {
    match answer {
        Answer::Numbers { numbers } => numbers,
        other => panic!("{other:?}"),
    }
}

fn logout(queues: LogoutQueues) -> Job {
    Job::SessionLogout(LogoutJob { queues })
}

/// Waits until the session's connection has ended and there is another.
async fn comes_back(stage: &Stage, token: &Token) {
    let closed = stage
        .event(token, "connection.update", |event| {
            event["data"]["state"] == "close"
        })
        .await;
    stage
        .event(token, "connection.update", |event| {
            event["data"]["state"] == "open" && event["sequence"].as_i64() > closed["sequence"].as_i64()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_restarted_connects_anew_and_goes_on() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000091").await;
    let contacts = stage.contacts("155500910", 20).await;
    let queue = stage.send(&token, text(&contacts, Some((0.02, 0.04)))).await;
    stage.event(&token, "send.message:PROCESSING", |_| true).await;
    let answer = stage.call(&token, Job::SessionRestart).await;
    assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    comes_back(&stage, &token).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let report = stage.audit(|report| report.contacts.shown_once == 20).await;
    assert_eq!((report.contacts.shown_twice, report.lost), (0, 0));
    assert!(!names(&stage.of_queue(&token, queue)).contains(&"send.message:ERROR"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_logs_out_stays_and_keeps_or_drops_its_queues() {
    for (phone, prefix, keep) in [
        ("15550000092", "155500920", LogoutQueues::Keep),
        ("15550000093", "155500930", LogoutQueues::Drop),
    ] {
        let stage = Stage::new().await;
        let worker = stage.worker("w1");
        let token = stage.paired(phone).await;
        let contacts = stage.contacts(prefix, 3).await;
        let queue = stage.send(&token, text(&contacts, Some((3600.0, 3600.0)))).await;
        stage.event(&token, "send.message:PROCESSING", |_| true).await;
        let answer = stage.call(&token, logout(keep)).await;
        assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
        assert!(stage.simulator.sessions().await.unwrap().is_empty());
        let record = stage.record(&token).await.unwrap();
        assert_eq!(
            (record.state, record.paired_at, record.wanted),
            (SessionState::LoggedOut, None, false)
        );
        if keep == LogoutQueues::Drop {
            stage.event(&token, "deleted.queue", |_| true).await;
        }
        let stored = queues::find(stage.database.store(), record.id, queue).await;
        let state = stored.unwrap().unwrap().state;
        let expected = match keep {
            LogoutQueues::Keep => QueueState::Running,
            LogoutQueues::Drop => QueueState::Deleted,
        };
        assert_eq!(state, expected);
        // There is nobody to log out any more.
        let again = stage.call(&token, logout(keep)).await;
        let conflict = matches!(
            &again,
            Answer::Failed {
                code: FailureCode::Conflict,
                ..
            }
        );
        assert!(conflict, "{again:?}");
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_looked_up_together_and_each_takes_a_turn() {
    let stage = Stage::new().await;
    let worker = stage.worker_paced("w1", Duration::from_secs(5), 1_000);
    let token = stage.paired("15550000094").await;
    let contacts = stage.contacts("155500940", 2).await;
    let asked = numbers(&[&contacts[0], "15559999999", &contacts[1], &contacts[0]]);
    let found = told(stage.call(&token, Job::LookUp(asked.clone())).await);
    let seen: Vec<_> = found
        .iter()
        .map(|one| (one.number.as_str(), one.exists))
        .collect();
    assert_eq!(
        seen,
        [
            (contacts[0].as_str(), true),
            ("15559999999", false),
            (&contacts[1], true)
        ]
    );
    assert!(found[0].jid.is_some() && found[0].lid.is_some());
    let before = unix_millis(time::OffsetDateTime::now_utc());
    let Answer::Failed {
        code: FailureCode::LookUpLimit,
        until: Some(until),
        ..
    } = stage.call(&token, Job::LookUp(asked)).await
    else {
        panic!("asked again at once")
    };
    assert!(until > before + 10_000, "three numbers, five seconds each");
    worker.stop().await;
    // What no day allows is a mistake, and no matter of waiting.
    let worker = stage.worker_paced("w2", Duration::ZERO, 2);
    let asked = numbers(&[&contacts[0], "15559999999", &contacts[1]]);
    let refused = loop {
        match stage.call(&token, Job::LookUp(asked.clone())).await {
            Answer::Failed {
                code: FailureCode::NotConnected,
                ..
            } => tokio::time::sleep(Duration::from_millis(20)).await,
            other => break other,
        }
    };
    let Answer::Failed {
        code: FailureCode::InvalidJob,
        field,
        until: None,
        ..
    } = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!(field.as_deref(), Some("numbers"));
    let report = stage.simulator.audit().await.unwrap();
    assert_eq!(report.server.contact_lookups, 3);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_contact_is_not_written_to_and_not_heard() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000095").await;
    let contacts = stage.contacts("155500950", 2).await;
    let block = numbers(&[&contacts[0], "15559999999"]);
    let found = told(stage.call(&token, Job::Block(block)).await);
    assert_eq!((found[0].blocked, found[0].error), (Some(true), None));
    assert_eq!(
        (found[1].blocked, found[1].error),
        (None, Some(NumberFailure::NotOnWhatsapp))
    );

    let queue = stage.send(&token, text(&contacts, None)).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let error = stage.event(&token, "send.message:ERROR", |_| true).await;
    assert_eq!(error["data"]["status"], 403, "{error}");
    assert!(error["data"]["message"].to_string().contains("block"), "{error}");
    assert_eq!(
        stage
            .of_queue(&token, queue)
            .iter()
            .filter(|event| event["event"] == "send.message:ERROR")
            .count(),
        1
    );
    let report = stage.audit(|report| report.contacts.shown_once == 1).await;
    assert_eq!((report.server.sent_to_blocked, report.server.violations), (0, 0));
    let owner = "15550000095".parse().unwrap();
    for (contact, words) in [(&contacts[0], "unheard"), (&contacts[1], "heard")] {
        let contact = Speaker::Contact(contact.parse().unwrap());
        stage.simulator.say(contact, owner, words).await.unwrap();
    }
    let message = stage.event(&token, "new.message", |_| true).await;
    assert!(!message.to_string().contains("unheard"), "{message}");

    // A new connection knows the list, too.
    assert!(matches!(
        stage.call(&token, Job::SessionRestart).await,
        Answer::Done { .. }
    ));
    comes_back(&stage, &token).await;
    let unblocked = told(stage.call(&token, Job::Unblock(numbers(&[&contacts[0]]))).await);
    assert_eq!((unblocked[0].blocked, unblocked[0].error), (Some(false), None));
    stage.send(&token, text(&contacts[..1], None)).await;
    let report = stage.audit(|report| report.contacts.shown_once == 2).await;
    assert_eq!((report.server.sent_to_blocked, report.server.violations), (0, 0));
    worker.stop().await;
}
