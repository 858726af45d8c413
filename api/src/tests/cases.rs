//! Six cases of every route of the older API: done, a bad field, an unknown token, a session that is not connected, somebody
//! who is not on WhatsApp, and a wrong key. A route without its row fails.

use std::collections::BTreeSet;

use serde_json::json;
use shared::content::Content;
use shared::id::QueueId;
use shared::job::{FailureCode, Picture, ProfileAnswer};
use shared::store::uploads::{self, Facts, Upload};
use time::OffsetDateTime;

use super::*;
use crate::openapi;

const NUMBER: &str = "5531900000001";
const JID: &str = "5531900000001@s.whatsapp.net";
const GROUP: &str = "120363000000000001@g.us";
const PICTURE: &str = "https://pps.whatsapp.net/v/1.jpg";

/// A route.
struct Row {
    /// Its path behind that of the API.
    path: &'static str,
    /// What it takes, beside the token.
    body: Value,
    /// Whoever does it.
    by: By,
    /// A part of what it answers when that is done.
    told: Value,
    /// The field that is spoiled, what with, and what the answer names.
    bad: (&'static str, Value, &'static str),
    /// What it is of a session that is not connected.
    away: Away,
    /// What it is of somebody who is not on WhatsApp.
    nobody: Nobody,
}

/// Who does what is asked for.
enum By {
    /// The API, of what is stored.
    Itself,
    /// The API, which has the session started.
    Starting,
    /// The session's worker, which deletes it.
    Deleting,
    /// The session's worker, which answers.
    Worker(Answer),
    /// The session's queue, in which it waits for its turn.
    Queue,
}

enum Away {
    /// It is done all the same.
    Done,
    /// It waits, and says so.
    Waits,
    /// It is refused for that.
    Refused,
}

enum Nobody {
    /// It names nobody, or is of what is stored.
    Unasked,
    /// The recipient fails when its turn comes, and only that one.
    Fails,
    /// The worker answers this, and it is told so.
    Told(Answer, u16, Value),
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::from(sessions());
    rows.extend(sends());
    rows.extend(marks());
    rows.extend(questions());
    rows.extend(schedules());
    rows
}

fn sessions() -> [Row; 2] {
    [
        Row {
            path: "create-instance",
            body: json!({}),
            by: By::Starting,
            told: json!({ "message": "Processing" }),
            bad: ("token", json!("a b"), "token"),
            away: Away::Done,
            nobody: Nobody::Unasked,
        },
        Row {
            path: "delete-credential",
            body: json!({}),
            by: By::Deleting,
            told: json!({ "data": { "status": true, "message": "Deleting session and credential" } }),
            bad: ("token", json!("a b"), "token"),
            away: Away::Done,
            nobody: Nobody::Unasked,
        },
    ]
}

/// A route that sends this, and names this field where that is wrong.
fn sending(path: &'static str, mut body: Value, bad: (&'static str, Value, &'static str)) -> Row {
    body["number"] = json!(JID);
    Row {
        path,
        body,
        by: By::Queue,
        told: json!({ "data": { "key": { "remoteJid": JID, "fromMe": true }, "status": "PENDING" } }),
        bad,
        away: Away::Waits,
        nobody: Nobody::Fails,
    }
}

fn sends() -> [Row; 5] {
    let url = "https://example.com/a";
    [
        sending("send-text", json!({ "text": "Hi" }), ("text", json!(""), "text")),
        sending(
            "send-media",
            json!({ "type": "image", "url": url, "caption": "Hi" }),
            ("url", json!("ftp://a"), "url"),
        ),
        sending(
            "send-button-message",
            json!({ "button": [{ "displayText": "Yes" }], "message": "Come?" }),
            ("button", json!([{}]), "button[0].displayText"),
        ),
        sending(
            "send-template-message",
            json!({ "button": [{ "displayText": "See", "url": url }], "text": "Come?" }),
            ("text", json!(""), "text"),
        ),
        sending(
            "send-list-message",
            json!({ "list": [{ "title": "Warm", "rows": [{ "title": "Soup", "rowId": "soup" }] }],
                "text": "?", "title": "Menu", "buttonText": "Choose" }),
            ("list", json!([]), "list"),
        ),
    ]
}

