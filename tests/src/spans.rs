//! A receiver of spans as OpenTelemetry has it: OTLP over HTTP, in protobuf.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1 as proto;
use prost::Message as _;

/// A span as it came.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its trace, its own id and that of the span that it follows from (empty if there is none), in hex.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The span that it follows from; empty if there is none.
    pub parent: String,
    /// What was done.
    pub name: String,
    /// When it began and ended, in nanoseconds since 1970.
    pub times: std::ops::Range<u64>,
    /// Whether it came to nothing.
    pub failed: bool,
    /// What it says, and what its process says of itself.
    pub said: HashMap<String, String>,
}

impl Span {
    /// One thing that it says; nothing if it does not.
    #[must_use]
    pub fn says(&self, key: &str) -> &str {
        self.said.get(key).map_or("", String::as_str)
    }
}

/// A running receiver; it ends with the runtime.
pub struct SpanReceiver {
    url: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl SpanReceiver {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .context("a port for spans")?;
        let url = format!("http://{}", listener.local_addr()?);
        let spans = Arc::new(Mutex::new(Vec::new()));
        let routes = Router::new()
            .route("/v1/traces", post(take))
            .with_state(spans.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { url, spans })
    }

    /// What processes are told: `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All spans so far of one trace, by its id in hex.
    #[must_use]
    pub fn of(&self, trace: &str) -> Vec<Span> {
        let spans = self.spans.lock().expect("a handler panicked");
        spans.iter().filter(|span| span.trace == trace).cloned().collect()
    }
}

async fn take(State(spans): State<Arc<Mutex<Vec<Span>>>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut spans = spans.lock().expect("a handler panicked");
    for of_process in request.resource_spans {
        let process = of_process.resource.map(|resource| resource.attributes);
        let process = said(&process.unwrap_or_default());
        let scopes = of_process.scope_spans.into_iter();
        spans.extend(
            scopes
                .flat_map(|scope| scope.spans)
                .map(|span| read(span, &process)),
        );
    }
    StatusCode::OK
}

fn read(span: proto::Span, process: &HashMap<String, String>) -> Span {
    let mut all = process.clone();
    all.extend(said(&span.attributes));
    let is_error = |status: proto::Status| status.code() == proto::status::StatusCode::Error;
    Span {
        trace: hex::encode(span.trace_id),
        id: hex::encode(span.span_id),
        parent: hex::encode(span.parent_span_id),
        name: span.name,
        times: span.start_time_unix_nano..span.end_time_unix_nano,
        failed: span.status.is_some_and(is_error),
        said: all,
    }
}

fn said(attributes: &[KeyValue]) -> HashMap<String, String> {
    let one = |attribute: &KeyValue| {
        let value = match attribute.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        Some((attribute.key.clone(), value))
    };
    attributes.iter().filter_map(one).collect()
}
