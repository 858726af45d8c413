//! Logs, spans, metrics and health: set up once, told in one place.
//!
//! Rules of metrics: declared in [`METRICS`] (a test looks for others), labels from closed sets:
//! no series per session.

mod health;
mod logs;
mod spans;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use health::{Health, Heartbeat};
pub use logs::{LINES_MAX, Limit, WINDOW, init_logs};
pub use spans::{Open, SPANS_WAITING_MAX, SpanKind, Traced, Tracer};

use crate::config::Secret;

/// How often histograms are folded, so that they do not grow between scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Bounds of all histograms of seconds.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Bounds of all histograms of counts.
const COUNTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 350.0, 500.0];

/// The kind of a metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Spread of values.
    Histogram,
}

/// A metric that a process can have.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name: `fanfare_<noun>_<unit or total>`.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What it tells.
    pub help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        help,
    }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Gauge,
        help,
    }
}

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Histogram,
        help,
    }
}

/// All metrics of the product.
pub const METRICS: &[Metric] = &[
    histogram(
        "fanfare_transaction_seconds",
        "Database transactions, by name and outcome",
    ),
    histogram(
        "fanfare_commit_seconds",
        "Group commits, from gathered to durable",
    ),
    histogram("fanfare_commit_batch_writes", "Writes in one group commit"),
    counter(
        "fanfare_broker_reconnects_total",
        "Connections to the broker that ended or failed, by link",
    ),
    counter(
        "fanfare_events_published_total",
        "Events that the broker confirmed",
    ),
    gauge(
        "fanfare_outbox_events",
        "Committed events that wait to be published",
    ),
    gauge("fanfare_outbox_age_seconds", "Age of the oldest of them"),
    gauge("fanfare_shards_owned", "Shards that this worker holds"),
    gauge("fanfare_sessions", "Sessions of this worker, by state"),
    gauge(
        "fanfare_sessions_waiting",
        "Sessions of this worker, by why they send nothing just now",
    ),
    gauge(
        "fanfare_queues_waiting",
        "Queues of this worker that have not moved for about a second, by why",
    ),
    gauge(
        "fanfare_client_version_age_seconds",
        "Age of the version of WhatsApp Web that sessions of this worker say they are; it is refused after some months",
    ),
    gauge(
        "fanfare_client_version_refused",
        "1 while WhatsApp refuses sessions for that version",
    ),
    counter(
        "fanfare_client_version_refusals_total",
        "Connections that WhatsApp refused for their version (405)",
    ),
    counter(
        "fanfare_client_version_fetches_total",
        "Readings of the page that names the current version, by outcome",
    ),
    counter(
        "fanfare_jobs_total",
        "Jobs taken from the broker, by kind and outcome",
    ),
    counter(
        "fanfare_messages_sent_total",
        "Messages that WhatsApp acknowledged",
    ),
    counter(
        "fanfare_messages_failed_total",
        "Messages that could not be sent, by status",
    ),
    counter(
        "fanfare_messages_unknown_total",
        "Recipients of whom nobody knows whether they got their message, and who are not sent to again",
    ),
    counter(
        "fanfare_sessions_restricted_total",
        "Sessions that WhatsApp began to keep from writing to new contacts, by kind",
    ),
    counter(
        "fanfare_sessions_rate_limited_total",
        "Pauses of sessions that went too fast for WhatsApp",
    ),
    counter("fanfare_messages_received_total", "Messages that came in"),
    counter(
        "fanfare_devices_refused_total",
        "Devices that were left out because they did not prove who they are, by reason",
    ),
    counter(
        "fanfare_identities_changed_total",
        "Devices that turned out to have another identity than before",
    ),
    counter(
        "fanfare_resends_failed_total",
        "Messages that a device asked for again and WhatsApp did not take: it goes on waiting for them",
    ),
    counter(
        "fanfare_app_state_refused_total",
        "What WhatsApp has of an account that did not check out and was read from its beginning, by collection",
    ),
    counter(
        "fanfare_passkey_answers_refused_total",
        "Answers for a passkey that were none for what WhatsApp had asked",
    ),
    histogram(
        "fanfare_send_ack_seconds",
        "From a message's first byte to WhatsApp's acknowledgement",
    ),
    histogram(
        "fanfare_http_request_seconds",
        "HTTP requests, by route, method and status class",
    ),
    counter(
        "fanfare_webhook_attempts_total",
        "Attempts to deliver an event to a webhook, by outcome",
    ),
    histogram("fanfare_webhook_attempt_seconds", "How long an attempt took"),
    counter(
        "fanfare_webhook_events_total",
        "Events taken from the broker to be delivered",
    ),
    counter(
        "fanfare_webhook_circuit_opened_total",
        "Endpoints left alone for a while after a run of failures",
    ),
    counter(
        "fanfare_webhook_dead_total",
        "Deliveries given up: after their last attempt, or because their webhook was disabled",
    ),
    gauge(
        "fanfare_webhook_pending",
        "Deliveries that wait for another attempt",
    ),
    gauge("fanfare_webhook_dead", "Deliveries given up that can be replayed"),
    gauge(
        "fanfare_webhooks_unusable",
        "Webhooks that get nothing because their row can't be used, or is beyond the limit",
    ),
];

/// The metrics of this process, and who may read them.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    token: Option<Secret>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Installs the recorder of this process and describes all metrics.
    ///
    /// # Errors
    /// If there is one already.
    pub fn install() -> Result<Self, String> {
        let buckets = |builder: PrometheusBuilder, suffix: &str, bounds: &[f64]| {
            builder
                .set_buckets_for_metric(Matcher::Suffix(suffix.to_owned()), bounds)
                .map_err(|e| e.to_string())
        };
        let builder = buckets(PrometheusBuilder::new(), "_seconds", &SECONDS)?;
        let builder = buckets(builder, "_writes", &COUNTS)?;
        let handle = builder.install_recorder().map_err(|error| error.to_string())?;
        for metric in METRICS {
            match metric.kind {
                Kind::Counter => metrics::describe_counter!(metric.name, Unit::Count, metric.help),
                Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
                Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
            }
        }
        Ok(Self { handle, token: None })
    }

    /// Over HTTP they are read only with this token, if there is one.
    #[must_use]
    pub fn guarded(self, token: Option<Secret>) -> Self {
        Self { token, ..self }
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.handle.render()
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
