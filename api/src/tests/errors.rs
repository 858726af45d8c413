//! Every refusal, body for body, in both dialects.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::extract::MAX_BODY_BYTES;
use crate::jobs;
use crate::problem::Problem;
use axum::response::IntoResponse;
use shared::broker::{CallError, PublishError};
use shared::job::{FailureCode, RECIPIENTS_MAX};

const MESSAGES: &str = "/v1/messages";

/// Refusals by what was asked, with their statuses and headers that matter.
#[derive(Default)]
struct Book(BTreeMap<String, Value>);

impl Book {
    fn note(&mut self, what: &str, answered: &Answered) {
        let mut entry = json!({ "status": answered.status.as_u16(), "body": answered.json() });
        for name in ["allow", "content-type", "retry-after", "www-authenticate"] {
            if let Some(value) = answered.headers.get(name) {
                entry[name] = json!(value.to_str().unwrap());
            }
        }
        assert!(!answered.status.is_success(), "{what}: {answered:?}");
        assert!(self.0.insert(what.to_owned(), entry).is_none(), "{what} twice");
    }
}

fn text(token: &str, numbers: Value) -> Value {
    json!({ "token": token, "numbers": numbers, "message": { "type": "text", "text": "hi" } })
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

#[tokio::test]
async fn refusals_of_v1_are_problems() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let mut book = Book::default();

    for (what, body) in bad_messages(&token) {
        book.note(what, &api.post(MESSAGES, &body).await);
    }
    let queues = format!("/v1/sessions/{token}/queues");
    let mut many = vec![json!("5531900000001"); 3];
    many[2] = json!("12");
    let body = json!({ "numbers": many, "message": { "type": "text", "text": "hi" } });
    book.note("queue with a bad number", &api.post(&queues, &body).await);
    let many = vec!["5531900000001"; RECIPIENTS_MAX + 1];
    let body = json!({ "numbers": many, "message": { "type": "text", "text": "hi" } });
    book.note("queue of too many", &api.post(&queues, &body).await);
    let unknown = "00000000-0000-4000-8000-000000000000";
    let queues = queues.replace(token.as_str(), "nobody");
    book.note("queues of an unknown session", &api.get(&queues).await);
    refusals_of_form(&api, &mut book).await;
    book.note(
        "a method of nobody's",
        &api.send("BREW".parse().unwrap(), "/v1/sessions", "").await,
    );

    let queue = format!("/v1/sessions/{token}/queues/{unknown}");
    let answered = api.get(&queue).await;
    assert_eq!(
        (answered.status, &answered.json()["code"]),
        (StatusCode::NOT_FOUND, &json!("queue_not_found"))
    );
    insta::assert_json_snapshot!("v1", book.0);
}

#[tokio::test]
async fn an_unknown_type_of_message_is_told_the_known_ones() {
    let api = TestApi::new().await;
    let body = with(
        text("a", json!("5531900000001")),
        "message",
        json!({ "type": "smoke" }),
    );
    let answered = api.post(MESSAGES, &body).await;
    let problem = &answered.json()["errors"][0];
    assert_eq!(
        (answered.status, &problem["field"]),
        (StatusCode::BAD_REQUEST, &json!("message.type"))
    );
    assert!(
        problem["problem"].as_str().unwrap().contains("`text`"),
        "{problem}"
    );
}

fn bad_messages(token: &Token) -> Vec<(&'static str, Value)> {
    let good = text(token.as_str(), json!("5531900000001"));
    vec![
        ("message without token", json!({ "number": "5531900000001" })),
        (
            "message with a token of another form",
            with(good.clone(), "token", json!("a b")),
        ),
        (
            "message to nobody",
            json!({ "token": token, "message": { "type": "text", "text": "hi" } }),
        ),
        ("message to a bad number", text(token.as_str(), json!("abc"))),
        (
            "message to one device",
            text(token.as_str(), json!("5531900000001:2@s.whatsapp.net")),
        ),
        (
            "message to two",
            text(token.as_str(), json!(["5531900000001", "5531900000002"])),
        ),
        (
            "message without text",
            with(good.clone(), "message", json!({ "type": "text", "text": "" })),
        ),
        (
            "message with an unknown field",
            with(good.clone(), "colour", json!("red")),
        ),
        (
            "message for an unknown session",
            with(good.clone(), "token", json!("nobody")),
        ),
        (
            "delay out of order",
            with(good.clone(), "delay", json!({ "min": 2, "max": 1 })),
        ),
        (
            "delay below zero",
            with(good.clone(), "delay", json!({ "min": -1, "max": 1 })),
        ),
        (
            "delay of no number",
            with(good.clone(), "delay", json!({ "min": "1", "max": 2 })),
        ),
        (
            "delay of years",
            with(good.clone(), "delay", json!({ "min": 1, "max": 1e9 })),
        ),
    ]
}

