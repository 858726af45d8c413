//! What of a session belongs to which trace: its queues, and each message of them.
//!
//! A queue's span has its id from the queue's, so that whoever sends for it, days later and in another process, goes on with
//! the same one. It is told when the queue ends. Nothing here reaches WhatsApp.

use shared::id::QueueId;
use shared::store::queues::QueueRecord;
use shared::telemetry::{SpanKind, Traced, Tracer};
use shared::trace::{self, TraceContext};
use time::OffsetDateTime;
use whatsapp::message_id::MessageId;

use super::context::Context;
use super::queue_trace::QueueTrace;
use super::queues::{Change, Queue};
use super::target::Target;

/// How much of a queue there was, and since when.
pub(super) struct Whole {
    pub(super) trace: QueueTrace,
    pub(super) accepted_at: OffsetDateTime,
    pub(super) total: u32,
    pub(super) settled: u32,
}

impl From<&Queue> for Whole {
    fn from(queue: &Queue) -> Self {
        Self {
            trace: queue.trace,
            accepted_at: queue.accepted_at,
            total: queue.total,
            settled: queue.settled,
        }
    }
}

impl Whole {
    /// Of a queue that is not in memory.
    pub(super) fn stored(record: &QueueRecord, tracer: &Tracer) -> Self {
        Self {
            trace: QueueTrace::of(record, tracer),
            accepted_at: record.created_at,
            total: record.total,
            settled: record.settled,
        }
    }
}

/// The queue is over, after so many recipients since it was accepted: this is its span.
pub(super) fn end_queue(cx: &Context, id: QueueId, change: Change, whole: &Whole) {
    let trace = whole.trace;
    let end = if change == Change::Delete {
        "deleted"
    } else {
        "completed"
    };
    trace::within(trace.own, || {
        tracing::debug!(session.id = %cx.record.id, queue.id = %id, queue.end = end, "queue ended");
    });
    let Some(own) = trace.own else { return };
    let mut traced = cx
        .around
        .tracer
        .resume(own, trace.job, SpanKind::Internal, "queue");
    traced.describe(|span| {
        span.since(whole.accepted_at);
        span.text("queue.id", id.to_string());
        span.text("session.id", cx.record.id.to_string());
        span.text("queue.end", end);
        span.number("queue.recipients", i64::from(whole.total));
        span.number("queue.settled", i64::from(whole.settled));
    });
    traced.end();
}

/// A message of a queue is asked of the connection: its span, and the trace in which its events are told.
pub(super) fn asked(cx: &Context, queue: QueueId, id: &MessageId, target: &mut Target) -> Traced {
    let own = cx.queues.get(queue).and_then(|queue| queue.trace.own);
    let mut traced = cx.around.tracer.follow(own, SpanKind::Client, "send message");
    traced.describe(|span| {
        span.text("queue.id", queue.to_string());
        span.text("session.id", cx.record.id.to_string());
        span.text("message.id", id.to_string());
        span.number("recipient.seq", i64::from(target.seq));
        span.number("message.attempt", i64::from(target.attempts) + 1);
    });
    target.trace = traced.context();
    traced
}

/// The trace in which it is told what becomes of a recipient: that of its message, else its queue's.
pub(super) fn of_recipient(cx: &Context, queue: QueueId, target: &Target) -> Option<TraceContext> {
    target.trace.or_else(|| of_queue(cx, queue))
}

/// The trace in which it is told what becomes of a queue in memory.
pub(super) fn of_queue(cx: &Context, queue: QueueId) -> Option<TraceContext> {
    cx.queues.get(queue).and_then(|queue| queue.trace.own)
}
