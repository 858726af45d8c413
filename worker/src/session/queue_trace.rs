//! The trace of a queue, as it is in memory.

use shared::store::queues::QueueRecord;
use shared::telemetry::Tracer;
use shared::trace::TraceContext;

/// The trace of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueTrace {
    /// Its job's, as it is stored.
    pub(crate) job: Option<TraceContext>,
    /// Its own, which its messages and events follow from.
    pub(crate) own: Option<TraceContext>,
}

impl QueueTrace {
    /// That of a stored queue.
    pub(crate) fn of(record: &QueueRecord, tracer: &Tracer) -> Self {
        Self {
            job: record.trace,
            own: tracer.named(record.trace, record.id.as_uuid().as_bytes()),
        }
    }
}
