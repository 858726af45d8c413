//! The webhook role against a real broker, a real database and receivers that fail in every way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use serde_json::{Value, json};
use shared::broker::Outgoing;
use shared::clock::Clock;
use shared::config::Secret;
use shared::event::{Event, Instance};
use shared::id::{Token, WebhookId};
use shared::lifecycle::Lifecycle;
use shared::random::Randomness;
use shared::store::deliveries::replays::{self, Filter};
use shared::store::deliveries::{self, DeliveryState};
use shared::store::webhooks::registry::NewWebhook;
use shared::store::webhooks::{self, Dialect, GLOBAL, Limits};
use shared::telemetry::{Health, Tracer};
use shared::testing::{self, TestBroker, TestDatabase};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;

mod changes;
mod listed;
mod rows;
mod slow;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PATIENCE: Duration = Duration::from_secs(30);

/// How a receiver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Failing,
    Hanging,
    /// Answers well, but not before its mood is another.
    Late,
    Gone,
    Moved,
}

/// One request as it came.
#[derive(Clone, Debug)]
struct Attempt {
    id: String,
    headers: HeaderMap,
    body: Bytes,
    mood: Mood,
}

struct Receiver {
    address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    attempts: Arc<Mutex<Vec<Attempt>>>,
}

type Book = (Arc<Mutex<Mood>>, Arc<Mutex<Vec<Attempt>>>);

