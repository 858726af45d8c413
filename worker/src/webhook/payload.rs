//! What an endpoint gets of one event.

use bytes::Bytes;
use shared::id::{EventId, Token};

/// What an endpoint gets of one event.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) event: EventId,
    pub(super) token: Token,
    pub(super) name: String,
    pub(super) sequence: i64,
    pub(super) body: Bytes,
}
