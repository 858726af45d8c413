//! The older API, body for body.

use std::time::Duration;

use serde_json::json;
use shared::clock::unix_millis;
use shared::job::{Answer, FailureCode, Job};

use super::*;

#[tokio::test]
async fn create_instance_tells_how_the_connection_stands() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let body = json!({ "token": testing::token() });
    let token = Token::new(body["token"].as_str().unwrap()).unwrap();
    let create = async || api.post("/api/whatsapp/create-instance", &body).await.json();

    assert_eq!(create().await, json!({ "status": true, "message": "Processing" }));
    let (job, delivery) = worker.next().await;
    assert_eq!(job, Job::SessionStart);
    assert_eq!(delivery.routing_key, token.as_str());
    delivery.ack().await.unwrap();

    api.set_session(
        &token,
        "state = 2, qr = '2@abc,def', qr_expires_at = now() + interval '20 s'",
    )
    .await;
    let pending = create().await;
    assert_eq!(
        (&pending["status"], &pending["message"]),
        (&json!(false), &json!("Please scan qrcode"))
    );
    assert!(
        pending["qrcode"]
            .as_str()
            .unwrap()
            .starts_with("data:image/png;base64,iVBOR")
    );

    api.set_session(
        &token,
        "state = 3, qr = NULL, qr_expires_at = NULL, jid = '1@s.whatsapp.net'",
    )
    .await;
    assert_eq!(
        create().await,
        json!({ "status": true, "message": "Already connected" })
    );
}

#[tokio::test]
async fn send_text_to_one_answers_the_message_that_will_be_sent() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let body = json!({ "token": token, "number": "+55 31 90000-0001", "text": "hi" });
    let answered = api.post("/api/whatsapp/send-text", &body).await;
    assert_eq!(answered.status, StatusCode::OK);
    let answer = answered.json();
    assert_eq!(answer["status"], true);
    assert_eq!(answer["data"], answer["message"]);
    let sent = &answer["data"];
    assert_eq!(sent["key"]["remoteJid"], "5531900000001@s.whatsapp.net");
    assert_eq!(sent["key"]["fromMe"], true);
    assert_eq!(
        sent["message"],
        json!({ "extendedTextMessage": { "text": "hi" } })
    );
    assert_eq!(sent["status"], "PENDING");
    assert!(sent["messageTimestamp"].is_string());

    let (job, _) = worker.accept().await;
    assert_eq!(job.message_id.unwrap().as_str(), sent["key"]["id"]);
    assert_eq!(job.numbers.len(), 1);
}

#[tokio::test]
async fn send_text_to_an_array_starts_a_queue() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let body = json!({
        "token": token, "number": ["5531900000001", 5_531_900_000_002_u64], "text": "hi",
        "delay": { "min": 0.5, "max": 1 }
    });
    let (answered, (job, id)) = tokio::join!(api.post("/api/whatsapp/send-text", &body), worker.accept());
    let queue = job.queue_id(&token, &id).to_string();
    assert_eq!(
        answered.json(),
        json!({
            "status": true,
            "data": "Sending 2 message start",
            "queue": { "queueId": queue, "status": "STARTED", "progress": 0 }
        })
    );
    assert_eq!(job.delay.unwrap().max(), Duration::from_secs(1));
    assert_eq!(
        api.get(&format!("/v1/sessions/{token}/queues/{queue}"))
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn send_media_to_an_array_starts_a_queue() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let body = json!({
        "token": token, "number": ["5531900000001", "5531900000002"], "type": "pdf",
        "url": "https://example.com/a/report.pdf", "fileName": null, "caption": "The report",
    });
    let (answered, (job, id)) = tokio::join!(api.post("/api/whatsapp/send-media", &body), worker.accept());
    let queue = job.queue_id(&token, &id).to_string();
    let answer = answered.json();
    assert_eq!(answer["data"], "Sending 2 message start");
    assert_eq!(answer["queue"]["queueId"], queue);
    assert_eq!(
        serde_json::to_value(&job.message).unwrap(),
        json!({
            "type": "document", "caption": "The report",
            "media": { "url": "https://example.com/a/report.pdf", "mimetype": "application/pdf" },
        })
    );
}

