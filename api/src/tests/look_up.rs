//! What got a 2xx is found by the ids that it was given, from then on, whatever becomes of it.

use serde_json::json;

use super::*;

const ID: &str = "3EB0AABBCCDDEEFF001122";

fn text(number: &str) -> Value {
    json!({ "number": number, "message": { "type": "text", "text": "hi" } })
}

fn named(number: &str) -> Value {
    let mut body = text(number);
    body["messageId"] = json!(ID);
    body
}

fn is_used(answered: &Answered) {
    let problem = answered.json();
    assert_eq!(
        (answered.status, &problem["code"], &problem["errors"][0]["field"]),
        (
            StatusCode::CONFLICT,
            &json!("message_id_used"),
            &json!("messageId")
        )
    );
}

#[tokio::test]
async fn a_message_id_that_was_used_is_refused_at_the_door() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/messages");
    let first = api.post(&path, &named("5531900000001")).await;
    assert_eq!(
        (first.status, &first.json()["messageId"]),
        (StatusCode::ACCEPTED, &json!(ID))
    );
    // No worker has stored it yet, and it is taken all the same.
    for other in ["5531900000001", "5531900000002"] {
        is_used(&api.post(&path, &named(other)).await);
    }
    let mut worker = api.worker().await;
    worker.accept().await;
    for path in [&path, &format!("/v1/sessions/{token}/queues")] {
        is_used(&api.post(path, &named("5531900000002")).await);
    }
    let mut anywhere = named("5531900000002");
    anywhere["token"] = json!(token);
    is_used(&api.post("/v1/messages", &anywhere).await);
    // Another session's messages are others.
    let other = api.open_session().await;
    let theirs = api
        .post(&format!("/v1/sessions/{other}/messages"), &named("5531900000001"))
        .await;
    assert_eq!(theirs.status, StatusCode::ACCEPTED);
    // The same job again is the same job.
    let id = JobId::new("once").unwrap();
    let mut keyed = named("5531900000003");
    keyed["messageId"] = json!("3EB0AABBCCDDEEFF001133");
    for _ in 0..2 {
        assert_eq!(
            api.post_once(&path, id.as_str(), &keyed).await.status,
            StatusCode::ACCEPTED
        );
        api.database.query("DELETE FROM idempotency").await;
    }
}

#[tokio::test]
async fn an_accepted_message_is_found_at_once_and_followed() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/messages");
    let keyed = api.post_once(&path, "once", &text("5531900000001")).await.json();
    let named = api.post(&path, &named("5531900000002")).await.json();
    let plain = api.post(&path, &text("5531900000003")).await.json();
    let legacy = json!({ "token": token, "number": "5531900000004", "text": "hi" });
    let legacy = api.post("/api/whatsapp/send-text", &legacy).await.json();
    let id_of = |answer: &Value| answer["messageId"].as_str().unwrap().to_owned();
    let ids = [
        id_of(&keyed),
        id_of(&named),
        id_of(&plain),
        legacy["data"]["key"]["id"].as_str().unwrap().to_owned(),
    ];
    for id in &ids {
        let found = api.get(&format!("{path}/{id}")).await;
        let shown = found.json();
        assert_eq!(
            (found.status, &shown["state"]),
            (StatusCode::OK, &json!("accepted")),
            "{shown}"
        );
        assert_eq!(shown["request"]["waiting"]["reason"], "no-worker");
    }
    for answer in [&keyed, &named, &plain] {
        let queue = format!(
            "/v1/sessions/{token}/queues/{}",
            answer["queueId"].as_str().unwrap()
        );
        let found = api.get(&queue).await;
        assert_eq!(
            (found.status, &found.json()["state"]),
            (StatusCode::OK, &json!("accepted"))
        );
        // What is asked of it goes the way of the job, behind it.
        for command in ["pause", "adopt"] {
            let told = api.post(&format!("{queue}/{command}"), &json!({})).await;
            assert_eq!(told.status, StatusCode::ACCEPTED, "{command}");
        }
    }
    let mut worker = api.worker().await;
    for _ in 0..4 {
        worker.accept().await;
    }
    for (nth, id) in ids.iter().enumerate() {
        let shown = api.get(&format!("{path}/{id}")).await.json();
        let recipient = &shown["recipient"];
        assert_eq!(
            (&shown["state"], &recipient["state"]),
            (&json!("queued"), &json!("queued"))
        );
        assert_eq!(recipient["number"], format!("553190000000{}", nth + 1));
        assert_eq!(shown["messageId"], *id);
    }
    let unknown = api.get(&format!("{path}/3EB0FFFFFFFFFFFFFFFFFF")).await;
    assert_eq!(
        (unknown.status, &unknown.json()["code"]),
        (StatusCode::NOT_FOUND, &json!("message_not_found"))
    );
    let elsewhere = api.open_session().await;
    let foreign = api
        .get(&format!("/v1/sessions/{elsewhere}/messages/{}", ids[2]))
        .await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_was_rejected_after_all_says_why_under_both_of_its_ids() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/messages");
    let accepted = api.post(&path, &named("5531900000001")).await.json();
    // As its worker writes it.
    api.database
        .query("UPDATE send_request SET code = 'conflict', field = 'messageId', reason = 'is taken'")
        .await;
    let queue = format!(
        "/v1/sessions/{token}/queues/{}",
        accepted["queueId"].as_str().unwrap()
    );
    let (shown, of_queue) = (
        api.get(&format!("{path}/{ID}")).await.json(),
        api.get(&queue).await.json(),
    );
    for request in [&shown["request"], &of_queue] {
        assert_eq!(request["state"], "rejected");
        assert_eq!(
            request["rejection"],
            json!({ "code": "conflict", "field": "messageId", "message": "is taken" })
        );
        assert_eq!(
            (&request["queueId"], &request["waiting"]),
            (&accepted["queueId"], &Value::Null)
        );
    }
    assert_eq!(shown["state"], "rejected");
    assert_eq!(
        api.post(&format!("{queue}/pause"), &json!({})).await.status,
        StatusCode::NOT_FOUND
    );
    // Where another send has the ids by now, both are shown.
    let mut worker = api.worker().await;
    worker.accept().await;
    let (shown, of_queue) = (
        api.get(&format!("{path}/{ID}")).await.json(),
        api.get(&queue).await.json(),
    );
    assert_eq!(of_queue["state"], "queued");
    assert_eq!(of_queue["rejected"][0]["rejection"]["code"], "conflict");
    assert_eq!(shown["state"], "queued");
}

#[tokio::test]
async fn what_could_not_be_published_takes_no_id() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/messages");
    api.broker.broker().close().await;
    let refused = api.post(&path, &named("5531900000001")).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        api.get(&format!("{path}/{ID}")).await.status,
        StatusCode::NOT_FOUND
    );
}
