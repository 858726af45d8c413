//! Commands on queues over `/v1`.

use serde_json::json;
use shared::job::Job;

use super::queues::queue;
use super::*;

#[tokio::test]
async fn the_pace_of_a_queue_is_changed_until_it_ends() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let path = queue(&api, &mut worker, &token, 2).await;
    let body = json!({ "delay": { "min": 0.5, "max": 2 } });
    let (answered, job) = tokio::join!(api.patch(&path, &body), worker.obey());
    assert!(matches!(job, Job::Pace(_)), "{job:?}");
    let shown = answered.json();
    assert_eq!(
        (answered.status, &shown["delay"]),
        (StatusCode::OK, &json!({ "min": 0.5, "max": 2.0 }))
    );
    for (wrong, field) in [
        (json!({}), "delay"),
        (json!({ "delay": { "min": 3, "max": 2 } }), "delay.min"),
        (json!({ "delay": { "min": 3, "max": 5 }, "x": 1 }), "x"),
    ] {
        let refused = api.patch(&path, &wrong).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(refused.json()["errors"][0]["field"], field);
    }
    let (deleted, _) = tokio::join!(api.delete(&path), worker.obey());
    assert_eq!(deleted.status, StatusCode::OK);
    let refused = api.patch(&path, &body).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (StatusCode::CONFLICT, &json!("illegal_transition"))
    );
}

#[tokio::test]
async fn commands_answer_once_they_took_effect() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let queue = queue(&api, &mut worker, &token, 2).await;

    let (pause, resume) = (format!("{queue}/pause"), format!("{queue}/resume"));
    for (path, state) in [(&pause, "paused"), (&resume, "queued"), (&pause, "paused")] {
        let nothing = json!({});
        let (answered, job) = tokio::join!(api.post(path, &nothing), worker.obey());
        assert_eq!(
            (answered.status, &answered.json()["state"]),
            (StatusCode::OK, &json!(state))
        );
        assert!(matches!(job, Job::Pause(_) | Job::Resume(_)));
    }
    // Idempotent: pausing what is paused is no error, and asks the worker again.
    let again = api.post(&pause, &json!({})).await;
    assert_eq!(again.status, StatusCode::OK);
    worker.obey().await;

    let (answered, _) = tokio::join!(api.delete(&queue), worker.obey());
    assert_eq!(
        (answered.status, &answered.json()["state"]),
        (StatusCode::OK, &json!("deleted"))
    );
    let refused = api.post(&resume, &json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.json()["code"], "illegal_transition");
    assert_eq!(api.delete(&queue).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_command_that_no_worker_takes_is_stored_and_answered_so() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let queue = {
        let mut worker = api.worker().await;
        let path = queue(&api, &mut worker, &token, 2).await;
        worker.consumer.close().await;
        path
    };
    let answered = api.post(&format!("{queue}/pause"), &json!({})).await;
    assert_eq!(
        (answered.status, &answered.json()["state"]),
        (StatusCode::ACCEPTED, &json!("queued"))
    );
}

#[tokio::test]
async fn a_queue_of_another_account_waits_until_it_is_adopted() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let queue = queue(&api, &mut worker, &token, 2).await;
    let reason = async || api.get(&queue).await.json()["waiting"]["reason"].clone();
    assert_ne!(reason().await, "other-account");
    let (adopt, nothing) = (format!("{queue}/adopt"), json!({}));
    // It is the present account's already: nothing changes, and the worker is asked all the same.
    let (answered, job) = tokio::join!(api.post(&adopt, &nothing), worker.obey());
    assert_eq!(answered.status, StatusCode::OK);
    assert!(matches!(job, Job::Adopt(_)));

    api.set_session(&token, "jid = '5531900000009@s.whatsapp.net', paired_at = now()")
        .await;
    assert_eq!(reason().await, "other-account");
    let (answered, _) = tokio::join!(api.post(&adopt, &nothing), worker.obey());
    assert_eq!(answered.status, StatusCode::OK);
    assert_ne!(reason().await, "other-account");

    api.set_session(&token, "jid = NULL, state = 5, paired_at = NULL")
        .await;
    let refused = api.post(&adopt, &nothing).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (StatusCode::CONFLICT, &json!("illegal_transition"))
    );
}
