//! Webhooks over `/v1`.

use serde_json::json;
use shared::id::{DeliveryId, WebhookId};
use shared::store::deliveries::{self, Attempted, Fate, NewDelivery};
use shared::store::webhooks as webhook_rows;

use super::*;

#[tokio::test]
async fn a_webhook_shows_its_secret_once() {
    let api = TestApi::new().await;
    let token = api.session().await;
    let body = json!({ "url": "https://example.com/hook", "events": ["send.message:*", "paused.queue"], "token": token });
    let created = api.post("/v1/webhooks", &body).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let webhook = created.json();
    assert!(webhook["secret"].as_str().unwrap().starts_with("whsec_"));
    let path = format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap());
    assert_eq!(created.headers["location"], path);

    let shown = api.get(&path).await.json();
    assert_eq!(
        (&shown["secret"], &shown["events"]),
        (&Value::Null, &body["events"])
    );
    assert_eq!(api.get("/v1/webhooks").await.json()["items"], json!([shown]));
    let stored = api
        .database
        .query("SELECT encode(secret, 'escape') FROM webhook")
        .await;
    assert!(!stored[0].as_ref().unwrap().contains("whsec_"), "sealed at rest");

    assert_eq!(api.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(api.delete(&path).await.json()["code"], "webhook_not_found");
}

#[tokio::test]
async fn a_secret_of_the_client_is_kept() {
    let api = TestApi::new().await;
    let secret = format!("whsec_{}", STANDARD.encode([7_u8; 24]));
    let created = api
        .post(
            "/v1/webhooks",
            &json!({ "url": "https://example.com/", "secret": secret }),
        )
        .await;
    assert_eq!(created.json()["secret"], secret.as_str());
}

#[tokio::test]
async fn an_answer_that_was_kept_says_where_the_webhook_is() {
    let api = TestApi::new().await;
    let body = json!({ "url": "https://example.com/" });
    let first = api.post_once("/v1/webhooks", "once", &body).await;
    let again = api.post_once("/v1/webhooks", "once", &body).await;
    assert_eq!((first.status, &first.bytes), (again.status, &again.bytes));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(first.headers["location"], again.headers["location"]);
}

impl TestApi {
    async fn webhook(&self) -> WebhookId {
        let created = self
            .post("/v1/webhooks", &json!({ "url": "https://example.com/" }))
            .await;
        created.json()["id"].as_str().unwrap().parse().unwrap()
    }

    async fn change(&self, webhook: WebhookId, body: &Value) -> Answered {
        let path = format!("/v1/webhooks/{webhook}");
        self.send(Method::PATCH, &path, body.to_string()).await
    }

    /// A delivery whose first attempt is over; its id.
    async fn delivery(&self, webhook: WebhookId, change: impl FnOnce(&mut NewDelivery)) -> DeliveryId {
        let mut new = NewDelivery {
            id: DeliveryId::new(uuid::Uuid::now_v7()),
            webhook,
            event_id: shared::testing::event_id(),
            token: testing::token(),
            event: "paused.queue".to_owned(),
            sequence: 1,
            body: "{}".to_owned(),
            attempted: Some(Attempted {
                status: Some(500),
                error: Some("answered an error"),
                took_ms: 5,
                answer: None,
            }),
            fate: Fate::Dead,
            lease: None,
            trace: None,
        };
        change(&mut new);
        let stored = deliveries::insert(self.database.store(), &new).await.unwrap();
        let again = deliveries::insert(self.database.store(), &new).await.unwrap();
        assert!(again.is_none(), "twice is once");
        stored.unwrap().id
    }
}

fn field(answered: &Answered) -> Value {
    answered.json()["errors"][0]["field"].clone()
}

