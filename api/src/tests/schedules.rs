//! Schedules at both doors. What fires them is the workers'.

use serde_json::json;

use super::*;

fn body(id: &str, timing: &Value) -> Value {
    let mut body =
        json!({ "id": id, "send": { "number": "15551230001", "message": { "type": "text", "text": "Hi" } } });
    for (name, value) in timing.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn a_schedule_is_made_shown_with_its_next_firings_and_deleted() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/schedules");
    let daily = body(
        "daily",
        &json!({ "cron": "0 9 * * *", "timezone": "Europe/Berlin" }),
    );
    let made = api.post(&path, &daily).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let next = made.json()["next"].as_array().unwrap().clone();
    assert_eq!(next.len(), 5);
    assert!(next.is_sorted_by_key(|at| at.as_str().unwrap().to_owned()));
    assert_eq!(api.post(&path, &daily).await.status, StatusCode::OK);
    let other = api
        .post(&path, &body("daily", &json!({ "cron": "0 8 * * *" })))
        .await;
    assert_eq!(
        (other.status, &other.json()["code"]),
        (StatusCode::CONFLICT, &json!("schedule_taken"))
    );
    assert_eq!(api.get(&path).await.json()["items"], json!([made.json()]));
    let one = format!("{path}/daily");
    assert_eq!(api.get(&one).await.json(), made.json());
    assert_eq!(api.delete(&one).await.status, StatusCode::NO_CONTENT);
    assert_eq!(api.delete(&one).await.json()["code"], "schedule_not_found");
    assert_eq!(api.get(&one).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_can_not_be_scheduled_is_refused_by_its_field() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/schedules");
    for (timing, field) in [
        (json!({}), "cron"),
        (json!({ "cron": "0 0 30 2 *" }), "cron"),
        (
            json!({ "cron": "0 0 * * *", "timezone": "Mars/Olympus" }),
            "timezone",
        ),
        (json!({ "cron": "0 0 * * *", "at": 1 }), "at"),
        (json!({ "at": "2020-01-01T00:00:00Z" }), "at"),
        (json!({ "at": "tomorrow" }), "at"),
        (json!({ "cron": "0 0 * * *", "misfire": "perhaps" }), "misfire"),
        (
            json!({ "cron": "0 0 * * *", "send": { "message": { "type": "text", "text": "Hi" } } }),
            "send.numbers",
        ),
        (
            json!({ "cron": "0 0 * * *", "send": { "queueId": "x" } }),
            "send.queueId",
        ),
    ] {
        let refused = api.post(&path, &body("x", &timing)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{timing} {refused:?}");
        assert_eq!(
            refused.json()["errors"][0]["field"],
            field,
            "{timing} {refused:?}"
        );
    }
    assert_eq!(api.get(&path).await.json()["items"], json!([]));
}

#[tokio::test]
async fn the_older_scheduler_answers_as_its_document_says() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let at = async |path: &str, body: Value| {
        let answered = api.post(&format!("/api/whatsapp/scheduler{path}"), &body).await;
        (answered.status.as_u16(), answered.json())
    };
    let (status, none) = at("", json!({ "token": token })).await;
    assert_eq!(
        (status, &none["status"], &none["message"]),
        (404, &json!(false), &json!("Not Found"))
    );
    let data = json!({ "number": ["15551230001", "15551230002@s.whatsapp.net"], "text": "Pesan otomatis" });
    let written = |id: i32| json!({ "id": id, "type": "sendText", "data": data, "time": "05 12 * * *" });
    let add = |id: i32| {
        let mut body = written(id);
        body["token"] = json!(token);
        body
    };
    assert_eq!(
        at("/add-scheduler", add(1)).await,
        (200, json!({ "status": true, "data": [written(1)] }))
    );
    assert_eq!(
        at("/add-scheduler", add(2)).await,
        (200, json!({ "status": true, "data": [written(1), written(2)] }))
    );
    let (status, twice) = at("/add-scheduler", add(1)).await;
    assert_eq!(
        (status, &twice["status"], &twice["error"]),
        (409, &json!(false), &json!("Duplicate ID: 1"))
    );
    assert_eq!(
        at("", json!({ "token": token })).await,
        (200, json!({ "status": true, "data": [written(1), written(2)] }))
    );
    let stop = json!({ "id": 1, "token": token });
    let stopped = json!({ "status": true, "message": "Scheduler ID: 1 has been stopped" });
    assert_eq!(at("/stop-scheduler", stop.clone()).await, (200, stopped));
    let (status, gone) = at("/stop-scheduler", stop).await;
    assert_eq!(
        (status, &gone["status"], &gone["message"]),
        (404, &json!(false), &json!("ID: 1 Not Found"))
    );
    for (name, value, field) in [
        ("type", json!("sendSmoke"), "type"),
        ("time", json!("every day"), "time"),
        ("timezone", json!("Nowhere"), "timezone"),
        ("data", json!({ "number": "15551230001" }), "data.text"),
        ("data", json!({ "number": "12", "text": "Hi" }), "data.number"),
    ] {
        let mut body = add(3);
        body[name] = value;
        let (status, refused) = at("/add-scheduler", body).await;
        assert_eq!(
            (status, &refused["error"]["field"]),
            (400, &json!(field)),
            "{refused}"
        );
    }
    let (status, nobody) = at("", json!({ "token": "nobody" })).await;
    assert_eq!(
        (status, &nobody["error"]["code"]),
        (404, &json!("session_not_found"))
    );
}

/// Schedules what a type's route takes.
async fn add(api: &TestApi, token: &Token, (kind, data): (&str, &Value)) -> (StatusCode, Value) {
    let body = json!({ "id": kind, "token": token, "type": kind, "data": data, "time": "05 12 * * *" });
    let answered = api.post("/api/whatsapp/scheduler/add-scheduler", &body).await;
    (answered.status, answered.json())
}

#[tokio::test]
async fn the_older_scheduler_takes_the_bodies_of_its_routes() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let (url, yes) = (
        json!("https://example.com/a"),
        json!({ "displayText": "Yes", "id": null }),
    );
    let list = json!([{ "title": "Warm", "rows": [{ "title": "Soup", "rowId": "soup" }] }]);
    let bodies = [
        (
            "sendMedia",
            json!({ "type": "pdf", "url": url, "fileName": null }),
            "document",
        ),
        (
            "sendButtonMessage",
            json!({ "message": "?", "button": [yes], "image": "" }),
            "buttons",
        ),
        (
            "sendTemplateMessage",
            json!({ "text": "?", "button": [{ "displayText": "See", "url": url }] }),
            "template",
        ),
        (
            "sendListMessage",
            json!({ "text": "?", "title": "Menu", "buttonText": "Choose", "list": list }),
            "list",
        ),
    ];
    for (kind, mut data, sent) in bodies {
        data["number"] = json!("15551230001");
        let (status, added) = add(&api, &token, (kind, &data)).await;
        assert_eq!(status, StatusCode::OK, "{kind} {added}");
        let made = api.get(&format!("/v1/sessions/{token}/schedules/{kind}")).await;
        assert_eq!(made.json()["send"]["message"]["type"], sent, "{made:?}");
    }
}

#[tokio::test]
async fn the_older_scheduler_names_the_fields_of_its_routes() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let (url, yes) = (json!("https://example.com/a"), json!({ "displayText": "Yes" }));
    let number = "15551230001";
    for (kind, data, field) in [
        (
            "sendMedia",
            json!({ "number": number, "type": "poem", "url": url }),
            "data.type",
        ),
        (
            "sendMedia",
            json!({ "number": number, "type": "pdf", "url": "ftp://a" }),
            "data.url",
        ),
        (
            "sendButtonMessage",
            json!({ "number": number, "message": "?", "button": [] }),
            "data.button",
        ),
        (
            "sendButtonMessage",
            json!({ "number": number, "message": "", "button": [yes] }),
            "data.message",
        ),
        ("sendListMessage", json!({ "number": number }), "data.list"),
    ] {
        let (status, refused) = add(&api, &token, (kind, &data)).await;
        assert_eq!(
            (status, &refused["error"]["field"]),
            (StatusCode::BAD_REQUEST, &json!(field)),
            "{refused}"
        );
    }
}