/// What has nothing to do with any session.
async fn refusals_of_form(api: &TestApi, book: &mut Book) {
    book.note("no JSON", &api.send(Method::POST, MESSAGES, "{").await);
    book.note("an array", &api.send(Method::POST, MESSAGES, "[]").await);
    let huge = vec![b' '; MAX_BODY_BYTES + 1];
    book.note(
        "a body that is too large",
        &api.send(Method::POST, MESSAGES, huge).await,
    );
    let form = signed(Method::POST, MESSAGES).body(Body::from("a=b")).unwrap();
    let (mut parts, body) = form.into_parts();
    parts.headers.insert(
        "content-type",
        "application/x-www-form-urlencoded".parse().unwrap(),
    );
    book.note("a form", &api.request(Request::from_parts(parts, body)).await);
    book.note("a path that is not", &api.get("/v1/nothing").await);
    book.note("a method that is not", &api.delete("/v1/messages").await);
    book.note(
        "a queue id that is none",
        &api.get("/v1/sessions/a/queues/7").await,
    );
    book.note("a session that is not", &api.get("/v1/sessions/nobody").await);
    book.note(
        "a query string given twice",
        &api.get("/v1/sessions?limit=1&limit=2").await,
    );
    book.note("a path that is no text", &api.get("/v1/sessions/%FF").await);
    book.note("a limit out of range", &api.get("/v1/sessions?limit=0").await);
    book.note("a cursor of elsewhere", &api.get("/v1/sessions?cursor=!").await);
    book.note(
        "an idempotency key with a blank",
        &api.post_once(MESSAGES, "a b", &json!({ "token": "a" })).await,
    );
    book.note(
        "a QR code in another format",
        &api.get("/v1/sessions/a/qr?format=svg").await,
    );
    let nobody = Request::get("/v1/sessions").body(Body::empty()).unwrap();
    book.note("no key", &api.request(nobody).await);
    let wrong = Request::get("/v1/sessions")
        .header("authorization", "Bearer wrong")
        .body(Body::empty())
        .unwrap();
    book.note("a wrong key", &api.request(wrong).await);
    for (what, body) in [
        ("webhook without url", json!({})),
        ("webhook to loopback", json!({ "url": "http://127.0.0.1/" })),
        (
            "webhook of another scheme",
            json!({ "url": "ftp://example.com/" }),
        ),
        (
            "webhook with an unknown event",
            json!({ "url": "https://example.com/", "events": ["paused.queue", "x"] }),
        ),
        (
            "webhook with a weak secret",
            json!({ "url": "https://example.com/", "secret": "hunter2" }),
        ),
        (
            "webhook with an unknown field",
            json!({ "url": "https://example.com/", "colour": "red" }),
        ),
    ] {
        book.note(what, &api.post("/v1/webhooks", &body).await);
    }
}

#[tokio::test]
async fn refusals_of_the_older_api_have_its_shape() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let mut book = Book::default();
    let send = "/api/whatsapp/send-text";
    for (what, body) in bad_texts(&token) {
        book.note(what, &api.post(send, &body).await);
    }
    let many = vec!["5531900000001"; RECIPIENTS_MAX + 1];
    book.note(
        "send-text to too many",
        &api.post(send, &json!({ "token": token, "number": many, "text": "hi" }))
            .await,
    );
    book.note("no JSON", &api.send(Method::POST, send, "{").await);
    book.note(
        "a body that is too large",
        &api.send(Method::POST, send, vec![b' '; MAX_BODY_BYTES + 1]).await,
    );
    book.note(
        "a path that is not",
        &api.post("/api/whatsapp/nothing", &json!({})).await,
    );
    book.note("a method that is not", &api.get(send).await);
    let nobody = json!({ "token": "nobody" });
    book.note(
        "delete-credential of nobody",
        &api.post("/api/whatsapp/delete-credential", &nobody).await,
    );
    let bearer = Request::post(send).header("authorization", format!("Bearer {KEY}"));
    book.note(
        "a bearer key",
        &api.request(bearer.body(Body::empty()).unwrap()).await,
    );
    insta::assert_json_snapshot!("legacy", book.0);
}

