//! The control API over HTTP.

use crate::simulator;
use serde_json::{Value, json};

struct Http {
    client: reqwest::Client,
    base: String,
}

impl Http {
    fn new(base: &str) -> Self {
        // Whoever is first installs it for the process.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self {
            client: reqwest::Client::new(),
            base: base.into(),
        }
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<&str>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (
            status,
            if text.is_empty() {
                Value::Null
            } else {
                serde_json::from_str(&text).unwrap()
            },
        )
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(reqwest::Method::POST, path, Some(&body.to_string()))
            .await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(reqwest::Method::GET, path, None).await
    }
}

#[tokio::test]
async fn contacts_and_phones_are_made_and_asked() {
    let handle = simulator().await;
    let http = Http::new(&handle.control_url);
    let (status, made) = http
        .post(
            "/contacts",
            &json!({ "prefix": "177700", "count": 100, "deliver_ms": 5, "read_ms": 9, "reply": "ok" }),
        )
        .await;
    assert_eq!(status, 201);
    assert_eq!(
        (made["width"].clone(), made["first"].clone()),
        (json!(2), json!("17770000"))
    );
    assert_eq!(
        http.post("/phones", &json!({ "number": "15551230001", "name": "Ann" }))
            .await
            .0,
        201
    );
    let said = http
        .post(
            "/phones/15551230001/messages",
            &json!({ "to": "17770005", "text": "hello" }),
        )
        .await;
    assert_eq!(said.0, 201);
    // The contact's reply comes back to the phone.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let (_, got) = http.get("/phones/15551230001/messages").await;
        if got[0]["text"] == "ok" {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{got}");
        tokio::task::yield_now().await;
    }
    let (status, got) = http.get("/contacts/17770005/messages").await;
    assert_eq!(status, 200);
    assert_eq!(
        (got[0]["id"].clone(), got[0]["times_shown"].clone()),
        (said.1["id"].clone(), json!(1))
    );
    let (_, audit) = http.get("/audit").await;
    for total in [
        "messages_accepted",
        "shown_once",
        "shown_twice",
        "undecryptable",
        "message_keys_reused",
    ] {
        assert!(audit[total].is_u64(), "{total}");
    }
    assert!(audit["sessions"].is_array());
}

#[tokio::test]
async fn bad_input_is_answered_by_the_name_of_the_field() {
    let handle = simulator().await;
    let http = Http::new(&handle.control_url);
    http.post("/contacts", &json!({ "prefix": "177700", "count": 100 }))
        .await;
    http.post("/phones", &json!({ "number": "15551230001", "name": "Ann" }))
        .await;
    for (path, body, field) in [
        ("/phones", json!({ "number": "abc" }), "number"),
        ("/phones", json!({ "name": "x" }), "number"),
        ("/phones", json!({ "number": "17770001" }), "number"),
        ("/phones/15559999999/scan", json!({ "qr": "a,b,c,d" }), "number"),
        ("/phones/15551230001/scan", json!({ "qr": "a,b,c,d" }), "qr"),
        ("/phones/15551230001/link-code", json!({ "code": "12" }), "code"),
        (
            "/phones/15551230001/messages",
            json!({ "to": "15550009999", "text": "x" }),
            "to",
        ),
        (
            "/phones/15551230001/messages",
            json!({ "to": "17770001", "text": "" }),
            "text",
        ),
        ("/phones/15551230001/unlink", json!({ "device": 9 }), "device"),
        (
            "/contacts",
            json!({ "prefix": "1777", "count": 10_000 }),
            "prefix",
        ),
        ("/contacts", json!({ "prefix": "18", "count": 0 }), "count"),
        (
            "/contacts",
            json!({ "prefix": "188800", "count": 5, "deliver_ms": 999_999_999_999u64 }),
            "deliver_ms",
        ),
        (
            "/contacts",
            json!({ "prefix": "188800", "count": 5, "dlver_ms": 1 }),
            "dlver_ms",
        ),
        (
            "/contacts/19990001111/messages",
            json!({ "to": "15551230001", "text": "x" }),
            "number",
        ),
        ("/faults", json!({ "kind": "delay" }), "delay_ms"),
    ] {
        let (status, answer) = http.post(path, &body).await;
        assert!((400..500).contains(&status), "{path} {body}: {status}");
        assert_eq!(answer["field"], field, "{path} {body}: {answer}");
    }
}