impl Receiver {
    async fn start(mood: Mood) -> Self {
        let (mood, attempts): Book = (Arc::new(Mutex::new(mood)), Arc::default());
        let router = Router::new()
            .route("/hook", post(take))
            .with_state((mood.clone(), attempts.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            mood,
            attempts,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap().clone()
    }

    fn taken(&self) -> Vec<Attempt> {
        self.attempts()
            .into_iter()
            .filter(|attempt| attempt.mood == Mood::Well)
            .collect()
    }

    fn taken_ids(&self) -> BTreeSet<String> {
        self.taken().into_iter().map(|attempt| attempt.id).collect()
    }
}

async fn take(
    State((now, attempts)): State<Book>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, &'static str) {
    let mood = *now.lock().unwrap();
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    attempts.lock().unwrap().push(Attempt {
        id,
        headers,
        body,
        mood,
    });
    let mut answer = HeaderMap::new();
    let status = match mood {
        Mood::Well => StatusCode::NO_CONTENT,
        Mood::Failing => StatusCode::INTERNAL_SERVER_ERROR,
        Mood::Hanging => std::future::pending().await,
        Mood::Late => {
            while *now.lock().unwrap() == Mood::Late {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            StatusCode::NO_CONTENT
        }
        Mood::Gone => StatusCode::GONE,
        Mood::Moved => {
            answer.insert("location", "/hook".parse().unwrap());
            StatusCode::TEMPORARY_REDIRECT
        }
    };
    let said = if status.is_success() { "" } else { "it fails" };
    (status, answer, said)
}

/// A deployment of its own, and the role in it.
struct Stage {
    database: TestDatabase,
    broker: TestBroker,
    role: Option<(CancellationToken, JoinHandle<Result<(), StartError>>)>,
}

impl Stage {
    async fn new() -> Self {
        Self {
            database: TestDatabase::new().await,
            broker: TestBroker::new(1).await,
            role: None,
        }
    }

    fn start(&mut self, settings: Settings) {
        let process = Process {
            store: self.database.another_store(),
            broker: self.broker.broker().clone(),
            clock: Clock::system(),
            randomness: Randomness::system(),
            life: Lifecycle::new(),
            health: Health::new(Clock::system()),
            tracer: Tracer::default(),
        };
        let stop = process.life.soft().clone();
        self.role = Some((stop, tokio::spawn(run(process, settings))));
    }

    async fn stop(&mut self) {
        let (stop, role) = self.role.take().unwrap();
        stop.cancel();
        role.await.unwrap().unwrap();
    }

    async fn register(&self, receiver: &Receiver, token: Option<&Token>, events: &[&str]) -> WebhookId {
        self.put(NewWebhook {
            tokens: token.cloned().into_iter().collect(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            ..webhook(receiver)
        })
        .await
    }

    async fn put(&self, webhook: NewWebhook) -> WebhookId {
        let (store, broker) = (self.database.store(), self.broker.broker());
        subscription::register(store, broker, &webhook).await.unwrap().id
    }

    /// Publishes an event as the relay does; returns its id.
    async fn publish(&self, token: &Token, sequence: i64) -> String {
        let id = shared::testing::event_id();
        let instance = Instance {
            owner: None,
            name: token.clone(),
        };
        let envelope = Event::send_start(shared::testing::queue_id()).envelope(instance, id, 1, sequence);
        let topology = self.broker.broker().topology().clone();
        let name = envelope.event.as_str();
        let message = Outgoing::event(&topology, token, name, id, envelope.to_json().into());
        self.broker.broker().publisher().publish(message).await.unwrap();
        id.to_string()
    }

    async fn depth(&self, queue: &QueueName) -> u32 {
        self.broker.broker().depth(queue).await.unwrap()
    }

    async fn rows(&self, webhook: WebhookId, state: DeliveryState) -> Vec<deliveries::DeliveryRecord> {
        let filter = Filter {
            state: Some(state),
            ..Filter::default()
        };
        replays::list(self.database.store(), webhook, &filter, None, 1000)
            .await
            .unwrap()
    }
}

/// A webhook that wants everything.
fn webhook(receiver: &Receiver) -> NewWebhook {
    NewWebhook {
        id: shared::testing::webhook_id(),
        tokens: Vec::new(),
        url: receiver.url(),
        secret: Secret::new(SECRET),
        headers: Vec::new(),
        events: Vec::new(),
        dialect: Dialect::Standard,
        limits: Limits::default(),
    }
}

fn settings() -> Settings {
    Settings {
        global: None,
        reach: Reach::Anywhere,
        timeout: Duration::from_millis(400),
        schedule: vec!["0.2"; 31].join(",").parse().unwrap(),
        circuit: CircuitLimits {
            first: Duration::from_millis(200),
            longest: Duration::from_millis(400),
        },
        pending_max: 100_000,
        keep_delivered: 0,
        keep_delivered_for: Duration::from_secs(3_600),
        keep_queues: None,
        keep_messages: None,
    }
}

async fn until(what: &str, mut seen: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !seen().await {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_event_is_posted_signed_at_once_and_leaves_no_row() {
    let mut stage = Stage::new().await;
    let (all, own, other) = (
        Receiver::start(Mood::Well).await,
        Receiver::start(Mood::Well).await,
        Receiver::start(Mood::Well).await,
    );
    let token = testing::token();
    stage.register(&all, None, &[]).await;
    stage.start(settings());
    // Registered after the start and before the event: it gets the event.
    stage.register(&own, Some(&token), &["send.message:*"]).await;
    stage.register(&other, Some(&testing::token()), &[]).await;
    stage.register(&other, None, &["paused.queue"]).await;
    let id = stage.publish(&token, 1).await;
    until("both have it", async || {
        all.taken().len() == 1 && own.taken().len() == 1
    })
    .await;

    let attempt = &own.taken()[0];
    assert_eq!(attempt.id, id);
    assert_eq!(attempt.headers["content-type"], "application/json");
    standardwebhooks::Webhook::new(SECRET)
        .unwrap()
        .verify(&attempt.body, &attempt.headers)
        .unwrap();
    let envelope: Value = serde_json::from_slice(&attempt.body).unwrap();
    assert_eq!(
        (&envelope["id"], &envelope["instance"]["name"]),
        (&json!(id), &json!(token))
    );
    stage.stop().await;
    assert_eq!(other.attempts().len(), 0);
    assert_eq!(stage.depth(&QueueName::Webhooks).await, 0);
    assert_eq!(
        stage.database.query("SELECT count(*) FROM delivery").await,
        [Some("0".to_owned())]
    );
}

#[tokio::test]
async fn a_receiver_that_fails_hangs_and_recovers_gets_every_event_under_one_id() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Failing).await;
    let webhook = stage.register(&receiver, None, &[]).await;
    stage.start(settings());
    let tokens = [testing::token(), testing::token(), testing::token()];
    let mut published = BTreeSet::new();
    let mut publish = async |stage: &Stage| {
        for sequence in 0..30 {
            published.insert(
                stage
                    .publish(&tokens[sequence % 3], i64::try_from(sequence).unwrap())
                    .await,
            );
        }
    };
    publish(&stage).await;
    until("the failures are rows", async || {
        stage.rows(webhook, DeliveryState::Pending).await.len() == 30
            && stage.depth(&QueueName::Webhooks).await == 0
    })
    .await;
    receiver.set(Mood::Hanging);
    publish(&stage).await;
    until("some hang", async || {
        receiver
            .attempts()
            .iter()
            .any(|attempt| attempt.mood == Mood::Hanging)
    })
    .await;
    // What is to be retried is in the database: another process goes on with it.
    stage.stop().await;
    receiver.set(Mood::Well);
    stage.start(settings());
    until("all are taken", async || receiver.taken_ids().len() == 60).await;
    until("no row is left pending", async || {
        stage.rows(webhook, DeliveryState::Pending).await.is_empty()
    })
    .await;
    stage.stop().await;

    assert_eq!(receiver.taken_ids(), published);
    let key = standardwebhooks::Webhook::new(SECRET).unwrap();
    let mut bodies = BTreeMap::new();
    for attempt in receiver.attempts() {
        key.verify(&attempt.body, &attempt.headers).unwrap();
        let envelope: Value = serde_json::from_slice(&attempt.body).unwrap();
        assert_eq!(envelope["id"], attempt.id.as_str());
        assert_eq!(
            *bodies.entry(attempt.id).or_insert(attempt.body.clone()),
            attempt.body,
            "the same body each time"
        );
    }
    let rows = stage.rows(webhook, DeliveryState::Delivered).await;
    assert!(
        rows.iter()
            .all(|row| row.last_status == Some(204) && !row.history.is_empty())
    );
}

#[tokio::test]
async fn a_receiver_that_answers_410_gets_nothing_more() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Gone).await;
    let webhook = stage.register(&receiver, None, &[]).await;
    stage.start(settings());
    let token = testing::token();
    stage.publish(&token, 1).await;
    until("it is disabled", async || {
        webhooks::find(stage.database.store(), webhook)
            .await
            .unwrap()
            .unwrap()
            .disabled
            .is_some()
    })
    .await;
    until("its event waits", async || {
        stage.rows(webhook, DeliveryState::Pending).await.len() == 1
    })
    .await;
    stage.publish(&token, 2).await;
    until("the second event is settled", async || {
        stage.depth(&QueueName::Webhooks).await == 0
    })
    .await;
    stage.stop().await;
    assert_eq!(receiver.attempts().len(), 1);
}

#[tokio::test]
async fn a_delivery_dies_after_its_schedule_and_lives_again_when_replayed() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Moved).await;
    let webhook = stage.register(&receiver, None, &[]).await;
    stage.start(Settings {
        schedule: "0.05,0.05".parse().unwrap(),
        ..settings()
    });
    let id = stage.publish(&testing::token(), 1).await;
    until("it is dead", async || {
        stage.rows(webhook, DeliveryState::Dead).await.len() == 1
    })
    .await;
    let dead = &stage.rows(webhook, DeliveryState::Dead).await[0];
    assert_eq!(
        (dead.attempts, dead.history.len(), dead.last_status),
        (3, 3, Some(307))
    );
    assert_eq!(receiver.attempts().len(), 3, "redirects are not followed");

