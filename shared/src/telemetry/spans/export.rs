//! The way of spans to their receiver: gathered, and posted by OTLP over HTTP as protobuf, one batch after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Tracing;
use crate::metrics::labels::SpanDrop;
use crate::metrics::list;

/// Most spans of one post.
const BATCH_MAX: usize = 512;
/// How long spans are gathered before they are posted.
const GATHER: Duration = Duration::from_secs(1);
/// How often a batch is posted that the receiver does not take for now, and the pause before the second time, doubled after.
const TRIES_MAX: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// What the content is called.
const PROTOBUF: &str = "application/x-protobuf";
/// Who made the spans.
const SCOPE: &str = "fanfare";

/// Posts spans to one receiver.
pub(super) struct Exporter {
    client: Client,
    url: Url,
    headers: HeaderMap,
    resource: Resource,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("the receiver can't be reached")]
    Away,
    #[error("the receiver answered {0}")]
    Refused(StatusCode),
}

impl Exporter {
    /// The exporter of a service, if there is a receiver.
    pub(super) fn new(
        settings: &Tracing,
        service: &'static str,
        instance: u128,
    ) -> Result<Option<Self>, String> {
        let Some(url) = settings.traces_url() else {
            return Ok(None);
        };
        // Two TLS libraries' worth of choices, made once: everything here uses ring.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(settings.timeout)
            .redirect(Policy::none())
            .build()
            .map_err(|error| format!("the client for spans can't be made: {error}"))?;
        let texts = settings.resource.iter().cloned();
        let own = [
            ("service.name".to_owned(), settings.service(service).to_owned()),
            ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id".to_owned(), format!("{instance:032x}")),
        ];
        let attributes = own.into_iter().chain(texts);
        let attributes = attributes.map(|(key, value)| attribute(&key, Value::StringValue(value)));
        Ok(Some(Self {
            client,
            url,
            headers: settings.headers.0.clone(),
            resource: Resource {
                attributes: attributes.collect(),
                ..Resource::default()
            },
        }))
    }

    /// Posts what comes until the stop, and then what is left.
    pub(super) async fn run(
        self,
        mut spans: mpsc::Receiver<Span>,
        left_out: Arc<AtomicU64>,
        stop: CancellationToken,
    ) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                count = spans.recv_many(&mut batch, BATCH_MAX) => if count == 0 { return },
                () = stop.cancelled(), if !spans.is_closed() => {
                    spans.close();
                    continue;
                }
            }
            gather(&mut spans, &mut batch, &stop).await;
            let count = batch.len();
            if let Err(error) = self.export(std::mem::take(&mut batch)).await {
                list::SPANS_DROPPED.of(error.reason()).increment(count as u64);
                tracing::warn!(%error, spans = count, "spans are lost: their receiver does not take them");
            }
            let left_out = left_out.swap(0, Ordering::Relaxed);
            if left_out > 0 {
                tracing::warn!(
                    spans = left_out,
                    "spans are left out: their receiver does not keep up"
                );
            }
        }
    }

    /// Posts a batch, more than once where the receiver asks for it.
    async fn export(&self, spans: Vec<Span>) -> Result<(), ExportError> {
        let scope = InstrumentationScope {
            name: SCOPE.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource.clone()),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope),
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        let body = bytes::Bytes::from(request.encode_to_vec());
        let mut pause = PAUSE;
        for _ in 1..TRIES_MAX {
            match self.post(body.clone()).await {
                Err(error) if error.may_pass() => tokio::time::sleep(pause).await,
                done => return done,
            }
            pause *= 2;
        }
        self.post(body).await
    }

    async fn post(&self, body: bytes::Bytes) -> Result<(), ExportError> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, PROTOBUF).body(body);
        // The error names the URL, and that may hold a key.
        let response = request.send().await.map_err(|_| ExportError::Away)?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(ExportError::Refused(status)),
        }
    }
}

impl ExportError {
    fn reason(&self) -> SpanDrop {
        match self {
            Self::Away => SpanDrop::Away,
            Self::Refused(_) => SpanDrop::Refused,
        }
    }

    /// Whether the same may be taken a moment later, as the protocol says.
    fn may_pass(&self) -> bool {
        match self {
            Self::Away => true,
            Self::Refused(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }
}

/// One thing that a span, or its process, says.
pub(super) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// Takes what comes within a second, up to a full batch; at the stop what is there.
async fn gather(spans: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>, stop: &CancellationToken) {
    let until = tokio::time::sleep(GATHER);
    tokio::pin!(until);
    while batch.len() < BATCH_MAX {
        let room = BATCH_MAX - batch.len();
        tokio::select! {
            biased;
            count = spans.recv_many(batch, room) => if count == 0 { return },
            () = stop.cancelled() => return,
            () = &mut until => return,
        }
    }
}
