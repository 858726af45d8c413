//! Handlers against a real database and a real broker; the worker is played by the test.

mod calls;
mod cases;
mod chats;
mod commands;
mod control;
mod document;
mod doors;
mod downloads;
mod dry_run;
mod errors;
mod examples;
mod forms;
mod labels;
mod legacy;
mod legacy_sends;
mod listener;
mod look_up;
mod media_host;
mod profile;
mod queues;
mod realtime;
mod repeats;
mod schedules;
mod sessions;
mod standing;
mod uploads;
mod vocabulary;
mod webhooks;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use shared::broker::{Consumer, Delivery, QueueName};
use shared::egress::Reach;
use shared::files::StorePlace;
use shared::id::{JobId, SessionId, ShardId, Token};
use shared::job::{Answer, Job, SendJob, SendLimits};
use shared::store::Fence;
use shared::store::queues as queue_rows;
use shared::store::sessions as session_rows;
use shared::testing::{self, TestBroker, TestDatabase};
use tower::ServiceExt;

use self::media_host::MediaHost;
use crate::app::App;
use crate::auth::ApiKey;
use crate::downloads::{DownloadSettings, Downloads};
use crate::router::router;
use crate::uploads::{UploadSettings, Uploads};

const KEY: &str = "a key of the tests: 0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(20);

/// An API on a database and a broker of its own.
struct TestApi {
    database: TestDatabase,
    broker: TestBroker,
    app: Arc<App>,
    router: Router,
    media: MediaHost,
    folder: tempfile::TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {:?}", self))
    }
}

impl TestApi {
    async fn new() -> Self {
        Self::with_limits(SendLimits::default()).await
    }

    async fn with_limits(limits: SendLimits) -> Self {
        let uploads = UploadSettings {
            max_bytes: 1 << 20,
            ..UploadSettings::default()
        };
        Self::with(limits, uploads).await
    }

    /// What is uploaded lies in a folder of its own.
    async fn with(limits: SendLimits, uploads: UploadSettings) -> Self {
        let database = TestDatabase::new().await;
        let broker = TestBroker::new(1).await;
        let key = ApiKey::new(KEY, IpAddr::V4(Ipv4Addr::UNSPECIFIED)).unwrap();
        let (store, its) = (database.store().clone(), broker.broker().clone());
        let mut app = App::new(store, its, key, 1, Reach::Public);
        app.limits = limits;
        let media = MediaHost::start().await;
        app.downloads = Downloads::new(DownloadSettings {
            host: media.url.clone(),
            ..DownloadSettings::default()
        });
        let folder = tempfile::tempdir().unwrap();
        app.uploads = Uploads::new(&UploadSettings {
            place: Some(StorePlace::Folder(folder.path().to_owned())),
            ..uploads
        })
        .unwrap();
        let app = Arc::new(app);
        let origins = ["https://app.example.com".parse().unwrap()];
        let router = router(app.clone(), &origins, Router::new());
        Self {
            database,
            broker,
            app,
            router,
            media,
            folder,
        }
    }

    async fn request(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answered {
            status: parts.status,
            headers: parts.headers,
            bytes,
        }
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Answered {
        self.request(signed(method, path).body(body.into()).unwrap())
            .await
    }

    async fn post(&self, path: &str, body: &Value) -> Answered {
        self.send(Method::POST, path, body.to_string()).await
    }

    async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answered {
        let request = signed(Method::POST, path).header("Idempotency-Key", key);
        self.request(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    async fn get(&self, path: &str) -> Answered {
        self.send(Method::GET, path, Body::empty()).await
    }

    async fn patch(&self, path: &str, body: &Value) -> Answered {
        self.send(Method::PATCH, path, body.to_string()).await
    }

    async fn delete(&self, path: &str) -> Answered {
        self.send(Method::DELETE, path, Body::empty()).await
    }

    /// A session with its token bound, as `create-instance` makes it, without the job that starts it.
    async fn session(&self) -> Token {
        let token = testing::token();
        let session = session_rows::create(self.database.store(), &token, 1)
            .await
            .unwrap()
            .into_record();
        self.broker
            .broker()
            .bind_token(&token, session.shard)
            .await
            .unwrap();
        token
    }

    async fn open_session(&self) -> Token {
        let token = self.session().await;
        self.set_session(&token, "state = 3, jid = '5531900000000@s.whatsapp.net'")
            .await;
        token
    }

    async fn set_session(&self, token: &Token, columns: &str) {
        self.database
            .query(&format!("UPDATE session SET {columns} WHERE token = '{token}'"))
            .await;
    }

    async fn worker(&self) -> Worker<'_> {
        self.worker_with(self.database.lease(0, "played").await)
    }

    fn worker_with(&self, fence: Fence) -> Worker<'_> {
        let consumer = self
            .broker
            .broker()
            .consume(&QueueName::Shard(ShardId::new(0).unwrap()), 100);
        Worker {
            api: self,
            fence,
            consumer,
        }
    }
}

fn signed(method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(
            header::AUTHORIZATION,
            format!("Basic {}", STANDARD.encode(format!("{KEY}:"))),
        )
        .header(header::CONTENT_TYPE, "application/json")
}

/// What adopting a queue writes.
const ADOPTED: &str = "account = (SELECT split_part(s.jid, '@', 1) FROM session s WHERE s.id = session_id)";

/// A session worker that does what it is told, in the database alone.
struct Worker<'a> {
    api: &'a TestApi,
    fence: Fence,
    consumer: Consumer,
}