    receiver.set(Mood::Well);
    replays::replay(stage.database.store(), webhook, dead.id)
        .await
        .unwrap()
        .unwrap();
    until("it is delivered", async || {
        stage.rows(webhook, DeliveryState::Delivered).await.len() == 1
    })
    .await;
    assert_eq!(receiver.taken_ids(), BTreeSet::from([id]));
    stage.stop().await;
}

#[tokio::test]
async fn the_global_webhook_gets_messages_in_its_own_shape() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Failing).await;
    let settings = Settings {
        global: Some(receiver.url()),
        reach: Reach::Public,
        ..settings()
    };
    stage.start(settings.clone());
    let token = testing::token();
    stage.publish(&token, 1).await;
    let id = shared::testing::event_id();
    let envelope = json!({
        "event": "new.message", "id": id, "instance": { "owner": null, "name": token }, "timestamp": 1, "sequence": 2,
        "data": {
            "header": { "messageId": "3EB0AA", "fromMe": false, "wuid": "123@s.whatsapp.net" },
            "body": { "messageType": "conversation", "message": "Test" },
            "context": { "sourceDevice": "android", "messageTimestamp": 5, "fromGroup": false }
        }
    });
    let topology = stage.broker.broker().topology().clone();
    let message = Outgoing::event(&topology, &token, "new.message", id, envelope.to_string().into());
    stage.broker.broker().publisher().publish(message).await.unwrap();
    until("it failed once", async || !receiver.attempts().is_empty()).await;
    receiver.set(Mood::Well);
    until("it is taken", async || receiver.taken().len() == 1).await;
    stage.stop().await;

    let attempt = &receiver.taken()[0];
    let body: Value = serde_json::from_slice(&attempt.body).unwrap();
    assert_eq!(
        (&body["token"], &body["message"]),
        (&json!(token), &json!({ "conversation": "Test" }))
    );
    assert_eq!(
        body["key"],
        json!({ "remoteJid": "123@s.whatsapp.net", "fromMe": false, "id": "3EB0AA" })
    );
    assert!(
        receiver
            .attempts()
            .iter()
            .all(|attempt| attempt.id == id.to_string())
    );
    assert!(!attempt.headers.contains_key("webhook-signature"));

    // Without the setting the row goes.
    stage.start(Settings {
        global: None,
        ..settings
    });
    until("the row is gone", async || {
        webhooks::find(stage.database.store(), GLOBAL)
            .await
            .unwrap()
            .is_none()
    })
    .await;
    stage.stop().await;
}

