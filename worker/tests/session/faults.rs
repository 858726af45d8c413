//! What goes wrong on the way to WhatsApp: repaired under the same message id, or told.

use std::time::Duration;

use shared::job::{Answer, IsExistsJob, Job, OnUnknown};
use shared::recipient::Number;
use shared::store::recipients::{self, RecipientState};
use simulator::fault::{Fault, Kind, Match, On};

use crate::stage::{Stage, fault, names, pause, resume, text};
use crate::wire::{Way, Wire};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_messages_and_lost_answers_are_repaired_under_the_same_id() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000041").await;
    let numbers = stage.contacts("15550091", 60).await;
    for kind in [Kind::DropBefore, Kind::DropAfter, Kind::Cut] {
        let fault = Fault {
            probability: Some(0.06),
            ..fault(kind)
        };
        stage.simulator.add_fault(fault).await.unwrap();
    }
    let queue = stage.send(&token, text(&numbers, Some((0.0, 0.02)))).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    stage.simulator.end_faults(None).await.unwrap();
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
    assert!(report.sessions[0].connects > 1, "the faults struck");
    let events = stage.of_queue(&token, queue);
    let processing = names(&events)
        .into_iter()
        .filter(|name| *name == "send.message:PROCESSING")
        .count();
    assert_eq!(
        processing, 60,
        "one for each recipient, however often it was sent"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_outcome_is_held_when_the_job_says_so() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000042").await;
    let numbers = stage.contacts("15550092", 5).await;
    let matching = Match {
        from: None,
        to: Some(numbers[2].clone()),
    };
    stage
        .simulator
        .add_fault(Fault {
            matching,
            ..fault(Kind::DropBefore)
        })
        .await
        .unwrap();
    let job = shared::job::SendJob {
        on_unknown: OnUnknown::Hold,
        ..text(&numbers, Some((0.01, 0.02)))
    };
    let queue = stage.send(&token, job).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let counts = recipients::counts(stage.database.store(), queue).await.unwrap();
    assert!(counts.contains(&(RecipientState::Unknown, 1)), "{counts:?}");
    let report = stage.audit(|report| report.contacts.shown_once == 4).await;
    assert_eq!(
        report.server.messages_accepted, 4,
        "what is held is not sent again"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_now_is_tried_again_and_one_for_good_is_told() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000043").await;
    let numbers = stage.contacts("15550093", 3).await;
    for (number, code) in [(&numbers[0], 429), (&numbers[1], 479)] {
        let matching = Match {
            from: None,
            to: Some(number.clone()),
        };
        let nack = Fault {
            matching,
            code: Some(code),
            ..fault(Kind::Nack)
        };
        stage.simulator.add_fault(nack).await.unwrap();
    }
    let queue = stage.send(&token, text(&numbers, Some((0.01, 0.02)))).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let error = stage.event(&token, "send.message:ERROR", |_| true).await;
    assert_eq!(error["data"]["status"], 500);
    assert_eq!(error["data"]["number"], format!("{}@s.whatsapp.net", numbers[1]));
    let processing = names(&stage.of_queue(&token, queue))
        .into_iter()
        .filter(|name| *name == "send.message:PROCESSING")
        .count();
    assert_eq!(processing, 3);
    stage.audit(|report| report.contacts.shown_once == 2).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_does_not_wait_for_an_answer_that_never_comes() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000044").await;
    let numbers = stage.contacts("15550094", 4).await;
    let matching = Match {
        from: None,
        to: Some(numbers[1].clone()),
    };
    stage
        .simulator
        .add_fault(Fault {
            matching,
            ..fault(Kind::WithholdAck)
        })
        .await
        .unwrap();
    // A contact's receipt says that the message arrived: without it nobody knows.
    let queue = stage.send(&token, text(&numbers, Some((0.2, 0.2)))).await;
    stage
        .event(&token, "send.message:PROCESSING", |event| {
            event["data"]["queue"]["progress"] == 25
        })
        .await;
    assert!(matches!(
        stage.call(&token, pause(queue)).await,
        Answer::Done { .. }
    ));
    assert!(matches!(
        stage.call(&token, resume(queue)).await,
        Answer::Done { .. }
    ));
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let report = stage.audit(|report| report.contacts.shown_once == 4).await;
    assert_eq!((report.contacts.shown_twice, report.lost), (0, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refused_is_not_held_as_unknown() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000045").await;
    let numbers = stage.contacts("15550045", 2).await;
    let nack = Fault {
        code: Some(429),
        ..fault(Kind::Nack)
    };
    stage.simulator.add_fault(nack).await.unwrap();
    let job = shared::job::SendJob {
        on_unknown: OnUnknown::Hold,
        ..text(&numbers, Some((0.01, 0.02)))
    };
    let queue = stage.send(&token, job).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let counts = recipients::counts(stage.database.store(), queue).await.unwrap();
    let held = counts.iter().any(|(state, _)| *state == RecipientState::Unknown);
    assert!(!held, "{counts:?}");
    stage.audit(|report| report.contacts.shown_once == 2).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_repeat_does_not_say_that_the_first_try_failed() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000046").await;
    let numbers = stage.contacts("15550046", 1).await;
    // It is shown, the answer is lost, and it takes a while until the session is back.
    let cut_logins = Fault {
        on: On::Login,
        count: Some(4),
        ..fault(Kind::Cut)
    };
    for fault in [fault(Kind::DropAfter), cut_logins] {
        stage.simulator.add_fault(fault).await.unwrap();
    }
    let queue = stage.send(&token, text(&numbers, None)).await;
    stage.audit(|report| report.server.messages_accepted == 1).await;
    let nack = Fault {
        code: Some(479),
        ..fault(Kind::Nack)
    };
    stage.simulator.add_fault(nack).await.unwrap();
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let told = stage.of_queue(&token, queue);
    assert!(!names(&told).contains(&"send.message:ERROR"), "{told:#?}");
    let counts = recipients::counts(stage.database.store(), queue).await.unwrap();
    let failed = counts.iter().any(|(state, _)| *state == RecipientState::Failed);
    assert!(!failed, "{counts:?}");
    stage.audit(|report| report.contacts.shown_once == 1).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_send_leaves_right_behind_one_whose_lookup_hung() {
    const MIN: f64 = 1.0;
    /// Longer than a send is waited for.
    const HANGS: Duration = Duration::from_secs(12);
    let stage = Stage::new().await;
    let wire = Wire::to(&stage.simulator.ws_url).await;
    let worker = stage.worker_with("w1", |config| config.url.clone_from(&wire.url));
    let token = stage.paired("15550000047").await;
    let numbers = stage.contacts("15550047", 4).await;
    wire.set(Way::Stalled);
    // Two queues: the promise is the session's.
    for numbers in [&numbers[..2], &numbers[2..]] {
        stage.send(&token, text(numbers, Some((MIN, MIN)))).await;
    }
    stage.event(&token, "job.accepted", |_| true).await;
    tokio::time::sleep(HANGS).await;
    wire.set(Way::Open);
    let report = stage.audit(|report| report.contacts.shown_once == 4).await;
    let gap = report.sessions[0].gap_ms.min.expect("gaps");
    assert!(gap >= MIN * 1000.0, "the gap is at least MIN, seen {gap} ms");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_is_lost_with_its_connection_is_answered() {
    let stage = Stage::new().await;
    let wire = Wire::to(&stage.simulator.ws_url).await;
    let worker = stage.worker_with("w1", |config| config.url.clone_from(&wire.url));
    let token = stage.paired("15550000048").await;
    let numbers = stage.contacts("15550048", 1).await;
    let question = Job::IsExists(IsExistsJob {
        number: Number::new(&numbers[0]).unwrap(),
    });
    wire.set(Way::Stalled);
    let cut = async {
        // Asked before it breaks off: jobs of a session keep their order.
        stage.call(&token, pause(shared::testing::queue_id())).await;
        wire.set(Way::Down);
    };
    let (answer, ()) = tokio::join!(stage.call(&token, question.clone()), async {
        tokio::task::yield_now().await;
        cut.await;
    });
    let not_connected = matches!(
        answer,
        Answer::Failed {
            code: shared::job::FailureCode::NotConnected,
            ..
        }
    );
    assert!(not_connected, "{answer:?}");
    wire.set(Way::Open);
    worker.stop().await;
}
