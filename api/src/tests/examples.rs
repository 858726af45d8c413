//! The examples of the document, each as it stands: sent to the API, and its answer held against the document.

use std::collections::BTreeSet;
use std::pin::pin;

use serde_json::json;
use shared::id::DeliveryId;
use shared::job::{Forgotten, GroupAnswer, GroupMetadata, HistoryAsked, NumberAnswer, Recipient};
use shared::recipient::Number;
use shared::store::deliveries::{self, Attempted, Fate, NewDelivery};

use super::*;
use crate::openapi;
use crate::openapi::examples::{self, Examples, Refusal, path_part};

/// Successes that are answered only after seconds, when no worker does what is asked: they are waited for side by side.
const LATE: &[(&str, u16)] = &[
    ("post /v1/sessions/{token}/queues/{queue}/pause", 202),
    ("post /v1/sessions/{token}/queues/{queue}/resume", 202),
    ("post /v1/sessions/{token}/queues/{queue}/adopt", 202),
    ("patch /v1/sessions/{token}/queues/{queue}", 202),
    ("delete /v1/sessions/{token}/queues/{queue}", 202),
    ("delete /v1/sessions/{token}", 202),
    ("post /v1/webhooks/{webhook}/test", 202),
];

/// The operations of the document, with what it says of each.
fn operations(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let each = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (format!("{method} {path}"), operation.clone()))
    });
    each.collect()
}

/// Holds a value against a schema of the document.
fn validate(document: &Value, schema: &Value, value: &Value, what: &str) {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&whole).unwrap();
    let problems: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{what}: {problems:?} in {value}");
}

/// Holds an answer against what the document says of its status.
fn documented(document: &Value, operation: &str, answered: &Answered, what: &str) {
    let (method, path) = operation.split_once(' ').unwrap();
    let responses = &document["paths"][path][method]["responses"];
    let status = answered.status.as_u16().to_string();
    let response = match responses.get(&status) {
        Some(response) => response,
        None => &responses["default"],
    };
    let Some(content) = response.get("content") else {
        assert!(answered.bytes.is_empty(), "{what}: a body that is not documented");
        return;
    };
    let media_type = answered.headers["content-type"].to_str().unwrap();
    let media_type = media_type.split(';').next().unwrap();
    let schema = &content[media_type]["schema"];
    assert!(schema.is_object(), "{what}: {media_type} is not documented");
    if media_type.ends_with("json") {
        validate(document, schema, &answered.json(), what);
    }
}

#[test]
fn each_operation_has_examples_that_are_as_its_schemas_say() {
    let document = openapi::document();
    let mut told: Vec<&str> = examples::all()
        .iter()
        .map(|examples| examples.operation)
        .collect();
    told.sort_unstable();
    let mut there: Vec<String> = operations(&document)
        .into_iter()
        .map(|(operation, _)| operation)
        .collect();
    there.sort_unstable();
    assert_eq!(there, told, "the document (left) and the examples (right)");
    for (name, operation) in operations(&document) {
        if let Some(body) = operation.get("requestBody") {
            let body = &body["content"]["application/json"];
            if body.is_null() {
                continue;
            }
            assert!(body["example"].is_object(), "{name} has no example of its body");
            validate(&document, &body["schema"], &body["example"], &name);
        }
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("default"), "{name}");
        for (status, response) in responses {
            let what = format!("{name}: {status}");
            assert!(!response["description"].as_str().unwrap().is_empty(), "{what}");
            for (media_type, content) in response["content"].as_object().into_iter().flatten() {
                if media_type == "image/png" {
                    continue;
                }
                let values = content["examples"].as_object().into_iter().flatten();
                let values: Vec<_> = values.map(|(_, example)| &example["value"]).collect();
                assert!(!values.is_empty(), "{what} has no example of {media_type}");
                for value in values {
                    validate(&document, &content["schema"], value, &what);
                }
            }
        }
    }
}

