//! Spans: what was done for a trace, from when to when, told to an OpenTelemetry receiver.
//!
//! Off unless a receiver is set: then contexts of callers are passed on as they came, nothing begins a trace, and nothing is
//! allocated. With a receiver, a caller's flag decides whether its trace is recorded, and a ratio where no caller has
//! one. Spans wait in a bounded queue; what finds no room is left out and counted, so that no receiver can hold up a send.
//!
//! A span holds ids, kinds, counts and outcomes: never a body, a number or a key.

mod export;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{self as proto, span, status};
use rand::RngExt;
use rand::rngs::StdRng;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::export::{Exporter, attribute};
use crate::clock::Clock;
use crate::config::Tracing;
use crate::metrics::labels::SpanDrop;
use crate::metrics::list;
use crate::random::Randomness;
use crate::trace::{Sampling, TraceContext};

/// Most spans that wait to be exported; more are left out.
pub const SPANS_WAITING_MAX: usize = 8_192;
/// How long a stop waits for the spans that are left.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// On which side of a call a span is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpanKind {
    /// Answers a request.
    Server,
    /// Takes a message from the broker.
    Consumer,
    /// Hands a message over.
    Producer,
    /// Asks somebody outside.
    Client,
    /// Neither.
    Internal,
}

/// Makes spans and has them exported. Cheap to clone; by default it makes none.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Inner>>);

struct Inner {
    spans: mpsc::Sender<proto::Span>,
    /// How many found no room.
    left_out: Arc<AtomicU64>,
    /// Of 2^63 traces that begin here so many are recorded.
    recorded: u64,
    rng: Mutex<StdRng>,
    clock: Clock,
    stop: CancellationToken,
    exporter: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.0.is_some() { "on" } else { "off" };
        write!(f, "Tracer({state})")
    }
}

impl Tracer {
    /// Starts to export what `service` does, if settings name a receiver.
    ///
    /// # Errors
    /// If the HTTP client can't be made, in words.
    pub fn start(
        settings: &Tracing,
        service: &'static str,
        clock: Clock,
        randomness: &Randomness,
    ) -> Result<Self, String> {
        let mut rng = randomness.fork();
        let Some(exporter) = Exporter::new(settings, service, rng.random())? else {
            return Ok(Self::default());
        };
        let (spans, waiting) = mpsc::channel(SPANS_WAITING_MAX);
        let (left_out, stop) = (Arc::<AtomicU64>::default(), CancellationToken::new());
        let run = exporter.run(waiting, Arc::clone(&left_out), stop.clone());
        Ok(Self(Some(Arc::new(Inner {
            spans,
            left_out,
            recorded: part_of_traces(settings.ratio),
            rng: Mutex::new(rng),
            clock,
            stop,
            exporter: Mutex::new(Some(tokio::spawn(run))),
        }))))
    }

    /// Whether spans are exported.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a part of the caller's trace, or of a new one.
    pub fn begin(&self, caller: Option<TraceContext>, kind: SpanKind, name: &'static str) -> Traced {
        let Some(inner) = &self.0 else {
            return Traced::passed_on(caller);
        };
        let (context, parent) = match caller {
            Some(caller) if caller.is_sampled() => (caller.next(&mut *inner.rng()), Some(caller)),
            Some(_) => return Traced::passed_on(caller),
            None => (inner.new_trace(), None),
        };
        self.resume(context, parent, kind, name)
    }

    /// Begins a part of the caller's trace, where there is one.
    pub fn follow(&self, caller: Option<TraceContext>, kind: SpanKind, name: &'static str) -> Traced {
        match caller {
            Some(_) => self.begin(caller, kind, name),
            None => Traced::default(),
        }
    }

    /// The span of something with this name, which outlives processes: each that is asked has the same for it.
    pub fn named(&self, caller: Option<TraceContext>, name: &[u8]) -> Option<TraceContext> {
        match caller {
            Some(caller) if self.is_on() && caller.is_sampled() => Some(caller.named(name)),
            passed_on => passed_on,
        }
    }

    /// Goes on with a span whose context is known.
    pub fn resume(
        &self,
        context: TraceContext,
        parent: Option<TraceContext>,
        kind: SpanKind,
        name: &'static str,
    ) -> Traced {
        let recording = self.0.as_ref().filter(|_| context.is_sampled());
        let open = recording.map(|inner| Box::new(Open::new(inner, context, parent, (kind, name))));
        Traced {
            context: Some(context),
            open,
        }
    }

    /// Has the rest exported, within five seconds, and no more after that.
    pub async fn close(&self) {
        let Some(inner) = &self.0 else { return };
        inner.stop.cancel();
        let exporter = inner
            .exporter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(exporter) = exporter {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, exporter).await;
        }
    }
}

