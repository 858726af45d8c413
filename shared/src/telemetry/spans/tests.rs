use std::sync::PoisonError;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::net::TcpListener;

use super::*;
use crate::config::Env;

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A receiver of spans, and what it was sent.
#[derive(Clone, Default)]
struct Receiver {
    posts: Arc<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>,
    /// How often it says that it takes nothing for now.
    refusals: Arc<AtomicU64>,
}

impl Receiver {
    async fn start(refusals: u64) -> (Self, String) {
        let receiver = Self::default();
        receiver.refusals.store(refusals, Ordering::SeqCst);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new()
            .route("/v1/traces", post(Self::take))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (receiver, url)
    }

    async fn take(State(this): State<Self>, headers: HeaderMap, body: Bytes) -> StatusCode {
        if this.refusals.load(Ordering::SeqCst) > 0 {
            this.refusals.fetch_sub(1, Ordering::SeqCst);
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        this.posts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((headers, request));
        StatusCode::OK
    }

    fn spans(&self) -> Vec<proto::Span> {
        let posts = self.posts.lock().unwrap();
        let resources = posts.iter().flat_map(|(_, request)| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

fn tracer(url: &str, more: &[(&str, &str)]) -> Tracer {
    let all = [("OTEL_EXPORTER_OTLP_ENDPOINT", url)];
    let all = all.iter().chain(more);
    let mut env = Env::new(all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let settings = Tracing::read(&mut env);
    env.finish().unwrap();
    Tracer::start(&settings, "fanfare-test", Clock::system(), &Randomness::seeded(1)).unwrap()
}

fn caller() -> TraceContext {
    CALLER.parse().unwrap()
}

#[test]
fn without_a_receiver_contexts_are_passed_on_and_nothing_begins() {
    let tracer = Tracer::default();
    for context in [None, Some(caller()), Some(caller().sampled(Sampling::PassedOn))] {
        let mut traced = tracer.begin(context, SpanKind::Server, "request");
        traced.describe(|_| panic!("nothing is described"));
        assert_eq!(traced.context(), context);
        assert_eq!(tracer.named(context, b"queue"), context);
    }
}

#[tokio::test]
async fn spans_come_as_the_protocol_has_them() {
    let (receiver, url) = Receiver::start(0).await;
    let more = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
    ];
    let tracer = tracer(&url, &more);
    let mut request = tracer.begin(Some(caller()), SpanKind::Server, "request");
    request.describe(|span| {
        span.text("http.route", "/v1/sessions");
        span.number("http.response.status_code", 503);
        span.happened("waited");
        span.failed("503");
    });
    let inner = tracer.begin(request.context(), SpanKind::Consumer, "job");
    inner.end();
    request.end();
    tracer.close().await;

    let spans = receiver.spans();
    let [job, request] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    assert_eq!(request.trace_id, caller().trace().bytes());
    assert_eq!(request.parent_span_id, caller().span_bytes());
    assert_eq!(request.kind(), span::SpanKind::Server);
    assert_eq!(request.attributes.len(), 2);
    assert_eq!(request.events[0].name, "waited");
    assert_eq!(request.status.as_ref().unwrap().code(), status::StatusCode::Error);
    assert!(request.end_time_unix_nano >= request.start_time_unix_nano);
    assert_eq!(job.parent_span_id, request.span_id);
    assert_eq!(job.trace_id, request.trace_id);

    let posts = receiver.posts.lock().unwrap();
    let (headers, body) = &posts[0];
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["authorization"], "Bearer abc");
    let resource = body.resource_spans[0].resource.as_ref().unwrap();
    let expected = [
        ("service.name", "fanfare-test"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("deployment.environment", "test"),
    ];
    let expected = expected.map(|(key, value)| attribute(key, Value::StringValue(value.to_owned())));
    let (instance, known): (Vec<_>, Vec<_>) = resource
        .attributes
        .iter()
        .cloned()
        .partition(|attribute| attribute.key == "service.instance.id");
    assert_eq!((instance.len(), known), (1, expected.to_vec()));
}

#[tokio::test]
async fn callers_decide_of_their_traces_and_the_ratio_of_the_others() {
    let (receiver, url) = Receiver::start(0).await;
    let none = tracer(&url, &[("OTEL_TRACES_SAMPLER_ARG", "0")]);
    let own = none.begin(None, SpanKind::Server, "of nobody");
    assert!(!own.context().unwrap().is_sampled(), "who comes next is told");
    own.end();
    none.begin(Some(caller()), SpanKind::Server, "of the caller")
        .end();
    let unwanted = caller().sampled(Sampling::PassedOn);
    let passed_on = none.begin(Some(unwanted), SpanKind::Server, "not wanted");
    assert_eq!(passed_on.context(), Some(unwanted));
    passed_on.end();
    none.follow(None, SpanKind::Client, "of none").end();
    none.close().await;
    let names: Vec<_> = receiver.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["of the caller"]);

    let half = tracer(&url, &[("OTEL_TRACES_SAMPLER_ARG", "0.5")]);
    let begun = (0..1_000).map(|_| half.begin(None, SpanKind::Server, "one"));
    let recorded = begun
        .filter(|traced| traced.context().unwrap().is_sampled())
        .count();
    assert!((400..600).contains(&recorded), "{recorded}");
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_for_now_is_asked_again() {
    let (receiver, url) = Receiver::start(2).await;
    let tracer = tracer(&url, &[]);
    tracer.begin(None, SpanKind::Internal, "one").end();
    tracer.close().await;
    assert_eq!(receiver.spans().len(), 1);
}

#[tokio::test]
async fn a_receiver_that_is_away_costs_spans_and_nothing_else() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _counted = metrics::set_default_local_recorder(&recorder);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Takes connections into its backlog, and never answers.
    let url = format!("http://{}", listener.local_addr().unwrap());
    let tracer = tracer(&url, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "60000")]);
    let inner = Arc::clone(tracer.0.as_ref().unwrap());
    // What is being posted is out of the queue; all behind it waits there, up to the limit.
    for _ in 0..2 * SPANS_WAITING_MAX {
        tracer.begin(None, SpanKind::Internal, "one").end();
    }
    let left_out = inner.left_out.load(Ordering::Relaxed);
    assert_eq!(left_out, SPANS_WAITING_MAX as u64);
    let told = recorder.handle().render();
    let full = format!("fanfare_spans_dropped_total{{reason=\"full\"}} {SPANS_WAITING_MAX}\n");
    assert!(told.contains(&full), "{told}");
}

#[tokio::test]
async fn spans_that_their_receiver_refuses_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _counted = metrics::set_default_local_recorder(&recorder);
    let (receiver, url) = Receiver::start(u64::MAX).await;
    let tracer = tracer(&url, &[]);
    for _ in 0..3 {
        tracer.begin(None, SpanKind::Internal, "one").end();
    }
    tracer.close().await;
    assert_eq!(receiver.spans().len(), 0);
    let told = recorder.handle().render();
    assert!(
        told.contains("fanfare_spans_dropped_total{reason=\"refused\"} 3\n"),
        "{told}"
    );
}

#[tokio::test]
async fn the_span_of_a_name_is_the_same_in_every_process() {
    let (_, url) = Receiver::start(0).await;
    let (one, other) = (tracer(&url, &[]), tracer(&url, &[]));
    let named = one.named(Some(caller()), b"queue");
    assert_eq!(named, other.named(Some(caller()), b"queue"));
    assert_ne!(named, Some(caller()));
    let unwanted = Some(caller().sampled(Sampling::PassedOn));
    assert_eq!(one.named(unwanted, b"queue"), unwanted);
}