fn marks() -> [Row; 2] {
    let key = json!({ "remoteJid": JID, "fromMe": true, "id": "BAE56E515A609CD5" });
    [
        sending(
            "send-reaction",
            json!({ "text": "🦖", "key": key }),
            ("number", json!("12"), "number"),
        ),
        sending(
            "delete-for-every-one",
            json!({ "key": key }),
            ("key", json!({ "fromMe": true }), "key.id"),
        ),
    ]
}

fn questions() -> [Row; 4] {
    let exists = |exists: bool| Answer::IsExists {
        exists,
        jid: exists.then(|| JID.to_owned()),
        lid: None,
    };
    let picture = |picture: Option<Picture>| {
        let answer = ProfileAnswer {
            picture,
            ..ProfileAnswer::default()
        };
        Answer::Profile(Box::new(answer))
    };
    let there = Picture {
        id: "1".to_owned(),
        url: PICTURE.to_owned(),
    };
    let group = json!({ "type": "group", "group": {
        "id": GROUP, "subject": "Us", "restrict": false, "announce": false, "allMayAdd": false, "asksToJoin": false,
        "addressing": "lid", "size": 0, "participants": [],
    } });
    [
        Row {
            path: "is-exists",
            body: json!({ "number": NUMBER }),
            by: By::Worker(exists(true)),
            told: json!({ "data": { "exists": true, "jid": JID } }),
            bad: ("number", json!("12"), "number"),
            away: Away::Refused,
            nobody: Nobody::Told(
                exists(false),
                200,
                json!({ "data": { "exists": false, "jid": JID } }),
            ),
        },
        Row {
            path: "get-profile-picture",
            body: json!({ "number": JID, "highrest": true }),
            by: By::Worker(picture(Some(there))),
            told: json!({ "data": PICTURE }),
            bad: ("highrest", json!("yes"), "highrest"),
            away: Away::Refused,
            nobody: Nobody::Told(
                picture(None),
                404,
                json!({ "error": { "code": "picture_not_found" } }),
            ),
        },
        Row {
            path: "group-metadata",
            body: json!({ "number": GROUP }),
            by: By::Worker(serde_json::from_value(group).unwrap()),
            told: json!({ "data": { "id": GROUP, "subject": "Us" } }),
            bad: ("number", json!(JID), "number"),
            away: Away::Refused,
            nobody: Nobody::Told(
                failed(FailureCode::Refused),
                422,
                json!({ "error": { "code": "refused" } }),
            ),
        },
        Row {
            path: "store/chats",
            // Who was never written to.
            body: json!({ "type": "messages", "jid": "5531900000009@s.whatsapp.net" }),
            by: By::Itself,
            told: json!([]),
            bad: ("type", json!("poems"), "type"),
            away: Away::Done,
            nobody: Nobody::Unasked,
        },
    ]
}

/// In this order: the second and the third are of what the first has made.
fn schedules() -> [Row; 3] {
    let data = json!({ "number": NUMBER, "text": "Hi" });
    let written = json!({ "id": 1, "type": "sendText", "data": data, "time": "05 12 * * *" });
    let row = |path, body, told, bad| Row {
        path,
        body,
        by: By::Itself,
        told,
        bad,
        away: Away::Done,
        // Whoever is not on WhatsApp fails when it fires.
        nobody: Nobody::Unasked,
    };
    [
        row(
            "scheduler/add-scheduler",
            written.clone(),
            json!({ "data": [written] }),
            ("time", json!("every day"), "time"),
        ),
        row(
            "scheduler",
            json!({}),
            json!({ "data": [written] }),
            ("token", json!("a b"), "token"),
        ),
        row(
            "scheduler/stop-scheduler",
            json!({ "id": 1 }),
            json!({ "message": "Scheduler ID: 1 has been stopped" }),
            ("id", json!(""), "id"),
        ),
    ]
}

fn failed(code: FailureCode) -> Answer {
    Answer::Failed {
        code,
        message: "so it is".to_owned(),
        field: None,
        until: None,
    }
}

