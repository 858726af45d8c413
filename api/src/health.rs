//! Whether this process lives, whether it can serve, and its metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::app::App;

/// How long a check of readiness may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What `/readyz` says.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    broker: bool,
    database: bool,
}

/// `GET /healthz`: the process answers.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: broker and database are there. 503 where one is not, naming it.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let broker = app.broker.is_ready();
    let database = matches!(tokio::time::timeout(PATIENCE, app.store.ping()).await, Ok(Ok(())));
    let ready = broker && database;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, broker, database })).into_response()
}