#[tokio::test]
async fn each_example_is_answered_as_the_document_says() {
    let api = TestApi::new().await;
    let stage = Stage::set(&api).await;
    let document = openapi::document();
    let mut seen = BTreeSet::new();
    for examples in examples::all() {
        for refusal in &examples.refusals {
            refuses(&api, &document, &examples, refusal).await;
        }
    }
    let mut worker = api.worker_with(stage.fence);
    for examples in in_order() {
        for status in successes(&document, examples.operation) {
            if LATE.contains(&(examples.operation, status)) {
                continue;
            }
            stage.prepare(examples.operation, status).await;
            let answered = worker.serve(ask(&api, &examples)).await;
            let what = format!("{} {status}: {answered:?}", examples.operation);
            assert_eq!(answered.status.as_u16(), status, "{what}");
            documented(&document, examples.operation, &answered, &what);
            seen.insert((examples.operation.to_owned(), status));
        }
    }
    seen.extend(
        LATE.iter()
            .map(|(operation, status)| ((*operation).to_owned(), *status)),
    );
    let all = operations(&document).into_iter().flat_map(|(name, _)| {
        let statuses = successes(&document, &name);
        statuses.into_iter().map(move |status| (name.clone(), status))
    });
    assert_eq!(seen, all.collect(), "answered (left) and documented (right)");
}

/// Each kind of picture of a QR code has its media type.
#[tokio::test]
async fn a_qr_code_is_documented_in_each_form() {
    let api = TestApi::new().await;
    let stage = Stage::set(&api).await;
    let operation = "get /v1/sessions/{token}/qr";
    stage.prepare(operation, 200).await;
    for format in ["json", "png", "text"] {
        let answered = api.get(&format!("/v1/sessions/shop/qr?format={format}")).await;
        assert_eq!(answered.status, StatusCode::OK, "{format}");
        documented(&openapi::document(), operation, &answered, format);
    }
}

#[tokio::test]
async fn what_no_worker_does_in_time_is_answered_as_the_document_says() {
    let api = TestApi::new().await;
    let stage = Stage::set(&api).await;
    let document = openapi::document();
    let one = async |(operation, status): &(&str, u16)| {
        let all = examples::all();
        let examples = all
            .iter()
            .find(|examples| examples.operation == *operation)
            .unwrap();
        let answered = ask(&api, examples).await;
        let what = format!("{operation} {status}: {answered:?}");
        assert_eq!(answered.status.as_u16(), *status, "{what}");
        documented(&document, operation, &answered, &what);
    };
    let commands = async {
        let (test, others) = LATE.split_last().unwrap();
        assert!(test.0.contains("webhooks"));
        for late in others {
            stage.prepare(late.0, late.1).await;
            one(late).await;
        }
    };
    tokio::join!(commands, one(LATE.last().unwrap()));
}

/// What ends the session, or the webhook, comes last.
fn in_order() -> Vec<Examples> {
    let last = [
        "delete /v1/webhooks/{webhook}",
        "delete /v1/sessions/{token}",
        "post /api/whatsapp/delete-credential",
    ];
    let mut all = examples::all();
    all.sort_by_key(|examples| last.contains(&examples.operation));
    all
}

/// The statuses of success that the document knows of an operation, from the highest: what is new before what is there.
fn successes(document: &Value, operation: &str) -> Vec<u16> {
    let (method, path) = operation.split_once(' ').unwrap();
    let responses = document["paths"][path][method]["responses"].as_object().unwrap();
    let statuses = responses.keys().filter_map(|status| status.parse().ok());
    // A part of a file is asked for by a header; another test does.
    let mut statuses: Vec<u16> = statuses
        .filter(|status| *status < 300 && *status != 206)
        .collect();
    statuses.sort_unstable_by(|one, other| other.cmp(one));
    statuses
}

