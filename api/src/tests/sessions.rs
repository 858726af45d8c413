//! `/v1/sessions`, `/v1/messages` and the idempotency key.

use serde_json::json;
use shared::job::{Answer, Job, Presence, SessionUpdateJob};

use super::*;

#[tokio::test]
async fn a_session_is_created_listed_shown_and_deleted() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let created = api.post("/v1/sessions", &json!({ "token": "shop" })).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.headers["location"], "/v1/sessions/shop");
    assert_eq!(
        (&created.json()["token"], &created.json()["state"]),
        (&json!("shop"), &json!("new"))
    );
    let (job, delivery) = worker.next().await;
    assert_eq!(job, Job::SessionStart);
    delivery.ack().await.unwrap();

    assert_eq!(
        api.post("/v1/sessions", &json!({ "token": "shop" })).await.status,
        StatusCode::OK
    );
    worker.next().await.1.ack().await.unwrap();
    assert_eq!(api.get("/v1/sessions/shop").await.json()["state"], "new");

    api.session().await;
    let first = api.get("/v1/sessions?limit=1").await.json();
    assert_eq!(first["items"][0]["token"], "shop");
    let next = first["next"].as_str().unwrap();
    let second = api
        .get(&format!("/v1/sessions?limit=1&cursor={next}"))
        .await
        .json();
    assert_eq!(
        (second["items"].as_array().unwrap().len(), &second["next"]),
        (1, &Value::Null)
    );

    let deleted = async {
        let (job, delivery) = worker.next().await;
        assert_eq!(job, Job::SessionDelete);
        api.database
            .query("DELETE FROM session WHERE token = 'shop'")
            .await;
        delivery.ack().await.unwrap();
    };
    let (answered, ()) = tokio::join!(api.delete("/v1/sessions/shop"), deleted);
    assert_eq!(answered.status, StatusCode::NO_CONTENT);
    assert_eq!(api.get("/v1/sessions/shop").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_session_says_of_itself_what_it_was_created_with() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let available = json!({ "token": "shop", "presence": "available" });
    let created = api.post("/v1/sessions", &available).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.json()["presence"], "available");
    worker.next().await.1.ack().await.unwrap();
    // Again without it, or with the same: nothing changes.
    for body in [json!({ "token": "shop" }), available] {
        let again = api.post("/v1/sessions", &body).await;
        assert_eq!(
            (again.status, &again.json()["presence"]),
            (StatusCode::OK, &json!("available"))
        );
        let (job, delivery) = worker.next().await;
        assert_eq!(job, Job::SessionStart);
        delivery.ack().await.unwrap();
    }
    // With another, the worker of the session is asked.
    let unavailable = json!({ "token": "shop", "presence": "unavailable" });
    let asked = async {
        let done = Answer::Done {
            queue_id: None,
            reading: None,
        };
        let job = worker.answer(&done).await;
        // Started when it is set.
        let (start, delivery) = worker.next().await;
        assert_eq!(start, Job::SessionStart);
        delivery.ack().await.unwrap();
        job
    };
    let (answered, job) = tokio::join!(api.post("/v1/sessions", &unavailable), asked);
    let update = SessionUpdateJob {
        presence: Some(Some(Presence::Unavailable)),
        ..SessionUpdateJob::default()
    };
    assert_eq!(job, Job::SessionUpdate(update));
    assert_eq!(answered.status, StatusCode::OK);
    let plain = api.post("/v1/sessions", &json!({ "token": "plain" })).await;
    assert_eq!(plain.json()["presence"], Value::Null);
    for wrong in [json!("loud"), json!(true)] {
        let body = json!({ "token": "other", "presence": wrong });
        let refused = api.post("/v1/sessions", &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(refused.json()["errors"][0]["field"], "presence");
    }
    assert_eq!(api.get("/v1/sessions/other").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_session_says_of_itself_is_changed_by_its_worker() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}");
    let done = Answer::Done {
        queue_id: None,
        reading: None,
    };
    for (wanted, presence, column) in [
        (json!("available"), Some(Some(Presence::Available)), "2"),
        (Value::Null, Some(None), "NULL"),
    ] {
        // As the worker writes it before it answers.
        api.set_session(&token, &format!("presence = {column}")).await;
        let body = json!({ "presence": wanted });
        let (answered, job) = tokio::join!(api.patch(&path, &body), worker.answer(&done));
        let update = SessionUpdateJob {
            presence,
            ..SessionUpdateJob::default()
        };
        assert_eq!(job, Job::SessionUpdate(update));
        assert_eq!(
            (answered.status, &answered.json()["presence"]),
            (StatusCode::OK, &wanted)
        );
    }
    for (body, field) in [
        (json!({ "presence": "loud" }), "presence"),
        (json!({ "presense": "available" }), "presense"),
    ] {
        let refused = api.patch(&path, &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(refused.json()["errors"][0]["field"], field);
    }
    let body = json!({ "presence": "available" });
    let nobody = api.patch("/v1/sessions/nobody", &body).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    api.set_session(&token, "deleting_at = now()").await;
    let refused = api.patch(&path, &body).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (StatusCode::CONFLICT, &json!("session_being_deleted"))
    );
}

