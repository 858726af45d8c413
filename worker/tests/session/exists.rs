//! Whether numbers are on WhatsApp: known ones are answered from what is kept, others looked up as often as that is allowed.

use std::time::{Duration, Instant};

use shared::clock::unix_millis;
use shared::id::Token;
use shared::job::{Answer, FailureCode, IsExistsJob, Job};
use shared::recipient::Number;
use time::OffsetDateTime;
use worker::session::look_up::LookUpPace;

use crate::stage::{Stage, text};

fn question(number: &str) -> Job {
    let number = Number::phone(number).expect("a number");
    Job::IsExists(IsExistsJob { number })
}

async fn is_there(stage: &Stage, token: &Token, number: &str) -> bool {
    match stage.call(token, question(number)).await {
        Answer::IsExists { exists, jid, .. } => {
            assert_eq!(exists, jid.is_some());
            exists
        }
        other => panic!("{other:?}"),
    }
}

/// How far off the next look-up is said to be.
async fn refused_for(stage: &Stage, token: &Token, number: &str) -> Duration {
    match stage.call(token, question(number)).await {
        Answer::Failed {
            code: FailureCode::LookUpLimit,
            until: Some(until),
            ..
        } => {
            let left = until - unix_millis(OffsetDateTime::now_utc());
            Duration::from_millis(left.try_into().expect("it is to come"))
        }
        other => panic!("{other:?}"),
    }
}

async fn look_ups(stage: &Stage) -> u64 {
    stage
        .simulator
        .audit()
        .await
        .expect("an audit")
        .server
        .contact_lookups
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_count_with_sends_and_known_numbers_are_not_asked_for() {
    let stage = Stage::new().await;
    let pace = LookUpPace {
        gap: Duration::ZERO,
        per_day: 3,
    };
    let worker = stage.worker_set("w1", |settings| settings.look_ups = pace);
    let token = stage.paired("15550000071").await;
    let numbers = stage.contacts("1555071", 10).await;
    stage.send(&token, text(&numbers[..1], None)).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    for _ in 0..2 {
        assert!(is_there(&stage, &token, &numbers[0]).await);
        assert!(is_there(&stage, &token, &numbers[1]).await);
    }
    assert_eq!(
        look_ups(&stage).await,
        2,
        "one by the send, one by the first question"
    );
    assert!(!is_there(&stage, &token, "19990000000").await);
    let hour = Duration::from_secs(3_600);
    assert!(refused_for(&stage, &token, &numbers[2]).await > 23 * hour);
    worker.stop().await;

    let worker = stage.worker_set("w2", |settings| settings.look_ups = pace);
    while matches!(
        stage.call(&token, question(&numbers[1])).await,
        Answer::Failed {
            code: FailureCode::NotConnected,
            ..
        }
    ) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(is_there(&stage, &token, &numbers[1]).await);
    assert!(refused_for(&stage, &token, &numbers[3]).await > 23 * hour);
    assert_eq!(look_ups(&stage).await, 3);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_waits_for_its_turn_if_that_is_soon() {
    let stage = Stage::new().await;
    let gap = Duration::from_secs(4);
    let pace = LookUpPace { gap, per_day: 100 };
    let worker = stage.worker_set("w1", |settings| settings.look_ups = pace);
    let token = stage.paired("15550000072").await;
    let numbers = stage.contacts("1555072", 10).await;
    let start = Instant::now();
    assert!(is_there(&stage, &token, &numbers[0]).await);
    // The second and the third have a turn within ten seconds, the last has not; one number is looked up once.
    let (second, again, third, last) = tokio::join!(
        is_there(&stage, &token, &numbers[1]),
        is_there(&stage, &token, &numbers[1]),
        async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            is_there(&stage, &token, &numbers[2]).await
        },
        async {
            tokio::time::sleep(Duration::from_millis(1_000)).await;
            refused_for(&stage, &token, &numbers[3]).await
        },
    );
    assert!(second && again && third && last <= gap);
    assert!(start.elapsed() >= 2 * gap);
    assert_eq!(look_ups(&stage).await, 3);
    worker.stop().await;
}
