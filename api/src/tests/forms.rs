//! A message and its file in one form: stored and sent, or refused by the field with nothing kept.

use axum::http::header::CONTENT_TYPE;
use serde_json::json;

use super::*;

/// A form of these parts: their heads behind `form-data`, and what they say.
fn form(parts: &[(&str, &str)]) -> String {
    let part = |(head, text): &(&str, &str)| {
        format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n")
    };
    let parts: String = parts.iter().map(part).collect();
    format!("{parts}--x--\r\n")
}

const FILE: &str = "name=\"file\"; filename=\"prices.csv\"\r\nContent-Type: text/csv";
const BODY: &str = "name=\"body\"\r\nContent-Type: application/json";

impl TestApi {
    async fn form(&self, path: &str, key: Option<&str>, form: String) -> Answered {
        let mut request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
            .header(CONTENT_TYPE, "multipart/form-data; boundary=x");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.request(request.body(form.into()).unwrap()).await
    }

    async fn kept(&self) -> usize {
        self.database.query("SELECT id::text FROM media").await.len()
    }
}

#[tokio::test]
async fn the_file_of_a_form_is_stored_and_sent_by_its_id() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.session().await;
    let body = json!({ "number": "5531900000001", "message": { "type": "document" } }).to_string();
    let path = format!("/v1/sessions/{token}/messages");
    for parts in [[(BODY, &*body), (FILE, "a,b")], [(FILE, "a,b"), (BODY, &*body)]] {
        let answered = api.form(&path, None, form(&parts)).await;
        assert_eq!(answered.status, StatusCode::ACCEPTED, "{answered:?}");
        let (job, _) = worker.accept().await;
        let sent = &serde_json::to_value(&job).unwrap()["message"];
        assert_eq!(sent["fileName"], "prices.csv");
        let stored = api
            .get(&format!("/v1/media/{}", sent["media"]["id"].as_str().unwrap()))
            .await
            .json();
        assert_eq!(
            (&stored["mimetype"], &stored["length"]),
            (&json!("text/csv"), &json!(3))
        );
    }
    let above = json!({ "token": token, "number": "5531900000001", "message": { "type": "buttons", "text": "?",
        "buttons": [{ "displayText": "a" }], "header": { "type": "image" } } });
    let answered = api
        .form(
            "/v1/messages",
            None,
            form(&[(BODY, &above.to_string()), (FILE, "x")]),
        )
        .await;
    assert_eq!(answered.status, StatusCode::ACCEPTED, "{answered:?}");
    let (job, _) = worker.accept().await;
    assert!(serde_json::to_value(&job).unwrap()["message"]["header"]["media"]["id"].is_string());
}

#[tokio::test]
async fn a_form_that_is_refused_names_its_field_and_keeps_nothing() {
    let api = TestApi::new().await;
    let token = api.session().await;
    let path = format!("/v1/sessions/{token}/messages");
    let body = json!({ "number": "5531900000001", "message": { "type": "image" } }).to_string();
    let own = json!({ "number": "5531900000001", "message": { "type": "image", "media": { "url": "https://example.com" } } });
    let wrong = json!({ "number": "5531900000001", "message": { "type": "image", "caption": 7 } });
    let many = json!({ "numbers": ["5531900000001", "5531900000002"], "message": { "type": "image" } });
    for (parts, field) in [
        (vec![(BODY, &*body)], "file"),
        (vec![(FILE, "a")], "body"),
        (vec![(BODY, &*body), (FILE, "")], "file"),
        (vec![(BODY, &*body), (BODY, &*body), (FILE, "a")], "body"),
        (vec![(FILE, "a"), (FILE, "b"), (BODY, &*body)], "file"),
        (vec![(FILE, "a"), ("name=\"other\"", "b")], "body"),
        (vec![(FILE, "a"), (BODY, r#"{"number":"1"}"#)], "message"),
        (vec![(FILE, "a"), (BODY, &*own.to_string())], "message.media"),
        (vec![(FILE, "a"), (BODY, &*wrong.to_string())], "message.caption"),
        (vec![(FILE, "a"), (BODY, &*many.to_string())], "numbers"),
    ] {
        let answered = api.form(&path, None, form(&parts)).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{answered:?}");
        assert_eq!(answered.json()["errors"][0]["field"], field, "{answered:?}");
    }
    let broken = api.form(&path, None, form(&[(FILE, "a"), (BODY, "{")])).await;
    assert_eq!(broken.json()["code"], "malformed_body");
    let nobody = api
        .form(
            "/v1/sessions/nobody/messages",
            None,
            form(&[(FILE, "a"), (BODY, &*body)]),
        )
        .await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    assert_eq!(api.kept().await, 0);
}

#[tokio::test]
async fn the_same_form_with_the_same_key_is_one_message_and_one_file() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.session().await;
    let path = format!("/v1/sessions/{token}/messages");
    let body = json!({ "number": "5531900000001", "message": { "type": "image" } }).to_string();
    let first = api
        .form(&path, Some("once"), form(&[(BODY, &*body), (FILE, "a")]))
        .await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{first:?}");
    worker.accept().await;
    let again = api
        .form(&path, Some("once"), form(&[(FILE, "a"), (BODY, &*body)]))
        .await;
    assert_eq!(again.json(), first.json());
    let other = api
        .form(&path, Some("once"), form(&[(BODY, &*body), (FILE, "b")]))
        .await;
    assert!(other.status.is_client_error(), "{other:?}");
    assert_eq!(api.kept().await, 1, "what is not sent is not kept");
}