async fn ask(api: &TestApi, examples: &Examples) -> Answered {
    let (method, path) = examples.operation.split_once(' ').unwrap();
    let parts = path.split('/').map(|part| {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        name.map_or(part, |name| path_part(name).unwrap())
    });
    let path = parts.collect::<Vec<_>>().join("/");
    if examples.operation == "post /v1/media" {
        return api.send(Method::POST, &path, examples::FILE).await;
    }
    send(api, method, &path, examples.request.as_ref()).await
}

async fn send(api: &TestApi, method: &str, path: &str, body: Option<&Value>) -> Answered {
    let body = body.map(Value::to_string).unwrap_or_default();
    api.send(method.to_uppercase().parse().unwrap(), path, body).await
}

async fn refuses(api: &TestApi, document: &Value, examples: &Examples, refusal: &Refusal) {
    let method = examples.operation.split(' ').next().unwrap();
    let body = refusal.request.as_ref().or(examples.request.as_ref());
    let answered = send(api, method, &refusal.at, body).await;
    let (media_type, expected) = examples.refused(&refusal.problem);
    let what = format!("{} at {}", examples.operation, refusal.at);
    assert_eq!(answered.json(), expected, "{what}");
    assert_eq!(answered.status, refusal.problem.code().status(), "{what}");
    assert_eq!(answered.headers["content-type"], media_type, "{what}");
    documented(document, examples.operation, &answered, &what);
}

/// The session, queues, webhooks and the delivery that the examples are about.
struct Stage<'a> {
    api: &'a TestApi,
    fence: Fence,
}

impl<'a> Stage<'a> {
    async fn set(api: &'a TestApi) -> Self {
        let fence = api.database.lease(0, "played").await;
        let stage = Self { api, fence };
        stage.session().await;
        for (id, columns) in [
            (examples::WEBHOOK, ""),
            (
                examples::DISABLED_WEBHOOK,
                ", disabled_at = now(), disabled_why = 'disabled'",
            ),
        ] {
            let url = json!({ "url": "https://example.com/" });
            let made = api.post("/v1/webhooks", &url).await.json();
            let made = made["id"].as_str().unwrap();
            stage
                .sql(&format!(
                    "UPDATE webhook SET id = '{id}'{columns} WHERE id = '{made}'"
                ))
                .await;
        }
        stage.delivery().await;
        stage
    }

    async fn sql(&self, sql: &str) {
        self.api.database.query(sql).await;
    }

    /// The session with its queues, all of it new.
    async fn session(&self) {
        self.sql("DELETE FROM session WHERE token = 'shop'; DELETE FROM recipient")
            .await;
        let token = Token::new(examples::TOKEN).unwrap();
        let store = self.api.database.store();
        let session = session_rows::create(store, &token, 1)
            .await
            .unwrap()
            .into_record();
        self.api.app.bind(&token, session.shard).await.unwrap();
        self.api.app.tokens.forget(&token);
        for (id, text) in [(examples::QUEUE, "one"), (examples::ENDED_QUEUE, "another")] {
            self.queue(session.id, (id, text)).await;
        }
        self.chat(session.id).await;
        self.open().await;
    }

    async fn chat(&self, session: SessionId) {
        let (session, jid) = (session.get(), format!("{}@s.whatsapp.net", examples::ANA));
        self.sql(&format!(
            "INSERT INTO chat (session_id, jid, last_at, last_id, last_from_me, last_sender, last_kind)
             VALUES ({session}, '{jid}', now(), 'A1', false, '', 'conversation')"
        ))
        .await;
        self.sql(&format!(
            "INSERT INTO message (session_id, chat, id, from_me, sender, at, kind, body)
             VALUES ({session}, '{jid}', 'A1', false, '', now(), 'conversation', '\"Hello\"')"
        ))
        .await;
        self.sql(&format!(
            "INSERT INTO contact (session_id, jid, name) VALUES ({session}, '{jid}', 'Ana')"
        ))
        .await;
        self.sql(&format!(
            "INSERT INTO label (session_id, id, name, color) VALUES ({session}, '7', 'New customer', 3);
             INSERT INTO label_given (session_id, jid, message_id, label_id) VALUES ({session}, '{jid}', '', '7')"
        ))
        .await;
    }

