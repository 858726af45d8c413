//! Webhooks over `/v1`.

use serde_json::json;
use shared::id::WebhookId;
use shared::store::deliveries::{self, Attempted, Fate, NewDelivery};

use super::*;

#[tokio::test]
async fn a_webhook_shows_its_secret_once() {
    let api = TestApi::new().await;
    let body = json!({ "url": "https://example.com/hook", "events": ["send.message:*", "paused.queue"], "token": "shop" });
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

#[tokio::test]
async fn deliveries_are_listed_by_state_and_replayed() {
    let api = TestApi::new().await;
    let id = api
        .post("/v1/webhooks", &json!({ "url": "https://example.com/" }))
        .await
        .json()["id"]
        .clone();
    let webhook: WebhookId = id.as_str().unwrap().parse().unwrap();
    let mut events = Vec::new();
    for fate in [Fate::Retry(Duration::from_secs(60)), Fate::Dead] {
        let event_id = shared::testing::event_id();
        let new = NewDelivery {
            id: shared::id::DeliveryId::new(uuid::Uuid::now_v7()),
            webhook,
            event_id,
            token: testing::token(),
            event: "paused.queue".to_owned(),
            body: "{}".to_owned(),
            attempted: Some(Attempted {
                status: Some(500),
                error: Some("answered an error"),
                took_ms: 5,
            }),
            fate,
            lease: None,
        };
        deliveries::insert(api.database.store(), &new)
            .await
            .unwrap()
            .unwrap();
        assert!(
            deliveries::insert(api.database.store(), &new)
                .await
                .unwrap()
                .is_none(),
            "twice is once"
        );
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
