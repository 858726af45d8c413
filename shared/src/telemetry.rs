//! Logs, spans, metrics and health: set up once, told in one place.
//!
//! Rules of metrics: declared in [`crate::metrics`], labels from closed sets: no series per session.

mod health;
mod logs;
mod spans;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use health::{Health, Heartbeat};
pub use logs::{LINES_MAX, Limit, WINDOW, init_logs};
pub use spans::{Open, SPANS_WAITING_MAX, SpanKind, Traced, Tracer};

use crate::config::Secret;
use crate::metrics::{self, Once, Role};

/// How often histograms are folded, so that they do not grow between scrapes.
const UPKEEP: Duration = Duration::from_secs(5);
/// What the system knows of this process, under the names that all programs use.
static PROCESS: LazyLock<metrics_process::Collector> = LazyLock::new(metrics_process::Collector::default);

/// The metrics of this process, and who may read them.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    once: Once,
    token: Option<Secret>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Installs the recorder of this process, describes what the role shows and registers it.
    ///
    /// # Errors
    /// If there is one already.
    pub fn install(role: Role) -> Result<Self, String> {
        let mut builder = PrometheusBuilder::new();
        for declared in metrics::all().map(|metric| metric.declared()) {
            if let Some(buckets) = declared.buckets {
                let name = Matcher::Full(declared.name.to_owned());
                let set = builder.set_buckets_for_metric(name, buckets.bounds());
                builder = set.map_err(|error| error.to_string())?;
            }
        }
        let handle = builder.install_recorder().map_err(|error| error.to_string())?;
        metrics::install(role);
        PROCESS.describe();
        Ok(Self {
            handle,
            once: Once::default(),
            token: None,
        })
    }

    /// Where this process shows what is of the whole deployment, while it is the one that looks for all.
    pub fn once(&self) -> Once {
        self.once.clone()
    }

    /// Over HTTP they are read only with this token, if there is one.
    #[must_use]
    pub fn guarded(self, token: Option<Secret>) -> Self {
        Self { token, ..self }
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        PROCESS.collect();
        let mut text = self.handle.render();
        text.push_str(&self.once.render());
        text
    }

    /// Folds histograms for as long as the process lives.
    pub async fn upkeep(&self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            self.handle.run_upkeep();
        }
    }
}

/// `/metrics`, `/healthz` and `/readyz`, for the admin port or to be joined to a process's own routes.
pub fn routes(metrics: Option<Metrics>, health: Health) -> Router {
    let (live, ready) = (health.clone(), health);
    let router = Router::new()
        .route("/healthz", get(async move || report(live.stuck(), Vec::new())))
        .route(
            "/readyz",
            get(async move || report(ready.not_ready().await, ready.degradations().await)),
        );
    match metrics {
        Some(metrics) => router.route(
            "/metrics",
            get(async move |headers: HeaderMap| exposed(&metrics, &headers)),
        ),
        None => router,
    }
}

/// The metrics for whoever may read them.
fn exposed(metrics: &Metrics, headers: &HeaderMap) -> Response {
    if !metrics.token.as_ref().is_none_or(|token| brings(headers, token)) {
        let wanted = [(header::WWW_AUTHENTICATE, "Bearer realm=\"metrics\"")];
        let words = "the metrics are read with Authorization: Bearer METRICS_TOKEN\n";
        return (StatusCode::UNAUTHORIZED, wanted, words).into_response();
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, metrics.render()).into_response()
}

/// Whether a request brings the token. Digests are compared, in constant time: neither length nor prefix shows.
fn brings(headers: &HeaderMap, token: &Secret) -> bool {
    let offered = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let offered = offered.and_then(|value| value.strip_prefix(b"Bearer "));
    offered.is_some_and(|offered| {
        let [offered, wanted] = [offered, token.expose().as_bytes()].map(Sha256::digest);
        bool::from(offered[..].ct_eq(&wanted[..]))
    })
}

/// What is only degraded is said and changes no status: whoever restarts or cuts off what is not ready would do harm.
fn report(problems: Vec<String>, degraded: Vec<String>) -> impl IntoResponse {
    let status = if problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        axum::Json(
            serde_json::json!({ "ok": problems.is_empty(), "problems": problems, "degraded": degraded }),
        ),
    )
}

/// Listens where `METRICS_ADDR` says, if it says anything.
///
/// # Errors
/// If the address is taken or not ours, with what to do about it.
pub async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>, String> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => "another process listens there: stop it, or choose another port",
            ErrorKind::AddrNotAvailable => "this machine has no such address: correct it",
            ErrorKind::PermissionDenied => "this user may not: choose a port above 1023",
            _ => "correct it",
        };
        format!("METRICS_ADDR: can't listen on {address} ({error}); {advice}")
    })?;
    Ok(Some(listener))
}

/// Keeps the metrics small, and serves the admin routes where there is a listener, until stopped.
///
/// # Errors
/// If the server breaks.
pub async fn serve(
    listener: Option<TcpListener>,
    metrics: Metrics,
    health: Health,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let upkeep = metrics.clone();
    let server = async {
        match listener {
            Some(listener) => {
                axum::serve(listener, routes(Some(metrics), health))
                    .with_graceful_shutdown(stop.cancelled_owned())
                    .await
            }
            None => {
                stop.cancelled().await;
                Ok(())
            }
        }
    };
    tokio::select! {
        result = server => result,
        () = upkeep.upkeep() => Ok(()),
    }
}

#[cfg(test)]
mod tests;