#[tokio::test]
async fn send_media_names_the_field_that_is_wrong_as_its_clients_know_it() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let good = json!({
        "token": token, "number": "5531900000001", "type": "image", "url": "https://example.com/a.jpg",
    });
    for (field, value) in [
        ("type", json!("poem")),
        ("url", json!("ftp://example.com/a.jpg")),
        ("number", json!("12")),
        ("number", json!([])),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let refused = api.post("/api/whatsapp/send-media", &body).await;
        assert_eq!(
            refused.status,
            StatusCode::BAD_REQUEST,
            "{field}: {}",
            refused.json()
        );
        assert_eq!(refused.json()["error"]["field"], field);
    }
    let mut unknown = good;
    unknown["token"] = json!("nobody");
    let refused = api.post("/api/whatsapp/send-media", &unknown).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn delete_credential_asks_the_worker_to_log_out() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let body = json!({ "token": token });
    let gone = async {
        let (job, delivery) = worker.next().await;
        assert_eq!(job, Job::SessionDelete);
        api.database
            .query(&format!("DELETE FROM session WHERE token = '{token}'"))
            .await;
        delivery.ack().await.unwrap();
    };
    let (answered, ()) = tokio::join!(api.post("/api/whatsapp/delete-credential", &body), gone);
    let expected = json!({
        "status": true, "data": { "status": true, "message": "Deleting session and credential" }
    });
    assert_eq!(answered.json(), expected);
}

#[tokio::test]
async fn an_instance_is_created_anew_when_the_deleted_one_is_gone() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let body = json!({ "token": token });
    let create = "/api/whatsapp/create-instance";
    let asked = api.post("/api/whatsapp/delete-credential", &body);
    // The worker takes its time: nothing may be lost meanwhile.
    let slow = async {
        let (job, delivery) = worker.next().await;
        assert_eq!(job, Job::SessionDelete);
        let refused = api.post(create, &body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT);
        assert_eq!(refused.json()["error"]["code"], "session_being_deleted");
        assert!(refused.headers.contains_key("retry-after"));
        let text = json!({ "token": token, "number": "5531900000001", "text": "hi" });
        let refused = api.post("/api/whatsapp/send-text", &text).await;
        assert_eq!(refused.json()["error"]["code"], "session_being_deleted");
        // Asked again, it waits for the same end.
        let path = format!("/v1/sessions/{token}");
        let again = api.delete(&path);
        let created = api.post(create, &body);
        let gone = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            api.database
                .query(&format!("DELETE FROM session WHERE token = '{token}'"))
                .await;
            delivery.ack().await.unwrap();
        };
        let (again, created, ()) = tokio::join!(again, created, gone);
        assert_eq!(again.status, StatusCode::NO_CONTENT);
        assert_eq!(created.json(), json!({ "status": true, "message": "Processing" }));
        let (job, delivery) = worker.next().await;
        assert_eq!(job, Job::SessionStart, "and no second delete before it");
        delivery.ack().await.unwrap();
    };
    let (deleted, ()) = tokio::join!(asked, slow);
    assert_eq!(deleted.status, StatusCode::OK);
}

#[tokio::test]
async fn is_exists_is_answered_by_the_worker() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    for number in ["1203630001@g.us", "98765@lid"] {
        let body = json!({ "token": token, "number": number });
        let refused = api.post("/api/whatsapp/is-exists", &body).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["field"]),
            (StatusCode::BAD_REQUEST, &json!("number"))
        );
    }
    let body = json!({ "token": token, "number": 5_531_900_000_001_u64 });
    let jid = "5531900000001@s.whatsapp.net";

    let yes = Answer::IsExists {
        exists: true,
        jid: Some(jid.to_owned()),
        lid: None,
    };
    let (answered, _) = tokio::join!(api.post("/api/whatsapp/is-exists", &body), worker.answer(&yes));
    assert_eq!(
        answered.json(),
        json!({ "status": true, "data": { "exists": true, "jid": jid } })
    );

    let no = Answer::IsExists {
        exists: false,
        jid: None,
        lid: None,
    };
    let (answered, _) = tokio::join!(api.post("/api/whatsapp/is-exists", &body), worker.answer(&no));
    assert_eq!(
        answered.json(),
        json!({ "status": true, "data": { "exists": false, "jid": jid } })
    );

    let away = Answer::Failed {
        code: FailureCode::NotConnected,
        message: "the session is not connected".to_owned(),
        field: None,
        until: None,
    };
    let (answered, _) = tokio::join!(api.post("/api/whatsapp/is-exists", &body), worker.answer(&away));
    assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        answered.json(),
        json!({ "status": false, "message": "the session is not connected", "error": { "code": "session_not_connected" } })
    );
}

#[tokio::test]
async fn a_number_that_can_t_be_looked_up_now_is_told_with_when_it_can() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let body = json!({ "token": token, "number": 5_531_900_000_001_u64 });
    let now = time::OffsetDateTime::now_utc();
    let refused = Answer::Failed {
        code: FailureCode::LookUpLimit,
        message: "none may be looked up now".to_owned(),
        field: None,
        until: Some(unix_millis(now + Duration::from_secs(3_600))),
    };
    let (answered, _) = tokio::join!(
        api.post("/api/whatsapp/is-exists", &body),
        worker.answer(&refused)
    );
    assert_eq!(answered.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        answered.json(),
        json!({ "status": false, "message": "none may be looked up now", "error": { "code": "look_up_limit" } })
    );
    let wait: u64 = answered.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3_540..=3_600).contains(&wait), "{wait}");
}
