//! Stanzas as types: the only code that knows the tags and attribute names of messages, receipts, acks,
//! notifications, user queries and prekey requests.
//!
//! Pure translation between [`Node`](crate::binary::Node) and types, in both directions where a server needs the other
//! one. Must not know state, time, randomness or what anybody does with a stanza.

pub mod ack;
pub mod app_state;
pub mod class;
mod flow;
pub mod keys;
pub mod media_conn;
pub mod media_retry;
pub mod message;
pub mod mex;
pub mod notification;
pub mod privacy;
pub mod receipt;
pub mod token;
pub mod usync;

use crate::binary::StanzaError;

/// The content of the node of this name is not valid.
fn bad_content(tag: &str) -> StanzaError {
    StanzaError::BadContent { tag: tag.into() }
}