    async fn queue(&self, session: SessionId, (id, text): (&str, &str)) {
        let numbers = [examples::ANA, examples::BRUNO].map(|number| Number::new(number).unwrap());
        let job = SendJob {
            queue_id: Some(id.parse().unwrap()),
            ..SendJob::new(numbers.map(Recipient::from), shared::content::Text::new(text))
        };
        let offer = queue_rows::accepting::Offer {
            session,
            queue: id.parse().unwrap(),
            other: None,
            id: &testing::job_id(),
            ids: testing::stanza_ids(),
            job: &job,
            trace: None,
        };
        let store = self.api.database.store();
        let accepted = queue_rows::accepting::accept_all(store, self.fence, &[offer]).await;
        accepted.unwrap().pop().unwrap().unwrap();
        let message = examples::MESSAGE;
        for (seq, columns) in [
            (0, "state = 3, sent_at = now(), delivered_at = now()"),
            (1, "state = 5, error_status = 500, error = 'no'"),
        ] {
            self.sql(&format!(
                "UPDATE recipient SET {columns}, stanza_id = CASE WHEN seq = 0 AND queue_id = '{}' THEN '{message}'
                 WHEN seq = 0 THEN 'OTHER' END WHERE queue_id = '{id}' AND seq = {seq}",
                examples::QUEUE
            ))
            .await;
        }
        if id == examples::ENDED_QUEUE {
            self.sql(&format!(
                "DELETE FROM recipient WHERE queue_id = '{id}' AND seq = 1"
            ))
            .await;
            self.sql(&format!(
                "UPDATE queue SET state = 3, settled = total, started_at = now(), finished_at = now() WHERE id = '{id}'"
            ))
            .await;
        }
    }

    async fn delivery(&self) {
        let new = NewDelivery {
            id: examples::DELIVERY.parse::<DeliveryId>().unwrap(),
            webhook: examples::WEBHOOK.parse().unwrap(),
            event_id: examples::EVENT.parse().unwrap(),
            token: Token::new(examples::TOKEN).unwrap(),
            event: "send.message:ERROR".to_owned(),
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
        deliveries::insert(self.api.database.store(), &new)
            .await
            .unwrap()
            .unwrap();
    }

    async fn open(&self) {
        let token = Token::new(examples::TOKEN).unwrap();
        let columns = "state = 3, wanted = true, deleting_at = NULL, paired_at = now(), qr = NULL, qr_expires_at = NULL,
             jid = '5531900000000@s.whatsapp.net'";
        self.api.set_session(&token, columns).await;
    }

    /// What an operation needs to answer with this status.
    async fn prepare(&self, operation: &str, status: u16) {
        let token = Token::new(examples::TOKEN).unwrap();
        match (operation, status) {
            ("post /v1/sessions", 201) => return self.sql("DELETE FROM session WHERE token = 'shop'").await,
            ("delete /v1/sessions/{token}" | "post /api/whatsapp/delete-credential", _)
            | ("post /v1/sessions", 200) => self.session().await,
            _ => self.open().await,
        }
        if operation.contains("/qr") || operation.contains("/pairing-code") || operation.contains("/passkey")
        {
            let columns = "state = 2, jid = NULL, paired_at = NULL, qr = '2@abc,def', qr_expires_at = now() + interval '20 s'";
            self.api.set_session(&token, columns).await;
        }
        if operation.contains("/v1/media/") {
            let id = examples::MEDIA;
            self.sql(&format!(
                "INSERT INTO media VALUES ('{id}', NULL, 6, sha256('a page'), now(), now() + interval '1 day')
                 ON CONFLICT DO NOTHING"
            ))
            .await;
        }
        if operation.ends_with("/media") && operation.starts_with("get") {
            self.api.media.put("a", b"a page", |_| {});
            let named = (examples::MESSAGE, "a");
            self.api.received(&token, named, b"a page", "6").await;
        }
        let (state, paused_at) = match operation.contains("/resume") {
            true => (2, "now()"),
            false => (1, "NULL"),
        };
        let account = match operation.contains("/adopt") {
            true => "'5531900000099'",
            false => "NULL",
        };
        let queue = examples::QUEUE;
        self.sql(&format!(
            "UPDATE queue SET state = {state}, account = {account}, started_at = now(), paused_at = {paused_at}, finished_at = NULL,
             delay_min_ms = NULL, delay_max_ms = NULL WHERE id = '{queue}'"
        ))
        .await;
    }
}

impl Worker<'_> {
    /// Does what jobs ask, in the database alone, until a request is answered; and attempts what webhooks are to be sent.
    async fn serve(&mut self, request: impl Future<Output = Answered>) -> Answered {
        let api = self.api;
        let (mut request, mut attempts) = (pin!(request), pin!(attempts(api)));
        loop {
            tokio::select! {
                answered = &mut request => return answered,
                (job, delivery) = self.next() => self.done(job, delivery).await,
                () = &mut attempts => unreachable!(),
            }
        }
    }

