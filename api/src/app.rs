//! The router: which path goes where, and what every request passes on its way.
//!
//! Owns the order of the layers. Must not hold any logic of a route.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use shared::broker::Broker;
use shared::egress::Reach;
use shared::store::Store;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::auth::{ApiKey, Scheme};
use crate::extract::MAX_BODY_BYTES;
use crate::problem::{Code, Problem};
use crate::tokens::TokenCache;
use crate::{health, idempotency, openapi, seed, v1};

/// How long a browser may remember the answer to a preflight request.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3600);

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
}

/// The whole API. `origins` are the browser origins that may call it.
pub fn router(app: Arc<App>, origins: &[HeaderValue]) -> Router {
    let v1 = v1::router()
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), open_to_basic_or_bearer));
    let seed = seed::router()
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), open_to_basic))
        .layer(middleware::map_response(seed::dialect::dress));
    Router::new()
        .nest("/v1", v1)
        .nest("/api/whatsapp", seed)
        .route("/v1/openapi.json", get(async || Json(openapi::document())))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(observe))
        .layer(cors(origins))
        .with_state(app)
}

async fn open_to_basic(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    authenticate(&app, Scheme::Basic, request, next).await
}

async fn open_to_basic_or_bearer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    authenticate(&app, Scheme::BasicOrBearer, request, next).await
}

async fn authenticate(app: &App, scheme: Scheme, request: Request, next: Next) -> Response {
    match app.key.check(request.headers(), scheme) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Counts and times each request by route and status, and logs it without its query string or body.
async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let seconds = started.elapsed().as_secs_f64();
    metrics::histogram!(
        "fanfare_http_request_seconds",
        "method" => method_label(&method), "route" => route.clone(), "status" => status.to_string()
    )
    .record(seconds);
    tracing::debug!(http.method = %method, http.route = route, http.status = status, duration_s = seconds, "request");
    response
}

/// A closed set of labels: a client may invent methods.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
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
        .expose_headers([header::RETRY_AFTER, header::LOCATION, HeaderName::from_static(idempotency::REPLAYED)])
        .max_age(PREFLIGHT_AGE)
}

async fn no_such_path() -> Problem {
    Problem::new(Code::NotFound, "there is nothing at this path; /v1/openapi.json lists what there is")
}

async fn no_such_method() -> Problem {
    Problem::new(Code::MethodNotAllowed, "this path does not take this method")
}