#[tokio::test]
async fn every_route_has_its_six_cases() {
    let api = TestApi::new().await;
    let mut stage = Stage {
        worker: api.worker().await,
        api: &api,
    };
    let (connected, away) = (api.open_session().await, api.session().await);
    let mut seen = BTreeSet::new();
    for row in rows() {
        stage.is_refused(&row, &connected).await;
        match row.by {
            // It makes a session, or ends it: each has one of its own.
            By::Starting => stage.is_done(&row, &testing::token()).await,
            By::Deleting => {
                let token = api.open_session().await;
                stage.is_done(&row, &token).await;
            }
            _ => stage.is_done(&row, &connected).await,
        }
        stage.is_away(&row, &away).await;
        stage.is_of_nobody(&row, &connected).await;
        seen.insert(format!("/api/whatsapp/{}", row.path));
    }
    let document = openapi::document();
    let paths = document["paths"].as_object().unwrap().keys();
    let routes: BTreeSet<String> = paths
        .filter(|path| path.starts_with("/api/whatsapp/"))
        .cloned()
        .collect();
    assert_eq!(seen, routes);
    // And no request that was refused had a worker do anything.
    let last = testing::token();
    stage.is_done(&rows()[0], &last).await;
}

/// An API, and the worker that is played.
struct Stage<'a> {
    api: &'a TestApi,
    worker: Worker<'a>,
}

impl Stage<'_> {
    /// A bad field, an unknown token and a wrong key: nobody is asked for anything.
    async fn is_refused(&mut self, row: &Row, token: &Token) {
        let (field, spoiled, named) = &row.bad;
        let mut body = row.body(token.as_str());
        body[*field] = spoiled.clone();
        let refused = self.api.post(&row.path(), &body).await;
        let told = refused.json();
        assert_eq!(
            (refused.status, &told["status"], &told["error"]["field"]),
            (StatusCode::BAD_REQUEST, &json!(false), &json!(named)),
            "{}: {told}",
            row.path
        );
        assert!(
            told["message"]
                .as_str()
                .is_some_and(|words| words.contains(named)),
            "{told}"
        );
        if !matches!(row.by, By::Starting) {
            let refused = self.api.post(&row.path(), &row.body("nobody")).await;
            let told = refused.json();
            assert_eq!(
                (refused.status, &told["status"], &told["error"]["code"]),
                (StatusCode::NOT_FOUND, &json!(false), &json!("session_not_found")),
                "{}: {told}",
                row.path
            );
        }
        for key in [None, Some("Basic d3Jvbmc6"), Some("Bearer wrong")] {
            let request = Request::post(row.path()).header(header::CONTENT_TYPE, "application/json");
            let request = key
                .into_iter()
                .fold(request, |request, key| request.header(header::AUTHORIZATION, key));
            let body = Body::from(row.body(token.as_str()).to_string());
            let refused = self.api.request(request.body(body).unwrap()).await;
            let told = refused.json();
            assert_eq!(
                (refused.status, &told["status"], &told["error"]["code"]),
                (StatusCode::UNAUTHORIZED, &json!(false), &json!("unauthorized")),
                "{}: {told}",
                row.path
            );
            assert!(refused.headers.contains_key(header::WWW_AUTHENTICATE));
        }
    }

    async fn is_done(&mut self, row: &Row, token: &Token) {
        let (answered, _) = self.ask(row, &row.body(token.as_str()), &row.by).await;
        row.answers(&answered, StatusCode::OK, &row.told);
    }

    async fn is_away(&mut self, row: &Row, token: &Token) {
        let body = row.body(token.as_str());
        match row.away {
            Away::Refused => {
                let away = By::Worker(failed(FailureCode::NotConnected));
                let (answered, _) = self.ask(row, &body, &away).await;
                let told = json!({ "status": false, "error": { "code": "session_not_connected" } });
                row.answers(&answered, StatusCode::SERVICE_UNAVAILABLE, &told);
                assert!(answered.headers.contains_key(header::RETRY_AFTER), "{}", row.path);
            }
            Away::Waits => {
                let (answered, queue) = self.ask(row, &body, &row.by).await;
                row.answers(&answered, StatusCode::OK, &row.told);
                let path = format!("/v1/sessions/{token}/queues/{}", queue.unwrap());
                let told = self.api.get(&path).await.json();
                assert!(told["waiting"]["reason"].is_string(), "{}: {told}", row.path);
            }
            // The session that it would delete is another row's.
            Away::Done if matches!(row.by, By::Deleting) => {
                let token = self.api.session().await;
                self.is_done(row, &token).await;
            }
            Away::Done => {
                let (answered, _) = self.ask(row, &body, &row.by).await;
                row.answers(&answered, StatusCode::OK, &row.told);
            }
        }
    }

    async fn is_of_nobody(&mut self, row: &Row, token: &Token) {
        let body = row.body(token.as_str());
        match &row.nobody {
            Nobody::Unasked => {}
            Nobody::Told(answer, status, told) => {
                let (answered, _) = self.ask(row, &body, &By::Worker(answer.clone())).await;
                row.answers(&answered, StatusCode::from_u16(*status).unwrap(), told);
            }
            Nobody::Fails => {
                let (answered, queue) = self.ask(row, &body, &row.by).await;
                row.answers(&answered, StatusCode::OK, &row.told);
                let queue = queue.unwrap();
                let sql = format!(
                    "UPDATE recipient SET state = 5, error_status = 404, error = 'not on WhatsApp'
                     WHERE queue_id = '{queue}'"
                );
                self.api.database.query(&sql).await;
                let path = format!("/v1/sessions/{token}/queues/{queue}/recipients");
                let told = &self.api.get(&path).await.json()["items"][0];
                assert_eq!(
                    (&told["state"], &told["error"]["status"]),
                    (&json!("failed"), &json!(404)),
                    "{}: {told}",
                    row.path
                );
            }
        }
    }

    /// Asks while somebody does what it asks; its queue, if it has one.
    async fn ask(&mut self, row: &Row, body: &Value, by: &By) -> (Answered, Option<QueueId>) {
        let path = row.path();
        let asked = self.api.post(&path, body);
        match by {
            By::Itself => (asked.await, None),
            By::Worker(answer) => (tokio::join!(asked, self.worker.answer(answer)).0, None),
            By::Starting => {
                let (answered, (job, delivery)) = tokio::join!(asked, self.worker.next());
                assert_eq!(job, Job::SessionStart);
                assert_eq!(json!(delivery.routing_key), body["token"]);
                delivery.ack().await.unwrap();
                (answered, None)
            }
            By::Deleting => {
                let gone = async {
                    let (job, delivery) = self.worker.next().await;
                    assert_eq!(job, Job::SessionDelete);
                    let sql = format!("DELETE FROM session WHERE token = '{}'", delivery.routing_key);
                    self.api.database.query(&sql).await;
                    delivery.ack().await.unwrap();
                };
                (tokio::join!(asked, gone).0, None)
            }
            By::Queue => {
                let token = Token::new(body["token"].as_str().unwrap()).unwrap();
                let (answered, queue) = tokio::join!(asked, self.worker.takes(&token));
                (answered, Some(queue))
            }
        }
    }
}