    async fn done(&self, job: Job, delivery: Delivery) {
        let is_command = self.command(&job).await;
        if let Job::Send(job) = &job {
            self.store(job, &delivery).await;
        }
        if job == Job::SessionDelete {
            let token = &delivery.routing_key;
            let sql = format!("DELETE FROM session WHERE token = '{token}'");
            self.api.database.query(&sql).await;
        }
        if let (Some(to), false) = (delivery.reply_address(), is_command) {
            let publisher = self.api.broker.broker().publisher();
            publisher.reply(&to, &answer_to(&job)).await.unwrap();
        }
        delivery.ack().await.unwrap();
    }
}

fn answer_to(job: &Job) -> Answer {
    match job {
        Job::PairingCode(_) => Answer::PairingCode {
            code: "ABCD1234".to_owned(),
        },
        Job::IsExists(question) => Answer::IsExists {
            exists: true,
            jid: Some(question.number.jid()),
            lid: None,
        },
        Job::LookUp(asked) | Job::Block(asked) | Job::Unblock(asked) => {
            let told = asked.distinct().into_iter().map(|number| NumberAnswer {
                number: number.as_text().into_owned(),
                exists: true,
                jid: Some(number.jid()),
                lid: None,
                blocked: None,
                error: None,
            });
            Answer::Numbers {
                numbers: told.collect(),
            }
        }
        Job::Group(asked) => Answer::Group(Box::new(GroupAnswer {
            group: asked.group.as_ref().map(|group| GroupMetadata {
                id: group.0.jid(),
                ..examples::group_metadata()
            }),
            ..GroupAnswer::default()
        })),
        Job::Profile(_) => Answer::Profile(Box::new(examples::profile())),
        Job::History(_) => Answer::History(HistoryAsked {
            request_id: "3EB0C431C26A1916E07A11".to_owned(),
        }),
        Job::ForgetChat(_) | Job::ForgetPerson(_) => Answer::Forgotten(Forgotten::default()),
        _ => Answer::Done {
            queue_id: None,
            reading: None,
        },
    }
}

/// A webhook worker whose every attempt is taken.
async fn attempts(api: &TestApi) {
    let store = api.database.store();
    loop {
        let due = deliveries::lease_due(store, 1, 1, &[], Duration::from_secs(60)).await;
        for leased in due.unwrap() {
            let taken = Attempted {
                status: Some(200),
                error: None,
                took_ms: 1,
                answer: Some("ok".to_owned()),
            };
            deliveries::finish_attempt(store, &leased, &taken, Fate::Delivered)
                .await
                .unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
