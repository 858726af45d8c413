//! The router: which path goes where, and what every request passes on its way.
//!
//! Owns the order of the layers. Must not hold any logic of a route.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use shared::broker::{Broker, Outgoing, Publisher, Rpc};
use shared::egress::Reach;
use shared::id::{JobId, ShardId, Token};
use shared::job::{Answer, Job};
use shared::store::Store;
use shared::store::webhooks::{NewWebhook, WebhookRecord};
use shared::subscription::{self, SubscriptionError};
use tokio_util::task::TaskTracker;
use tower::util::MapResponseLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::validate_request::ValidateRequestHeaderLayer;

use crate::auth::{ApiKey, Scheme};
use crate::extract::MAX_BODY_BYTES;
use crate::observe::ObserveLayer;
use crate::problem::{Code, Problem};
use crate::tokens::TokenCache;
use crate::{idempotency, jobs, openapi, seed, v1};

/// How long a browser may remember the answer to a preflight request.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3600);

/// Lanes that jobs are published over. The jobs of a session keep to one, so that they keep their order.
const LANES: usize = 4;

/// What every handler can reach.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub store: Store,
    /// The broker.
    pub broker: Broker,
    /// The key that opens the API.
    pub key: ApiKey,
    /// Which tokens are known, remembered for a short while.
    pub tokens: TokenCache,
    /// How many shards the sessions are divided into.
    pub shards: u16,
    /// How far webhooks may reach.
    pub reach: Reach,
    /// Work that goes on when its client leaves; waited for before the process ends.
    pub tasks: TaskTracker,
    lanes: [Publisher; LANES],
    rpc: Rpc,
}

impl App {
    /// Puts together what handlers need.
    pub fn new(store: Store, broker: Broker, key: ApiKey, shards: u16, reach: Reach) -> Self {
        let lanes = std::array::from_fn(|_| broker.publisher());
        let rpc = broker.rpc();
        Self {
            store,
            broker,
            key,
            tokens: TokenCache::default(),
            shards,
            reach,
            tasks: TaskTracker::new(),
            lanes,
            rpc,
        }
    }

    /// Publishes a job and returns once the broker has it on disk. Many may be under way at once.
    ///
    /// # Errors
    /// 503 when the broker is away, takes no messages, or does not confirm in time.
    pub async fn publish(&self, token: &Token, id: &JobId, job: &Job) -> Result<(), Problem> {
        self.broker_takes_messages()?;
        let message = Outgoing::job(self.broker.topology(), token, id, job);
        self.lane(token)
            .publish(message)
            .await
            .map_err(jobs::not_published)
    }

    /// Publishes a job that is answered, and waits for the answer.
    ///
    /// # Errors
    /// 504 without an answer in [`jobs::ANSWER_TIMEOUT`], 503 when the broker is away.
    pub async fn call(&self, token: &Token, job: &Job) -> Result<Answer, Problem> {
        self.broker_takes_messages()?;
        let answer = self
            .rpc
            .call(token, &JobId::random(), job, jobs::ANSWER_TIMEOUT)
            .await;
        answer.map_err(jobs::not_answered)
    }

    /// Routes the jobs of a token to its shard.
    ///
    /// # Errors
    /// 503 when the broker is away.
    pub async fn bind(&self, token: &Token, shard: ShardId) -> Result<(), Problem> {
        self.broker.bind_token(token, shard).await.map_err(|error| {
            tracing::warn!(%error, "a session's token could not be bound");
            jobs::broker_away("the message broker is not available; try again")
        })
    }

    /// Registers a webhook: events that are published after this reach it.
    ///
    /// # Errors
    /// 503 when the broker or the database is away.
    pub async fn register(&self, webhook: &NewWebhook) -> Result<WebhookRecord, Problem> {
        let registered = subscription::register(&self.store, &self.broker, webhook).await;
        registered.map_err(|error| match error {
            SubscriptionError::Store(error) => error.into(),
            SubscriptionError::Broker(error) => {
                tracing::warn!(%error, "the broker could not be told of a webhook");
                jobs::broker_away("the message broker is not available; try again")
            }
        })
    }

    /// In an alarm the broker would let us wait until the confirm's time is over.
    fn broker_takes_messages(&self) -> Result<(), Problem> {
        if self.broker.is_ready() {
            return Ok(());
        }
        Err(jobs::broker_away(
            "the message broker is away or takes no messages at this moment; try again",
        ))
    }

    fn lane(&self, token: &Token) -> &Publisher {
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        let lane = hasher.finish() % LANES as u64;
        &self.lanes[usize::try_from(lane).unwrap_or_default()]
    }
}

/// The whole API. `origins` are the browser origins that may call it; `admin` are the routes that tell of health and
/// metrics, which need no key.
pub fn router(app: Arc<App>, origins: &[HeaderValue], admin: Router) -> Router {
    let v1 = v1::router()
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer((
            MapResponseLayer::new(unreadable),
            door(&app, Scheme::BasicOrBearer),
        ));
    let seed = seed::router()
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer((
            MapResponseLayer::new(seed::dialect::dress),
            door(&app, Scheme::Basic),
        ));
    Router::new()
        .nest("/v1", v1)
        .nest("/api/whatsapp", seed)
        .route("/v1/openapi.json", get(async || Json(openapi::document())))
        .with_state(app)
        .merge(admin)
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        // All in one: each further `layer` would box every request once more.
        .layer((cors(origins), ObserveLayer, DefaultBodyLimit::max(MAX_BODY_BYTES)))
}

/// Lets a request in that brings the key by one of `scheme`'s ways.
#[allow(
    clippy::result_large_err,
    reason = "the layer wants the whole answer, and is asked once per request"
)]
fn door(
    app: &Arc<App>,
    scheme: Scheme,
) -> ValidateRequestHeaderLayer<impl FnMut(&mut Request) -> Result<(), Response> + Clone + use<>> {
    let app = app.clone();
    ValidateRequestHeaderLayer::custom(move |request: &mut Request| {
        app.key
            .check(request.headers(), scheme)
            .map_err(IntoResponse::into_response)
    })
}

fn cors(origins: &[HeaderValue]) -> CorsLayer {
    let origins = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().cloned())
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static(idempotency::HEADER),
        ])
        .expose_headers([
            header::RETRY_AFTER,
            header::LOCATION,
            HeaderName::from_static(idempotency::REPLAYED),
        ])
        .max_age(PREFLIGHT_AGE)
}

/// Gives a body to what the framework itself refused: a path or a query string that can't be decoded.
fn unreadable(response: Response) -> Response {
    if response.status() != StatusCode::BAD_REQUEST || response.extensions().get::<Arc<Problem>>().is_some() {
        return response;
    }
    Problem::new(Code::MalformedBody, "the path or the query string can't be read").into_response()
}

async fn no_such_path() -> Problem {
    Problem::new(
        Code::NotFound,
        "there is nothing at this path; /v1/openapi.json lists what there is",
    )
}

async fn no_such_method() -> Problem {
    Problem::new(Code::MethodNotAllowed, "this path does not take this method")
}
