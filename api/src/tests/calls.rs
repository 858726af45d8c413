//! Rejecting a call; the worker is played by the test.

use serde_json::json;
use shared::job::{CallJob, FailureCode};

use super::*;

#[tokio::test]
async fn a_call_is_rejected_by_its_id() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let mut worker = api.worker().await;
    let path = format!("/v1/sessions/{token}/calls/8F1C/reject");
    let body = json!({});
    let done = Answer::Done {
        queue_id: None,
        reading: None,
    };
    let (answered, job) = tokio::join!(api.post(&path, &body), worker.answer(&done));
    assert_eq!(
        (answered.status, answered.json()),
        (StatusCode::OK, json!({ "callId": "8F1C" }))
    );
    let call_id = "8F1C".parse().expect("an id");
    assert_eq!(job, Job::RejectCall(CallJob { call_id }));
    let over = Answer::Failed {
        code: FailureCode::UnknownCall,
        message: "it ended".to_owned(),
        field: None,
        until: None,
    };
    let (refused, _) = tokio::join!(api.post(&path, &body), worker.answer(&over));
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (StatusCode::NOT_FOUND, &json!("call_not_found"))
    );
    let bad = api
        .post(&format!("/v1/sessions/{token}/calls/a%20b/reject"), &json!({}))
        .await;
    assert_eq!(bad.json()["errors"][0]["field"], "callId");
    let unknown = api
        .post("/v1/sessions/nobody/calls/8F1C/reject", &json!({}))
        .await;
    assert_eq!(unknown.json()["code"], "session_not_found");
}