fn bad_texts(token: &Token) -> Vec<(&'static str, Value)> {
    let good = json!({ "token": token, "number": "5531900000001", "text": "hi" });
    let long = "x".repeat(65_537);
    vec![
        (
            "send-text without token",
            json!({ "number": "5531900000001", "text": "hi" }),
        ),
        (
            "send-text without number",
            json!({ "token": token, "text": "hi" }),
        ),
        (
            "send-text without text",
            json!({ "token": token, "number": "5531900000001" }),
        ),
        (
            "send-text with an empty text",
            with(good.clone(), "text", json!("")),
        ),
        (
            "send-text with a text that is too long",
            with(good.clone(), "text", json!(long)),
        ),
        (
            "send-text with a bad number",
            with(good.clone(), "number", json!("12")),
        ),
        (
            "send-text with a bad number among others",
            with(good.clone(), "number", json!(["5531900000001", "x"])),
        ),
        (
            "send-text to an empty array",
            with(good.clone(), "number", json!([])),
        ),
        (
            "send-text with a number of another type",
            with(good.clone(), "number", json!({})),
        ),
        (
            "send-text with a delay out of order",
            with(good.clone(), "delay", json!({ "min": 2, "max": 1 })),
        ),
        (
            "send-text for an unknown session",
            with(good.clone(), "token", json!("nobody")),
        ),
    ]
}

#[tokio::test]
async fn failures_of_others_have_their_problems() {
    let mut book = Book::default();
    for (what, problem) in [
        (
            "not published: away",
            jobs::not_published(PublishError::Unavailable("x".to_owned())),
        ),
        (
            "not published: not confirmed",
            jobs::not_published(PublishError::Unconfirmed),
        ),
        ("not answered: in time", jobs::not_answered(CallError::Timeout)),
        ("not answered: too many", jobs::not_answered(CallError::Busy)),
        ("not answered: nonsense", jobs::not_answered(CallError::Malformed)),
        (
            "worker: not connected",
            jobs::failure(FailureCode::NotConnected, "not connected".to_owned()),
        ),
        (
            "worker: conflict",
            jobs::failure(FailureCode::Conflict, "the session is being deleted".to_owned()),
        ),
        (
            "worker: busy",
            jobs::failure(FailureCode::Busy, "too many questions are open".to_owned()),
        ),
        (
            "worker: refused",
            jobs::failure(FailureCode::Refused, "WhatsApp refused".to_owned()),
        ),
        (
            "database: away",
            Problem::from(shared::store::StoreError::Unavailable("x".to_owned())),
        ),
        (
            "database: our mistake",
            Problem::from(shared::store::StoreError::Corrupt("x")),
        ),
    ] {
        let (parts, body) = problem.into_response().into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        book.note(
            what,
            &Answered {
                status: parts.status,
                headers: parts.headers,
                bytes,
            },
        );
    }
    insta::assert_json_snapshot!("failures", book.0);
}

#[tokio::test]
async fn without_a_broker_nothing_is_accepted() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    api.app.broker.close().await;
    let answered = api
        .post(MESSAGES, &text(token.as_str(), json!("5531900000001")))
        .await;
    assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answered.json()["code"], "broker_unavailable");
    assert_eq!(answered.headers["retry-after"], "2");
}

#[tokio::test]
async fn browsers_are_let_in_by_origin_without_a_key_for_their_questions() {
    let api = TestApi::new().await;
    let ask = |origin: &str| {
        Request::options("/v1/sessions")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization")
            .body(Body::empty())
            .unwrap()
    };
    let let_in = api.request(ask("https://app.example.com")).await;
    assert_eq!(
        let_in.headers["access-control-allow-origin"],
        "https://app.example.com"
    );
    let methods = let_in.headers["access-control-allow-methods"].to_str().unwrap();
    assert!(methods.contains("PATCH"), "{methods}");
    let other = api.request(ask("https://evil.example.com")).await;
    assert!(!other.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_head_is_what_a_get_begins_with() {
    let api = TestApi::new().await;
    let (head, got) = (
        api.send(Method::HEAD, "/v1/sessions", Body::empty()).await,
        api.get("/v1/sessions").await,
    );
    assert_eq!((head.status, head.bytes.len()), (StatusCode::OK, 0));
    assert_eq!(head.headers["content-type"], got.headers["content-type"]);
}
