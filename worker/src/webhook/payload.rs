//! What an endpoint gets of one event.

use bytes::Bytes;
use shared::id::{EventId, Token};
use shared::trace::TraceContext;

/// What an endpoint gets of one event.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) event: EventId,
    pub(super) token: Token,
    pub(super) name: String,
    pub(super) sequence: i64,
    pub(super) body: Bytes,
    /// The trace that the event belongs to.
    pub(super) trace: Option<TraceContext>,
}
