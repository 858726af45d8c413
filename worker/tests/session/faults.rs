//! What goes wrong on the way to WhatsApp: repaired under the same message id, or told.

use shared::job::{Answer, OnUnknown};
use shared::store::recipients::{self, RecipientState};
use simulator::fault::{Fault, Kind, Match};

use crate::stage::{Stage, fault, names, pause, resume, text};

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
    for (number, code) in [(&numbers[0], 429), (&numbers[1], 463)] {
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
    assert_eq!(error["data"]["status"], 502);
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
