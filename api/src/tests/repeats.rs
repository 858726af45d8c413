//! Requests that come twice: under one id, under one key, in other words.

use serde_json::json;

use super::queues::{TEXT, to};
use super::*;

#[tokio::test]
async fn an_id_is_for_one_job_over_both_doors() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let id = "78e37ede-32d9-4636-83f0-39469daf89f6";
    let body = json!({ "number": "5531900000001", "message": { "type": "text", "text": "hi" } });
    // First over AMQP, as a foreign publisher sends it.
    let topology = api.broker.broker().topology().clone();
    let (id_of_job, kind) = (JobId::new(id).unwrap(), shared::job::JobKind::Send);
    let body_of_job = body.to_string().into();
    let message = shared::broker::Outgoing::job_body(&topology, &token, &id_of_job, kind, body_of_job);
    api.broker.broker().publisher().publish(message).await.unwrap();
    worker.accept().await;

    let other =
        json!({ "queueId": id, "number": "5531900000001", "message": { "type": "text", "text": "bye" } });
    for what in ["queues", "messages"] {
        let path = format!("/v1/sessions/{token}/{what}");
        let refused = api.post(&path, &other).await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (StatusCode::CONFLICT, &json!("job_id_reused"))
        );
        // The same job again, under the same identity: accepted, and one queue to the worker.
        assert_eq!(api.post_once(&path, id, &body).await.json()["queueId"], id);
        worker.accept().await;
    }
    assert_eq!(
        api.database.query("SELECT count(*) FROM queue").await,
        [Some("1".to_owned())]
    );
}

#[tokio::test]
async fn work_with_a_key_is_finished_when_its_client_leaves() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/queues");
    let body =
        json!({ "numbers": ["5531900000001", "5531900000002"], "message": { "type": "text", "text": "hi" } });
    // The answer waits for the worker to store the queue, which it does only when the client has left.
    let (_, delivery) = tokio::select! {
        answered = api.post_once(&path, "once", &body) => panic!("{answered:?}"),
        taken = worker.next() => taken,
    };
    delivery.ack().await.unwrap();
    let again = async {
        loop {
            let answered = api.post_once(&path, "once", &body).await;
            if answered.json()["code"] != "idempotency_key_in_use" {
                return answered;
            }
        }
    };
    let answered = tokio::time::timeout(PATIENCE, again).await.expect("in time");
    assert_eq!(answered.status, StatusCode::ACCEPTED);
    assert_eq!(answered.headers["idempotent-replayed"], "true");
}

#[tokio::test]
async fn the_same_request_in_other_words_is_the_same() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/queues");
    let first = to(json!(["4916200401", "4916200402"]));
    let (answered, _) = tokio::join!(api.post_once(&path, "k", &first), worker.accept());
    let again = json!({
        "onUnknown": "resend", "duplicates": "drop", "message": { "text": TEXT, "type": "text" },
        "numbers": ["+49 (0) 162 00401", "0049 162-00402"]
    });
    let replayed = api.post_once(&path, "k", &again).await;
    assert_eq!(replayed.headers["idempotent-replayed"], "true");
    assert_eq!(replayed.json(), answered.json());
    let other = api.post_once(&path, "k", &to(json!(["4916200401"]))).await;
    assert_eq!(
        (other.status, &other.json()["code"]),
        (StatusCode::CONFLICT, &json!("idempotency_key_reused"))
    );
}

#[tokio::test]
async fn a_uuid_is_a_key_for_two_sessions() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let key = "78e37ede-32d9-4636-83f0-39469daf89f7";
    let mut queues = Vec::new();
    for _ in 0..2 {
        let token = api.open_session().await;
        let path = format!("/v1/sessions/{token}/queues");
        let body = to(json!(["4916200401"]));
        let (answered, _) = tokio::join!(api.post_once(&path, key, &body), worker.accept());
        assert_eq!(answered.status, StatusCode::ACCEPTED, "{answered:?}");
        let queue = answered.json()["queueId"].clone();
        for id in [queue.as_str().unwrap(), key] {
            let shown = api.get(&format!("{path}/{id}")).await.json();
            assert_eq!(shown["queueId"], queue);
        }
        queues.push(queue);
    }
    assert_eq!(queues[0], key);
    assert_ne!(queues[0], queues[1]);
}
