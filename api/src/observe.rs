//! Every request is counted, timed and logged: by route and status, without its query string or body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::response::Response;
use pin_project_lite::pin_project;
use shared::clock::Clock;
use shared::metrics::labels::{self, ProblemCode, Route, StatusClass};
use shared::metrics::list;
use shared::telemetry::{SpanKind, Traced, Tracer};
use shared::trace::{self, TRACEPARENT, TraceContext};
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::problem::{Code, Problem};

/// Adds [`Observe`] to routes. A service of its own, not a function as middleware: that would box every request.
#[derive(Clone, Debug)]
pub struct ObserveLayer {
    clock: Clock,
    tracer: Tracer,
}

impl ObserveLayer {
    /// Times by this clock, and tells spans to this tracer. There is a counter of problems for each code from here on.
    pub fn new(clock: Clock, tracer: Tracer) -> Self {
        for code in Code::ALL {
            list::HTTP_PROBLEMS.of(ProblemCode(code.as_str())).increment(0);
        }
        Self { clock, tracer }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe {
            inner,
            clock: self.clock,
            tracer: self.tracer.clone(),
        }
    }
}

/// Observes the requests to a route.
#[derive(Clone, Debug)]
pub struct Observe<S> {
    inner: S,
    clock: Clock,
    tracer: Tracer,
}

impl<S> Service<Request> for Observe<S>
where
    S: Service<Request, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let started = self.clock.now();
        let method = request.method().clone();
        let route = request.extensions().get::<MatchedPath>().cloned();
        let traced = begin(&self.tracer, &request, route.as_ref());
        let inner = trace::within(traced.context(), || self.inner.call(request));
        Observed {
            inner,
            traced,
            clock: self.clock,
            started,
            method,
            route,
        }
    }
}

pin_project! {
    /// A request under way.
    #[derive(Debug)]
    pub struct Observed<F> {
        #[pin]
        inner: F,
        traced: Traced,
        clock: Clock,
        started: Instant,
        method: Method,
        route: Option<MatchedPath>,
    }
}

impl<F, E> Future for Observed<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let context = this.traced.context();
        let response = ready!(trace::within(context, || this.inner.poll(cx)))?;
        let status = response.status();
        if let Some(problem) = response.extensions().get::<Arc<Problem>>() {
            list::HTTP_PROBLEMS
                .of(ProblemCode(problem.code().as_str()))
                .increment(1);
        }
        let route = this.route.as_ref().map_or("unmatched", MatchedPath::as_str);
        let took = this.clock.now() - *this.started;
        trace::within(context, || note(this.method, route, status.as_u16(), took));
        let mut traced = std::mem::take(this.traced);
        traced.describe(|span| {
            span.number("http.response.status_code", i64::from(status.as_u16()));
            if status.is_server_error() {
                span.failed(status.as_str());
            }
        });
        traced.end();
        Poll::Ready(Ok(response))
    }
}

/// The span of a request, as a part of its caller's trace. What asks how the process is belongs to none.
fn begin(tracer: &Tracer, request: &Request, route: Option<&MatchedPath>) -> Traced {
    let route = route.map_or("unmatched", MatchedPath::as_str);
    if ADMIN.contains(&route) {
        return Traced::default();
    }
    let given = request.headers().get(TRACEPARENT);
    let caller = given.and_then(|value| TraceContext::read(value.as_bytes()));
    if given.is_some() && caller.is_none() {
        tracing::debug!(
            http.route = route,
            "a request names a trace by what is no traceparent; it is ignored"
        );
    }
    let mut traced = tracer.begin(caller, SpanKind::Server, "request");
    traced.describe(|span| {
        let method = method_label(request.method()).as_str();
        span.rename(format!("{method} {route}"));
        span.text("http.request.method", method);
        span.text("http.route", route);
    });
    traced
}

/// Routes that are asked every few seconds and belong to no trace.
const ADMIN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

fn note(method: &Method, route: &str, status: u16, took: Duration) {
    let seconds = took.as_secs_f64();
    let labels = (method_label(method), Route(route.to_owned()), class_label(status));
    list::HTTP_REQUEST.of(labels).record(seconds);
    tracing::debug!(http.method = %method, http.route = route, http.status = status, duration_s = seconds, "request");
}

/// A closed set of labels: a client may invent methods.
fn method_label(method: &Method) -> labels::Method {
    match *method {
        Method::GET => labels::Method::Get,
        Method::POST => labels::Method::Post,
        Method::PUT => labels::Method::Put,
        Method::PATCH => labels::Method::Patch,
        Method::DELETE => labels::Method::Delete,
        Method::OPTIONS => labels::Method::Options,
        _ => labels::Method::Other,
    }
}

fn class_label(status: u16) -> StatusClass {
    match status {
        200..300 => StatusClass::Success,
        300..400 => StatusClass::Redirection,
        400..500 => StatusClass::ClientError,
        500..600 => StatusClass::ServerError,
        _ => StatusClass::Other,
    }
}