impl Inner {
    fn rng(&self) -> std::sync::MutexGuard<'_, StdRng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A trace that begins here, recorded or not by its id: whoever asks of the same id says the same.
    fn new_trace(&self) -> TraceContext {
        let context = TraceContext::begin(&mut *self.rng());
        let [.., a, b, c, d, e, f, g, h] = context.trace().bytes();
        let is_recorded = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < self.recorded;
        match is_recorded {
            true => context.sampled(Sampling::Recorded),
            false => context,
        }
    }
}

/// Of 2^63 traces those that this ratio has.
fn part_of_traces(ratio: f64) -> u64 {
    // At 1 all of them: the cast ends at 2^63.
    (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64
}

/// A part of a trace under way; of none by default. What is not ended is not told.
#[derive(Debug, Default)]
pub struct Traced {
    context: Option<TraceContext>,
    open: Option<Box<Open>>,
}

impl Traced {
    /// A context that is passed on as it came.
    pub fn passed_on(context: Option<TraceContext>) -> Self {
        Self { context, open: None }
    }

    /// What the next part of the trace is told.
    pub fn context(&self) -> Option<TraceContext> {
        self.context
    }

    /// Describes the span, if it is recorded: nothing is computed for one that is not.
    pub fn describe(&mut self, describe: impl FnOnce(&mut Open)) {
        if let Some(open) = &mut self.open {
            describe(open);
        }
    }

    /// It ends now, well or not as it was described.
    pub fn end(self) {
        if let Some(open) = self.open {
            open.end();
        }
    }
}

/// A span that is recorded and not ended yet.
pub struct Open {
    inner: Arc<Inner>,
    span: proto::Span,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Open({})", self.span.name)
    }
}

impl Open {
    fn new(
        inner: &Arc<Inner>,
        context: TraceContext,
        parent: Option<TraceContext>,
        (kind, name): (SpanKind, &'static str),
    ) -> Self {
        let span = proto::Span {
            trace_id: context.trace().bytes().to_vec(),
            span_id: context.span_bytes().to_vec(),
            parent_span_id: parent.map_or_else(Vec::new, |parent| parent.span_bytes().to_vec()),
            name: name.to_owned(),
            kind: span_kind(kind).into(),
            flags: u32::from(context.is_sampled()),
            start_time_unix_nano: nanos(inner.clock.wall()),
            ..proto::Span::default()
        };
        Self {
            inner: Arc::clone(inner),
            span,
        }
    }

    /// What it is called, where that is known late.
    pub fn rename(&mut self, name: String) {
        self.span.name = name;
    }

    /// It began then.
    pub fn since(&mut self, at: OffsetDateTime) {
        self.span.start_time_unix_nano = nanos(at);
    }

    /// Notes a text: an id, a kind, an outcome.
    pub fn text(&mut self, key: &'static str, value: impl Into<String>) {
        self.attribute(key, Value::StringValue(value.into()));
    }

    /// Notes a number.
    pub fn number(&mut self, key: &'static str, value: i64) {
        self.attribute(key, Value::IntValue(value));
    }

    /// Notes that something happened now.
    pub fn happened(&mut self, name: &'static str) {
        self.span.events.push(span::Event {
            time_unix_nano: nanos(self.inner.clock.wall()),
            name: name.to_owned(),
            ..span::Event::default()
        });
    }

    /// It came to nothing, for a reason in words without personal data.
    pub fn failed(&mut self, why: impl Into<String>) {
        self.span.status = Some(proto::Status {
            message: why.into(),
            code: status::StatusCode::Error.into(),
        });
    }

    fn attribute(&mut self, key: &'static str, value: Value) {
        self.span.attributes.push(attribute(key, value));
    }

    fn end(self) {
        let Self { inner, mut span } = self;
        span.end_time_unix_nano = nanos(inner.clock.wall()).max(span.start_time_unix_nano);
        if inner.spans.try_send(span).is_err() {
            list::SPANS_DROPPED.of(SpanDrop::Full).increment(1);
            inner.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn span_kind(kind: SpanKind) -> span::SpanKind {
    match kind {
        SpanKind::Server => span::SpanKind::Server,
        SpanKind::Consumer => span::SpanKind::Consumer,
        SpanKind::Producer => span::SpanKind::Producer,
        SpanKind::Client => span::SpanKind::Client,
        SpanKind::Internal => span::SpanKind::Internal,
    }
}

fn nanos(at: OffsetDateTime) -> u64 {
    u64::try_from(at.unix_timestamp_nanos()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