#[tokio::test]
async fn a_webhook_of_nobody_or_for_nothing_is_refused() {
    let api = TestApi::new().await;
    let own = api.session().await;
    let hook = |more: Value| {
        let mut body = json!({ "url": "https://example.com/" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    for (body, status, at) in [
        (json!({ "token": "nobody" }), 404, "token"),
        (json!({ "tokens": [own, "nobody"] }), 404, "tokens[1]"),
        (json!({ "tokens": [] }), 400, "tokens"),
        (json!({ "tokens": [own], "token": own }), 400, "tokens"),
        (json!({ "events": [] }), 400, "events"),
        (json!({ "headers": { "Host": "x" } }), 400, "headers.Host"),
        (
            json!({ "headers": { "Webhook-Id": "x" } }),
            400,
            "headers.Webhook-Id",
        ),
        (json!({ "headers": { "a b": "x" } }), 400, "headers.a b"),
        (json!({ "headers": { "x": "a\nb" } }), 400, "headers.x"),
        (json!({ "maxPerSecond": 1001 }), 400, "maxPerSecond"),
        (json!({ "maxConcurrent": 17 }), 400, "maxConcurrent"),
    ] {
        let answered = api.post("/v1/webhooks", &hook(body.clone())).await;
        assert_eq!(
            (answered.status.as_u16(), field(&answered)),
            (status, json!(at)),
            "{body}"
        );
    }
    let refused = api
        .post("/v1/webhooks", &hook(json!({ "events": [] })))
        .await
        .json();
    let problem = refused["errors"][0]["problem"].as_str().unwrap();
    for name in shared::event::EventName::ALL {
        assert!(problem.contains(name.as_str()), "{problem}");
    }
    let all = api.get("/v1/webhooks").await.json();
    assert_eq!(all["items"], json!([]), "nothing was registered");
}

#[tokio::test]
async fn a_replay_at_a_disabled_webhook_is_refused() {
    let api = TestApi::new().await;
    let webhook = api.webhook().await;
    let id = api.delivery(webhook, |_| ()).await;
    webhook_rows::disable(api.database.store(), webhook, "it answered 410 Gone")
        .await
        .unwrap();
    let path = format!("/v1/webhooks/{webhook}/deliveries/{id}/replay");
    let refused = api.post(&path, &json!({})).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (StatusCode::CONFLICT, &json!("webhook_disabled"))
    );
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("it answered 410 Gone"), "{detail}");
    let enabled = api.change(webhook, &json!({ "enabled": true })).await;
    assert_eq!(
        (&enabled.json()["enabled"], &enabled.json()["disabledWhy"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(api.post(&path, &json!({})).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_webhook_is_changed_field_by_field() {
    let api = TestApi::new().await;
    let (one, two) = (api.session().await, api.session().await);
    let webhook = api.webhook().await;
    let changed = api
        .change(
            webhook,
            &json!({
                "url": "https://example.org/other", "tokens": [one, two, one], "events": ["new.message"],
                "headers": { "Authorization": "Bearer hunter2" }, "maxPerSecond": 2.5, "maxConcurrent": 3,
            }),
        )
        .await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    let shown = changed.json();
    assert_eq!(shown["url"], "https://example.org/other");
    assert_eq!(
        (&shown["token"], &shown["tokens"]),
        (&Value::Null, &json!([one, two]))
    );
    assert_eq!(shown["events"], json!(["new.message"]));
    assert_eq!(shown["headerNames"], json!(["authorization"]));
    assert_eq!(
        (&shown["maxPerSecond"], &shown["maxConcurrent"]),
        (&json!(2.5), &json!(3))
    );
    assert!(!shown.to_string().contains("hunter2"), "{shown}");
    assert_eq!(shown["secret"], Value::Null);

    let back = json!({ "tokens": null, "events": null, "headers": null, "maxPerSecond": null, "maxConcurrent": null });
    let shown = api.change(webhook, &back).await.json();
    assert_eq!((&shown["tokens"], &shown["events"]), (&json!([]), &json!(["*"])));
    assert_eq!(
        (&shown["headerNames"], &shown["maxPerSecond"]),
        (&json!([]), &Value::Null)
    );
    assert_eq!(
        shown["url"], "https://example.org/other",
        "what is not named stays"
    );

    let off = api.change(webhook, &json!({ "enabled": false })).await.json();
    assert_eq!(
        (&off["enabled"], &off["disabledWhy"]),
        (&json!(false), &json!("somebody disabled it"))
    );
    for (body, at) in [
        (json!({ "events": [] }), "events"),
        (json!({ "url": "http://127.0.0.1/" }), "url"),
        (json!({ "url": null }), "url"),
        (json!({ "oldSecretSeconds": 5 }), "oldSecretSeconds"),
        (
            json!({ "secret": "rotate", "oldSecretSeconds": 99_999_999 }),
            "oldSecretSeconds",
        ),
        (json!({ "secret": "hunter2" }), "secret"),
        (json!({ "colour": "red" }), "colour"),
    ] {
        let refused = api.change(webhook, &body).await;
        assert_eq!(
            (refused.status, field(&refused)),
            (StatusCode::BAD_REQUEST, json!(at)),
            "{body}"
        );
    }
    let nobody = api
        .change(shared::testing::webhook_id(), &json!({ "enabled": true }))
        .await;
    assert_eq!(nobody.json()["code"], "webhook_not_found");
}

#[tokio::test]
async fn a_secret_is_rotated_and_shown_once() {
    let api = TestApi::new().await;
    let webhook = api.webhook().await;
    let rotated = api.change(webhook, &json!({ "secret": "rotate" })).await.json();
    assert!(rotated["secret"].as_str().unwrap().starts_with("whsec_"));
    assert!(rotated["oldSecretUntil"].is_string());
    let shown = api.get(&format!("/v1/webhooks/{webhook}")).await.json();
    assert_eq!(
        (&shown["secret"], &shown["oldSecretUntil"]),
        (&Value::Null, &rotated["oldSecretUntil"])
    );
    let at_once = json!({ "secret": "rotate", "oldSecretSeconds": 0 });
    assert_eq!(
        api.change(webhook, &at_once).await.json()["oldSecretUntil"],
        Value::Null
    );
}

#[tokio::test]
async fn deliveries_are_listed_by_state_and_replayed() {
    let api = TestApi::new().await;
    let webhook = api.webhook().await;
    let mut events = Vec::new();
    for fate in [Fate::Retry(Duration::from_secs(60)), Fate::Dead] {
        let event_id = shared::testing::event_id();
        api.delivery(webhook, |new| {
            new.fate = fate;
            new.event_id = event_id;
        })
        .await;
        events.push(event_id.to_string());
    }
    let path = format!("/v1/webhooks/{webhook}/deliveries");
    assert_eq!(api.get(&path).await.json()["items"].as_array().unwrap().len(), 2);
    let dead = api.get(&format!("{path}?state=dead")).await.json();
    assert_eq!(dead["items"].as_array().unwrap().len(), 1);
    let dead = &dead["items"][0];
    assert_eq!(
        (&dead["eventId"], &dead["lastStatus"]),
        (&json!(events[1]), &json!(500))
    );
    assert_eq!(
        (&dead["history"][0]["status"], &dead["history"][0]["ms"]),
        (&json!(500), &json!(5))
    );

    let replay = format!("{path}/{}/replay", dead["id"].as_str().unwrap());
    let replayed = api.post(&replay, &json!({})).await;
    assert_eq!(replayed.status, StatusCode::ACCEPTED);
    assert_eq!(
        (&replayed.json()["state"], &replayed.json()["attempts"]),
        (&json!("pending"), &json!(0))
    );
    let due = deliveries::lease_due(api.database.store(), 10, 10, &[], Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].event_id.to_string(), events[1]);
    let nobody = format!("{path}/{}/replay", shared::testing::event_id());
    assert_eq!(
        api.post(&nobody, &json!({})).await.json()["code"],
        "delivery_not_found"
    );
}

#[tokio::test]
async fn a_test_is_answered_with_what_came_back() {
    let api = TestApi::new().await;
    let webhook = api.webhook().await;
    let store = api.database.store();
    let worker = async {
        let leased = loop {
            let due = deliveries::lease_due(store, 1, 1, &[], Duration::from_secs(60)).await;
            match due.unwrap().pop() {
                Some(leased) => break leased,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let attempted = Attempted {
            status: Some(422),
            error: Some("answered an error"),
            took_ms: 12,
            answer: Some("no such user".to_owned()),
        };
        deliveries::finish_attempt(store, &leased, &attempted, Fate::Dead)
            .await
            .unwrap();
        leased
    };
    let path = format!("/v1/webhooks/{webhook}/test");
    let (answered, leased) = tokio::join!(api.send(Method::POST, &path, ""), worker);
    assert_eq!(answered.status, StatusCode::OK);
    let shown = answered.json();
    assert_eq!(
        (&shown["event"], &shown["state"]),
        (&json!("webhook.test"), &json!("dead"))
    );
    assert_eq!(
        (&shown["lastStatus"], &shown["answer"]),
        (&json!(422), &json!("no such user"))
    );
    assert_eq!(shown["history"][0]["ms"], 12);
    let body: Value = serde_json::from_str(&leased.body).unwrap();
    assert_eq!(
        (&body["event"], &body["id"]),
        (&json!("webhook.test"), &shown["eventId"])
    );
    let place = answered.headers["location"].to_str().unwrap();
    assert_eq!(api.get(place).await.json(), shown);

    api.change(webhook, &json!({ "enabled": false })).await;
    let refused = api.send(Method::POST, &path, "").await;
    assert_eq!(refused.json()["code"], "webhook_disabled");
}

#[tokio::test]
async fn deliveries_are_listed_and_made_again_by_filter() {
    let api = TestApi::new().await;
    let webhook = api.webhook().await;
    let (own, other) = (testing::token(), testing::token());
    for (token, event) in [
        (&own, "paused.queue"),
        (&own, "send.message:START"),
        (&other, "paused.queue"),
    ] {
        api.delivery(webhook, |new| {
            new.token = token.clone();
            new.event = event.to_owned();
        })
        .await;
    }
    let path = format!("/v1/webhooks/{webhook}/deliveries");
    let count = async |query: &str| {
        let page = api.get(&format!("{path}?{query}")).await.json();
        page["items"].as_array().unwrap().len()
    };
    let (past, future) = ("2020-01-01T00:00:00Z", "2999-01-01T00:00:00%2B01:00");
    assert_eq!(count(&format!("token={own}")).await, 2);
    assert_eq!(count("event=paused.queue").await, 2);
    assert_eq!(count(&format!("event=send.*&token={other}")).await, 0);
    assert_eq!(count(&format!("since={past}&until={future}")).await, 3);
    assert_eq!(count(&format!("since={future}")).await, 0);
    assert_eq!(count(&format!("until={past}&state=dead")).await, 0);
    assert_eq!(
        count("since=9999-12-31T23:59:59Z&until=0000-01-01T00:00:00Z").await,
        0
    );
    for (query, at) in [
        ("since=yesterday", "since"),
        ("event=a%00b", "event"),
        ("state=x", "state"),
    ] {
        assert_eq!(field(&api.get(&format!("{path}?{query}")).await), at, "{query}");
    }

    let replay = format!("{path}/replay");
    let first = api.post(&replay, &json!({ "token": own, "limit": 1 })).await;
    assert_eq!(
        (first.status, &first.json()["replayed"]),
        (StatusCode::ACCEPTED, &json!(1))
    );
    let next = json!({ "token": own, "limit": 2, "cursor": first.json()["next"] });
    let last = api.post(&replay, &next).await.json();
    assert_eq!(last, json!({ "replayed": 1, "next": null }));
    assert_eq!(count("state=pending").await, 2);
    for (body, at) in [
        (json!({ "limit": 0 }), "limit"),
        (json!({ "cursor": "x" }), "cursor"),
        (json!({ "until": "x" }), "until"),
        (json!({ "colour": "red" }), "colour"),
    ] {
        assert_eq!(field(&api.post(&replay, &body).await), at, "{body}");
    }
    api.change(webhook, &json!({ "enabled": false })).await;
    let refused = api.post(&replay, &json!({})).await;
    assert_eq!(refused.json()["code"], "webhook_disabled");
    assert_eq!(count("state=dead").await, 1);
}
