//! Every request is counted, timed and logged: by route and status, without its query string or body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::response::Response;
use pin_project_lite::pin_project;
use shared::clock::Clock;
use shared::metrics::labels::{self, Route, StatusClass};
use shared::metrics::list;
use tokio::time::Instant;
use tower::{Layer, Service};

/// Adds [`Observe`] to routes. A service of its own, not a function as middleware: that would box every request.
#[derive(Clone, Copy, Debug)]
pub struct ObserveLayer(pub Clock);

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, clock: self.0 }
    }
}

/// Observes the requests to a route.
#[derive(Clone, Debug)]
pub struct Observe<S> {
    inner: S,
    clock: Clock,
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
        Observed {
            inner: self.inner.call(request),
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
        let response = ready!(this.inner.poll(cx))?;
        let route = this.route.as_ref().map_or("unmatched", MatchedPath::as_str);
        note(
            this.method,
            route,
            response.status().as_u16(),
            this.clock.now() - *this.started,
        );
        Poll::Ready(Ok(response))
    }
}

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