impl Worker<'_> {
    /// Stores the next send, and uploads its file; its queue.
    async fn takes(&mut self, token: &Token) -> QueueId {
        let (job, id) = self.accept().await;
        let queue = job.queue_id(token, &id);
        if has_file(&job.message) {
            let upload = Upload {
                uploaded_at: OffsetDateTime::now_utc(),
                mimetype: "image/jpeg".to_owned(),
                as_document: false,
                length: 7,
                key: [1; 32],
                sha256: [2; 32],
                enc_sha256: [3; 32],
                direct_path: "/v/1.enc".to_owned(),
                url: None,
                expires_at: None,
                facts: Facts::default(),
            };
            let saved = uploads::save(self.api.database.store(), self.fence, queue, &upload).await;
            saved.unwrap();
        }
        queue
    }
}

fn has_file(message: &Content) -> bool {
    message.message_type() == "imageMessage"
}

impl Row {
    fn path(&self) -> String {
        format!("/api/whatsapp/{}", self.path)
    }

    fn body(&self, token: &str) -> Value {
        let mut body = self.body.clone();
        body["token"] = json!(token);
        body
    }

    /// It was answered so, whatever it says besides.
    fn answers(&self, answered: &Answered, status: StatusCode, part: &Value) {
        let told = answered.json();
        assert_eq!(answered.status, status, "{}: {told}", self.path);
        assert!(is_within(part, &told), "{}: {told}", self.path);
        let is_enveloped = told.is_object() && self.path != "store/chats";
        let is_well = json!(status.is_success());
        assert!(
            !is_enveloped || told["status"] == is_well,
            "{}: {told}",
            self.path
        );
    }
}

/// Whether all that `part` has is so in `whole`.
fn is_within(part: &Value, whole: &Value) -> bool {
    match part {
        Value::Object(fields) => fields.iter().all(|(name, part)| is_within(part, &whole[name])),
        other => other == whole,
    }
}
