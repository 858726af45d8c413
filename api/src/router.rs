//! The router: which path goes where, and what every request passes on its way.
//!
//! Owns the order of the layers. Must not hold any logic of a route.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use shared::trace::TRACEPARENT;
use tower::util::MapResponseLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::validate_request::ValidateRequestHeaderLayer;

use crate::app::App;
use crate::auth::Scheme;
use crate::extract::MAX_BODY_BYTES;
use crate::observe::ObserveLayer;
use crate::problem::{Code, Problem};
use crate::{asyncapi, idempotency, legacy, openapi, page, v1};

/// How long a browser may remember the answer to a preflight request.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3600);

/// The whole API. `origins` are the browser origins that may call it; `admin` are the routes that tell of health and
/// metrics, which need no key.
pub fn router(app: Arc<App>, origins: &[HeaderValue], admin: Router) -> Router {
    let observe = ObserveLayer::new(app.clock, app.tracer.clone());
    let v1 = v1::router()
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer((
            MapResponseLayer::new(unreadable),
            door(&app, origins, Scheme::BasicOrBearer),
        ));
    let legacy = legacy::router()
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer((
            MapResponseLayer::new(legacy::dialect::dress),
            door(&app, origins, Scheme::Basic),
        ));
    Router::new()
        .nest("/v1", v1)
        .nest("/api/whatsapp", legacy)
        .route("/v1/openapi.json", get(async || Json(openapi::document())))
        .route("/v1/asyncapi.json", get(asyncapi::show))
        .with_state(app)
        .merge(page::routes())
        .merge(admin)
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        // All in one: each further `layer` would box every request once more.
        .layer((cors(origins), observe, DefaultBodyLimit::max(MAX_BODY_BYTES)))
}

/// Lets a request in that brings the key by one of `scheme`'s ways; where no key is set, one that no foreign page had a
/// browser send.
#[allow(
    clippy::result_large_err,
    reason = "the layer wants the whole answer, and is asked once per request"
)]
fn door(
    app: &Arc<App>,
    origins: &[HeaderValue],
    scheme: Scheme,
) -> ValidateRequestHeaderLayer<impl FnMut(&mut Request) -> Result<(), Response> + Clone + use<>> {
    let (app, origins): (_, Arc<[HeaderValue]>) = (app.clone(), origins.into());
    ValidateRequestHeaderLayer::custom(move |request: &mut Request| {
        app.key
            .check(request.headers(), scheme, &origins)
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
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static(idempotency::HEADER),
            HeaderName::from_static(TRACEPARENT),
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