#[tokio::test]
async fn an_event_that_can_not_be_read_holds_nobody_up() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Well).await;
    stage.register(&receiver, None, &[]).await;
    stage.start(settings());
    let token = testing::token();
    let topology = stage.broker.broker().topology().clone();
    let rubbish = Outgoing::event(
        &topology,
        &token,
        "paused.queue",
        shared::testing::event_id(),
        "rubbish".into(),
    );
    stage.broker.broker().publisher().publish(rubbish).await.unwrap();
    stage.publish(&token, 1).await;
    until("the next one arrives", async || receiver.taken().len() == 1).await;
    until("it is put away", async || {
        stage.depth(&QueueName::DeadWebhooks).await == 1
    })
    .await;
    stage.stop().await;
}

#[tokio::test]
async fn private_addresses_are_out_of_reach() {
    let receiver = Receiver::start(Mood::Well).await;
    let poster = Poster::new(Reach::Public, Duration::from_secs(5)).unwrap();
    let port = receiver.address.port();
    for url in [
        receiver.url(),
        format!("http://localhost:{port}/hook"),
        format!("http://[::ffff:127.0.0.1]:{port}/hook"),
        // Only the resolver can tell.
        format!("http://ip6-localhost:{port}/hook"),
    ] {
        let url = url.parse().unwrap();
        let post = request::Post {
            url: &url,
            secrets: &[SECRET],
            headers: &reqwest::header::HeaderMap::new(),
            id: "1",
            body: "{}".into(),
            now_unix_secs: 1,
            trace: None,
        };
        let outcome = poster.post(post).await.outcome;
        assert!(
            matches!(outcome, request::Outcome::Failed { status: None, .. }),
            "{url}: {outcome:?}"
        );
    }
    assert_eq!(receiver.attempts().len(), 0);
}