impl Worker<'_> {
    async fn next(&mut self) -> (Job, Delivery) {
        let next = tokio::time::timeout(PATIENCE, self.consumer.next());
        let delivery = next.await.expect("no job in time").unwrap();
        (
            Job::parse(delivery.kind.as_deref().unwrap(), &delivery.body).unwrap(),
            delivery,
        )
    }

    /// The next job, which must be a send, with its id; it is stored as a worker stores it.
    async fn accept(&mut self) -> (SendJob, JobId) {
        let (job, delivery) = self.next().await;
        let Job::Send(job) = job else { panic!("{job:?}") };
        let id = self.store(&job, &delivery).await;
        delivery.ack().await.unwrap();
        (*job, id)
    }

    async fn store(&self, job: &SendJob, delivery: &Delivery) -> JobId {
        let id = JobId::new(delivery.message_id.as_deref().unwrap()).unwrap();
        let token = Token::new(&delivery.routing_key).unwrap();
        let session = self.session(&token).await;
        let queue = job.queue_id(&token, &id);
        let offer = queue_rows::accepting::Offer {
            session,
            queue,
            other: job.other_queue_id(&token, &id),
            id: &id,
            ids: testing::stanza_ids(),
            job,
            trace: None,
        };
        let accepted =
            queue_rows::accepting::accept_all(self.api.database.store(), self.fence, &[offer]).await;
        accepted.unwrap().pop().unwrap().unwrap();
        id
    }

    /// Takes one command on a queue.
    async fn obey(&mut self) -> Job {
        let (job, delivery) = self.next().await;
        assert!(self.command(&job).await, "{job:?}");
        delivery.ack().await.unwrap();
        job
    }

    /// Does what a command on a queue asks; false where the job is none.
    async fn command(&self, job: &Job) -> bool {
        let (queue, columns) = match job {
            Job::Pause(queue) => (queue.queue_id, "state = 2, paused_at = now()".to_owned()),
            Job::Resume(queue) => (queue.queue_id, "state = 0, paused_at = NULL".to_owned()),
            Job::Delete(queue) => (
                queue.queue_id,
                "state = 4, paused_at = NULL, finished_at = now()".to_owned(),
            ),
            Job::Adopt(queue) => (queue.queue_id, ADOPTED.to_owned()),
            Job::Pace(pace) => {
                let (min, max) = (pace.delay.min().as_millis(), pace.delay.max().as_millis());
                (
                    pace.queue_id,
                    format!("delay_min_ms = {min}, delay_max_ms = {max}"),
                )
            }
            _ => return false,
        };
        let sql = format!("UPDATE queue SET {columns} WHERE id = '{queue}'");
        self.api.database.query(&sql).await;
        true
    }

    /// Answers the next job.
    async fn answer(&mut self, answer: &Answer) -> Job {
        let (job, delivery) = self.next().await;
        let to = delivery.reply_address().unwrap();
        self.api
            .broker
            .broker()
            .publisher()
            .reply(&to, answer)
            .await
            .unwrap();
        delivery.ack().await.unwrap();
        job
    }

    async fn session(&self, token: &Token) -> SessionId {
        session_rows::find(self.api.database.store(), token)
            .await
            .unwrap()
            .unwrap()
            .id
    }
}