#[tokio::test]
async fn a_proxy_of_its_own_is_sealed_and_shown_without_user_and_password() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let url = "socks5h://fan:secret@proxy.example:9050";
    let body = json!({ "token": "shop", "proxy": url });
    let created = api.post("/v1/sessions", &body).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.json()["proxy"], "socks5h://proxy.example:9050");
    let (job, delivery) = worker.next().await;
    assert_eq!(job, Job::SessionStart);
    delivery.ack().await.unwrap();
    let row = "SELECT encode(s.proxy, 'escape') || s::text FROM session s WHERE token = 'shop'";
    let row = api.database.query(row).await.remove(0).unwrap();
    assert!(!row.contains("secret"), "{row}");
    let shown = api.get("/v1/sessions/shop").await.json();
    assert_eq!(shown["proxy"], "socks5h://proxy.example:9050");
    assert!(!shown.to_string().contains("secret"));

    let done = Answer::Done {
        queue_id: None,
        reading: None,
    };
    let path = "/v1/sessions/shop";
    for (wanted, proxy) in [
        (json!(url), Some(Some(url.parse().unwrap()))),
        (Value::Null, Some(None)),
    ] {
        let body = json!({ "proxy": wanted });
        let (answered, job) = tokio::join!(api.patch(path, &body), worker.answer(&done));
        let update = SessionUpdateJob {
            proxy,
            ..SessionUpdateJob::default()
        };
        assert_eq!(job, Job::SessionUpdate(update));
        assert_eq!(answered.status, StatusCode::OK);
        assert!(!answered.json().to_string().contains("secret"));
    }
    // One that is there already gets it before it starts: it must not leave by another way meanwhile.
    let asked = async {
        let job = worker.answer(&done).await;
        assert!(matches!(job, Job::SessionUpdate(_)), "{job:?}");
        let (start, delivery) = worker.next().await;
        assert_eq!(start, Job::SessionStart);
        delivery.ack().await.unwrap();
    };
    let (again, ()) = tokio::join!(api.post("/v1/sessions", &body), asked);
    assert_eq!(again.status, StatusCode::OK);

    for wrong in [json!("https://fan:secret@proxy.example"), json!(7), json!("")] {
        let bodies = [
            api.patch(path, &json!({ "proxy": wrong })).await,
            api.post("/v1/sessions", &json!({ "token": "new", "proxy": wrong }))
                .await,
            api.post(
                &format!("{path}/pairing-code"),
                &json!({ "phone": "15550000001", "proxy": wrong }),
            )
            .await,
        ];
        for refused in bodies {
            let told = refused.json();
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{told}");
            assert_eq!(told["errors"][0]["field"], "proxy");
            assert!(!told.to_string().contains("secret"), "{told}");
        }
    }
    assert_eq!(api.get("/v1/sessions/new").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_qr_code_comes_as_picture_text_or_json() {
    let api = TestApi::new().await;
    let _worker = api.worker().await;
    let token = api.session().await;
    api.set_session(
        &token,
        "state = 2, qr = '2@abc,def', qr_expires_at = now() + interval '20 s'",
    )
    .await;
    let path = format!("/v1/sessions/{token}/qr");

    let json = api.get(&path).await;
    assert_eq!(json.json()["code"], "2@abc,def");
    assert_eq!(json.headers["cache-control"], "no-store");
    let text = api.get(&format!("{path}?format=text")).await;
    assert_eq!(text.bytes, b"2@abc,def");
    let png = signed(Method::GET, &path)
        .header("accept", "image/png")
        .body(Body::empty())
        .unwrap();
    let png = api.request(png).await;
    assert_eq!(png.headers["content-type"], "image/png");
    assert_eq!(&png.bytes[..4], b"\x89PNG");

    api.set_session(
        &token,
        "state = 3, qr = NULL, qr_expires_at = NULL, jid = '1@s.whatsapp.net'",
    )
    .await;
    assert_eq!(api.get(&path).await.json()["code"], "already_connected");
}

#[tokio::test]
async fn a_session_that_waits_for_a_newer_version_says_so_wherever_it_is_asked() {
    let api = TestApi::new().await;
    let _worker = api.worker().await;
    let token = api.session().await;
    api.set_session(&token, "state = 4, close_reason = 405").await;
    let path = format!("/v1/sessions/{token}");
    let shown = api.get(&path).await.json();
    assert_eq!(
        (&shown["closeReason"], &shown["wanted"]),
        (&json!(405), &json!(true))
    );
    let body = json!({ "phone": "5531900000001" });
    let (qr, code) = (format!("{path}/qr"), format!("{path}/pairing-code"));
    let (qr, code) = tokio::join!(api.get(&qr), api.post(&code, &body));
    assert_eq!((qr.status.as_u16(), code.status.as_u16()), (404, 503));
    for (answer, field) in [
        (shown, "closeDetail"),
        (qr.json(), "detail"),
        (code.json(), "detail"),
    ] {
        let told = answer[field].as_str().unwrap();
        assert!(
            told.contains("version") && told.contains("by itself"),
            "{field}: {told}"
        );
    }
    assert_eq!(code.headers["retry-after"], "60");
}

#[tokio::test]
async fn a_pairing_code_is_asked_of_the_worker() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.session().await;
    let path = format!("/v1/sessions/{token}/pairing-code");
    let code = Answer::PairingCode {
        code: "ABCD1234".to_owned(),
    };
    let body = json!({ "phone": "+55 31 90000-0001" });
    let (answered, job) = tokio::join!(api.post(&path, &body), worker.answer(&code));
    assert_eq!(answered.json(), json!({ "code": "ABCD1234" }));
    assert!(matches!(job, Job::PairingCode(_)));
}

