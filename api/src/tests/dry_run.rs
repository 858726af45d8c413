//! What a send would do, and what recipients with variables are refused for.

use serde_json::json;
use shared::job::Delay;

use super::*;

fn body(numbers: &Value) -> Value {
    json!({ "numbers": numbers, "message": { "type": "text", "text": "Hi {{name|there}}, {{code}}" },
        "delay": { "min": 10, "max": 30 } })
}

fn numbers() -> Value {
    json!([
        { "number": "15551230001", "variables": { "name": "Ana", "code": 7 } },
        "12",
        { "number": "15551230002", "reference": "17", "variables": { "name": "", "code": "x" } },
        { "number": "+1 555 123 0001", "variables": { "code": "y" } },
    ])
}

/// Makes a queue, which its worker has stored then.
async fn queue(worker: &mut Worker<'_>, token: &Token, body: &Value) -> String {
    let (api, path) = (worker.api, format!("/v1/sessions/{token}/queues"));
    let (made, _) = tokio::join!(api.post(&path, body), worker.accept());
    made.json()["queueId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn it_is_told_who_would_get_what_and_when_and_nothing_is_sent() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/messages/dry-run");
    let told = api.post(&path, &body(&numbers())).await;
    assert_eq!(told.status, StatusCode::OK, "{told:?}");
    let told = told.json();
    let text = |text: &str| json!({ "type": "text", "text": text });
    assert_eq!(
        told["first"],
        json!([
            { "number": "15551230001", "message": text("Hi Ana, 7") },
            { "number": "15551230002", "message": text("Hi there, x") },
        ])
    );
    assert_eq!(
        (
            &told["recipients"],
            &told["invalidCount"],
            &told["duplicatesCount"]
        ),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(
        (&told["invalid"][0]["place"], &told["invalid"][0]["value"]),
        (&json!(1), &json!("12"))
    );
    assert_eq!(
        told["duplicates"],
        json!([{ "place": 3, "number": "15551230001", "of": 0 }])
    );
    assert_eq!(told["takesSeconds"], json!({ "least": 10, "most": 30 }));
    assert_eq!(
        api.get(&format!("/v1/sessions/{token}/queues")).await.json()["items"],
        json!([])
    );
    let unknown = api
        .post("/v1/sessions/nobody/messages/dry-run", &body(&numbers()))
        .await;
    assert_eq!(unknown.json()["code"], "session_not_found");
}

#[tokio::test]
async fn the_end_waits_for_the_queues_before_it_and_for_its_start() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let mut worker = api.worker().await;
    // Ten to go, of which two may go before the two of the dry run have gone; and one of another pace.
    let many: Vec<String> = (0..10).map(|n| format!("155512310{n:02}")).collect();
    let text = json!({ "type": "text", "text": "hi" });
    let delay = Delay::new(100.0, 200.0).unwrap();
    for numbers in [json!(many), json!(["15551230009"])] {
        let body = json!({ "numbers": numbers, "message": text, "delay": delay });
        queue(&mut worker, &token, &body).await;
    }
    let two = json!({ "numbers": ["15551230001", "15551230002"], "message": text });
    let path = format!("/v1/sessions/{token}/messages/dry-run");
    let told = api.post(&path, &two).await.json();
    // Its own gap is that of MIN and MAX.
    assert_eq!(
        told["takesSeconds"],
        json!({ "least": 310, "most": 630 }),
        "{told}"
    );
    // A single message overtakes those to many.
    let mut one = two.clone();
    one["numbers"] = json!("15551230001");
    let told = api.post(&path, &one).await.json();
    assert_eq!(
        told["takesSeconds"],
        json!({ "least": 100, "most": 200 }),
        "{told}"
    );
    let mut later = two;
    later["startAt"] = "2999-01-01T00:00:00Z".into();
    let refused = api.post(&path, &later).await;
    assert_eq!(
        (refused.status, &refused.json()["errors"][0]["field"]),
        (StatusCode::BAD_REQUEST, &json!("startAt"))
    );
}

#[tokio::test]
async fn a_missing_variable_is_refused_with_its_place_at_every_door() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let numbers = json!([{ "number": "15551230001", "variables": { "code": "x" } }, "15551230002"]);
    let field = |answered: &Answered| answered.json()["errors"][0]["field"].clone();
    let queues = format!("/v1/sessions/{token}/queues");
    let refused = api.post(&queues, &body(&numbers)).await;
    assert_eq!(
        (refused.status, field(&refused)),
        (StatusCode::BAD_REQUEST, json!("numbers[1].variables.code"))
    );
    let mut schedule = json!({ "id": "x", "cron": "0 9 * * *" });
    schedule["send"] = body(&numbers);
    let refused = api
        .post(&format!("/v1/sessions/{token}/schedules"), &schedule)
        .await;
    assert_eq!(field(&refused), "send.numbers[1].variables.code");
    let older = |text: &str| json!({ "token": token, "number": numbers, "text": text });
    let refused = api.post("/api/whatsapp/send-text", &older("{{code}}")).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused.json().to_string().contains("number[1].variables.code"),
        "{refused:?}"
    );
    let taken = api.post("/api/whatsapp/send-text", &older("{{code|none}}")).await;
    assert_eq!(taken.status, StatusCode::OK, "{taken:?}");
    let one = json!({ "token": token, "number": numbers[0], "text": "Code {{code}}" });
    let taken = api.post("/api/whatsapp/send-text", &one).await.json();
    assert_eq!(
        taken["data"]["message"]["extendedTextMessage"]["text"], "Code x",
        "{taken}"
    );
    // Without variables a text of the older API goes out as it is.
    let plain = json!({ "token": token, "number": "15551230001", "text": "{{ code" });
    let taken = api.post("/api/whatsapp/send-text", &plain).await.json();
    assert_eq!(
        taken["data"]["message"]["extendedTextMessage"]["text"], "{{ code",
        "{taken}"
    );
}

#[tokio::test]
async fn variables_are_shown_with_their_recipients() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let entry = json!({ "number": "15551230001", "variables": { "code": 7 } });
    let mut worker = api.worker().await;
    let body = body(&json!([entry, { "number": "15551230002", "variables": { "code": "a,b" } }]));
    let queue = queue(&mut worker, &token, &body).await;
    let path = format!("/v1/sessions/{token}/queues/{queue}/recipients");
    let shown = api.get(&path).await.json();
    assert_eq!(shown["items"][0]["variables"], json!({ "code": "7" }));
    let sheet = api.get(&format!("{path}.csv")).await;
    let sheet = String::from_utf8(sheet.bytes).unwrap();
    assert!(
        sheet
            .lines()
            .nth(2)
            .unwrap()
            .ends_with(r#","{""code"":""a,b""}""#),
        "{sheet}"
    );
}