#[tokio::test]
async fn what_is_not_understood_is_refused_by_name_too() {
    let handle = simulator().await;
    let http = Http::new(&handle.control_url);
    for (path, body, field) in [
        ("/faults", json!({ "kind": "explode" }), "kind"),
        (
            "/faults",
            json!({ "kind": "cut", "match": { "to": 5 } }),
            "match.to",
        ),
        ("/phones", json!({ "number": 15_551_230_002_u64 }), "number"),
        ("/phones", json!({ "number": "15551230002", "name": 5 }), "name"),
        ("/phones/15551230001/scan", json!({}), "qr"),
        ("/contacts", json!({ "prefix": "1888", "count": -1 }), "count"),
        ("/contacts", json!({ "prefix": "1888", "count": "5" }), "count"),
        (
            "/contacts",
            json!({ "prefix": "188800", "count": 5, "reply": 7 }),
            "reply",
        ),
        (
            "/contacts",
            json!({ "prefix": "188800", "count": 5, "addressing": "x" }),
            "addressing",
        ),
    ] {
        let (status, answer) = http.post(path, &body).await;
        assert_eq!(status, 400, "{path} {body}");
        assert_eq!(answer["field"], field, "{path} {body}: {answer}");
    }
    assert_eq!(http.get("/nothing").await.0, 404);
    let (status, answer) = http.get("/phones").await;
    assert_eq!((status, answer["field"].clone()), (405, json!("method")));
    let (status, answer) = http.post("/phones", &json!("x".repeat(3 << 20))).await;
    assert_eq!((status, answer["field"].clone()), (413, json!("body")));
    let (status, answer) = http.get("/contacts/17770001/messages?device=x").await;
    assert_eq!((status, answer["field"].clone()), (422, json!("device")));
    let (status, answer) = http.send(reqwest::Method::POST, "/phones", Some("{")).await;
    assert_eq!((status, answer["field"].clone()), (400, json!("body")));
    assert_eq!(http.send(reqwest::Method::DELETE, "/faults", None).await.0, 204);
    assert_eq!(http.send(reqwest::Method::DELETE, "/faults/7", None).await.0, 404);
}

#[tokio::test]
async fn a_phone_that_is_made_again_without_a_name_keeps_its_own() {
    let handle = simulator().await;
    let http = Http::new(&handle.control_url);
    for (body, name) in [
        (json!({ "number": "15551230001" }), "Phone 15551230001"),
        (
            json!({ "number": "15551230001", "name": "Ann \u{2603}" }),
            "Ann \u{2603}",
        ),
        (json!({ "number": "15551230001" }), "Ann \u{2603}"),
    ] {
        let (status, made) = http.post("/phones", &body).await;
        assert_eq!((status, made["name"].clone()), (201, json!(name)));
    }
}

#[tokio::test]
async fn a_phones_passkey_is_set_up_asked_and_taken_away() {
    let handle = simulator().await;
    let http = Http::new(&handle.control_url);
    let phone = "/phones/15551230001/passkey";
    assert_eq!(http.post(phone, &json!({})).await.0, 404);
    http.post("/phones", &json!({ "number": "15551230001" })).await;
    let (status, rules) = http.post(phone, &json!({ "options": "fetched" })).await;
    assert_eq!((status, &rules["options"]), (201, &json!("fetched")));
    assert_eq!(
        (&rules["proof"], &rules["nonce_bytes"]),
        (&json!("verified"), &json!(32))
    );
    for (body, field) in [
        (json!({ "nonce_bytes": 65 }), "nonce_bytes"),
        (json!({ "timeout_ms": 86_400_001 }), "timeout_ms"),
        (json!({ "proof": "perhaps" }), "proof"),
        (json!({ "typo": 1 }), "typo"),
    ] {
        let (status, refused) = http.post(phone, &body).await;
        assert!((400..500).contains(&status), "{body}: {status}");
        assert_eq!(refused["field"], field, "{refused}");
    }
    let sign = format!("{phone}/sign");
    let (status, signed) = http
        .post(&sign, &json!({ "options": { "challenge": "AAEC" } }))
        .await;
    assert_eq!((status, &signed["type"]), (200, &json!("public-key")));
    let (status, refused) = http.post(&sign, &json!({ "options": {} })).await;
    assert_eq!((status, &refused["field"]), (422, &json!("options")));
    let (status, report) = http.get(phone).await;
    assert_eq!((status, &report["linked"]), (200, &json!(false)));
    let (status, refused) = http
        .post("/companions/refresh", &json!({ "qr": "nonsense" }))
        .await;
    assert_eq!((status, &refused["field"]), (422, &json!("qr")));
    assert_eq!(http.send(reqwest::Method::DELETE, phone, None).await.0, 204);
    assert_eq!(http.get(phone).await.0, 404);
}