#[tokio::test]
async fn a_session_shows_what_its_passkey_waits_for() {
    let api = TestApi::new().await;
    let _worker = api.worker().await;
    let token = api.session().await;
    let path = format!("/v1/sessions/{token}");
    for (stage, state, more) in [
        (
            r#"{"stage":"requested","options":{"challenge":"AAEC"},"expiresAt":"2026-11-21T20:00:00Z"}"#,
            "passkey",
            "options",
        ),
        (
            r#"{"stage":"code","code":"ABCD-1234","comparisonNeeded":true,"expiresAt":"2026-11-21T20:00:00Z"}"#,
            "passkey",
            "comparisonNeeded",
        ),
        (r#"{"stage":"failed","reason":"cancelled"}"#, "pairing", "reason"),
    ] {
        api.set_session(&token, &format!("state = 2, passkey = '{stage}'"))
            .await;
        let shown = api.get(&path).await.json();
        let stored: Value = serde_json::from_str(stage).unwrap();
        assert_eq!((&shown["state"], &shown["passkey"]), (&json!(state), &stored));
        assert!(shown["passkey"][more] != Value::Null, "{shown}");
    }
    api.set_session(&token, "state = 2, passkey = NULL").await;
    assert!(api.get(&path).await.json().get("passkey").is_none());
}

#[tokio::test]
async fn a_passkeys_answer_is_given_to_the_worker_and_refused_by_its_field() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.session().await;
    let path = format!("/v1/sessions/{token}/passkey");
    let signed = json!({
        "id": "AAEC", "rawId": "AAEC", "type": "public-key", "authenticatorAttachment": "platform",
        "response": { "clientDataJSON": "AAEC", "authenticatorData": "AAEC", "signature": "AAEC", "userHandle": null },
    });
    let done = Answer::Done {
        queue_id: None,
        reading: None,
    };
    let (answered, job) = tokio::join!(api.post(&path, &signed), worker.answer(&done));
    assert_eq!(answered.status, StatusCode::NO_CONTENT);
    assert!(matches!(job, Job::PasskeyAnswer(_)));

    let refusal = Answer::Failed {
        code: shared::job::FailureCode::InvalidJob,
        message: "answers another challenge".to_owned(),
        field: Some("response.clientDataJSON".to_owned()),
        until: None,
    };
    let (answered, _) = tokio::join!(api.post(&path, &signed), worker.answer(&refusal));
    let problem = answered.json();
    assert_eq!(answered.status, StatusCode::BAD_REQUEST);
    assert_eq!(problem["errors"][0]["field"], "response.clientDataJSON");

    let mut broken = signed.clone();
    broken["response"]["authenticatorData"] = json!("*");
    let problem = api.post(&path, &broken).await.json();
    assert_eq!(problem["errors"][0]["field"], "response.authenticatorData");

    for (step, expected) in [("confirm", Job::PasskeyConfirm), ("cancel", Job::PasskeyCancel)] {
        let path = format!("{path}/{step}");
        let empty = json!({});
        let (answered, job) = tokio::join!(api.post(&path, &empty), worker.answer(&done));
        assert_eq!((answered.status, job), (StatusCode::NO_CONTENT, expected));
    }
    for path in ["passkey", "passkey/confirm", "passkey/cancel"] {
        let path = format!("/v1/sessions/nobody/{path}");
        assert_eq!(api.post(&path, &signed).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_message_is_accepted_at_both_addresses() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let message = json!({ "number": "5531900000001", "message": { "type": "text", "text": "hi" } });
    let mut anywhere = message.clone();
    anywhere["token"] = json!(token);
    for (path, body) in [
        (format!("/v1/sessions/{token}/messages"), message),
        ("/v1/messages".to_owned(), anywhere),
    ] {
        let answered = api.post(&path, &body).await;
        assert_eq!(answered.status, StatusCode::ACCEPTED);
        let (job, id) = worker.accept().await;
        let accepted = answered.json();
        assert_eq!(accepted["messageId"], job.message_id.as_ref().unwrap().as_str());
        assert_eq!(accepted["queueId"], job.queue_id(&token, &id).to_string());
        assert_eq!(accepted["status"], "PENDING");
    }
}

#[tokio::test]
async fn the_same_key_is_one_job_and_one_answer() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/messages");
    let body = json!({ "number": "5531900000001", "message": { "type": "text", "text": "hi" } });

    let first = api.post_once(&path, "order-17", &body).await;
    let again = api.post_once(&path, "order-17", &body).await;
    assert_eq!((first.status, &first.bytes), (again.status, &again.bytes));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(worker.accept().await.1.as_str(), "order-17");

    let other = json!({ "number": "5531900000001", "message": { "type": "text", "text": "bye" } });
    let refused = api.post_once(&path, "order-17", &other).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (StatusCode::CONFLICT, &json!("idempotency_key_reused"))
    );

    // A refusal is not kept: the corrected request goes through under the same key.
    let wrong = json!({ "number": "x", "message": { "type": "text", "text": "hi" } });
    assert_eq!(
        api.post_once(&path, "order-18", &wrong).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        api.post_once(&path, "order-18", &body).await.status,
        StatusCode::ACCEPTED
    );
    assert_eq!(worker.accept().await.1.as_str(), "order-18");
    assert_eq!(
        api.broker
            .broker()
            .depth(&QueueName::Shard(ShardId::new(0).unwrap()))
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn a_session_that_is_paired_has_nothing_to_pair() {
    let api = TestApi::new().await;
    let token = api.session().await;
    api.set_session(
        &token,
        "state = 4, jid = '5531900000000@s.whatsapp.net', paired_at = now()",
    )
    .await;
    let path = format!("/v1/sessions/{token}/pairing-code");
    let refused = api.post(&path, &json!({ "phone": "5531900000001" })).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (StatusCode::CONFLICT, &json!("already_paired"))
    );
}

#[tokio::test]
async fn a_session_whose_worker_can_t_be_asked_stays() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    api.broker.broker().close().await;
    let path = format!("/v1/sessions/{token}");
    assert_eq!(api.delete(&path).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(api.get(&path).await.json()["deleting"], false);
}

#[tokio::test]
async fn what_belongs_to_a_token_s_new_session_is_found_at_once() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/queues");
    // Now this process believes that the token has this session; another process deletes it.
    assert_eq!(
        api.get(&format!("{path}/{}", uuid::Uuid::nil())).await.status,
        StatusCode::NOT_FOUND
    );
    api.app
        .tokens
        .session(api.database.store(), token.clone())
        .await
        .unwrap();
    api.database
        .query(&format!("DELETE FROM session WHERE token = '{token}'"))
        .await;
    let new = session_rows::create(api.database.store(), &token, 1)
        .await
        .unwrap();
    api.broker
        .broker()
        .bind_token(&token, new.into_record().shard)
        .await
        .unwrap();

    let id = "78e37ede-32d9-4636-83f0-39469daf89f6";
    let body =
        json!({ "numbers": ["5531900000001"], "queueId": id, "message": { "type": "text", "text": "hi" } });
    let (answered, _) = tokio::join!(api.post(&path, &body), worker.accept());
    assert_eq!(answered.status, StatusCode::ACCEPTED);
    // The same job again is no other job's.
    assert_eq!(api.post(&path, &body).await.status, StatusCode::ACCEPTED);
    assert_eq!(api.get(&format!("{path}/{id}")).await.status, StatusCode::OK);
    assert_eq!(api.get(&path).await.json()["items"][0]["queueId"], id);
}

#[tokio::test]
async fn a_queue_id_names_one_queue_of_all_sessions() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let (first, second) = (api.open_session().await, api.open_session().await);
    let id = "78e37ede-32d9-4636-83f0-39469daf89f7";
    let body =
        json!({ "queueId": id, "number": "5531900000001", "message": { "type": "text", "text": "hi" } });
    let path = format!("/v1/sessions/{first}/queues");
    let (answered, _) = tokio::join!(api.post(&path, &body), worker.accept());
    assert_eq!(answered.json()["queueId"], id);
    let refused = api.post(&format!("/v1/sessions/{second}/queues"), &body).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (StatusCode::CONFLICT, &json!("job_id_reused"))
    );
    let told = refused.json()["detail"].to_string();
    assert!(
        told.contains("another session") && told.contains("queueId"),
        "{told}"
    );
}
