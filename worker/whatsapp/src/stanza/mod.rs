//! Stanzas as types: the only code that knows the tags and attribute names of messages, receipts, acks,
//! notifications, user queries and prekey requests.
//!
//! Pure translation between [`Node`] and types, in both directions where a server needs the other one. Must not know
//! state, time, randomness or what anybody does with a stanza.

pub mod ack;
pub mod class;
pub mod keys;
pub mod message;
pub mod notification;
pub mod receipt;
pub mod usync;

use bytes::Bytes;
use thiserror::Error;

use crate::binary::{Node, StanzaError};

/// A stanza lacks what its kind demands. The peer is at fault: answer with a nack or drop it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// An attribute is missing or has another form.
    #[error(transparent)]
    Attribute(#[from] StanzaError),
    /// A child is missing.
    #[error("<{tag}> has no <{child}>")]
    Child {
        /// The node that was looked at.
        tag: &'static str,
        /// The child that it lacks.
        child: &'static str,
    },
    /// The content is missing, or has another length or form.
    #[error("<{tag}> has no valid content")]
    Content {
        /// The node that was looked at.
        tag: &'static str,
    },
}

/// The child of this name, or an error that names both.
fn child<'a>(node: &'a Node, tag: &'static str, name: &'static str) -> Result<&'a Node, Malformed> {
    node.child(name).ok_or(Malformed::Child { tag, child: name })
}

/// The content as exactly `N` bytes.
fn array<const N: usize>(node: &Node, tag: &'static str) -> Result<[u8; N], Malformed> {
    let data = node.data().ok_or(Malformed::Content { tag })?;
    data.as_ref().try_into().map_err(|_| Malformed::Content { tag })
}

/// The content of a child as bytes, if it is there.
fn child_bytes(node: &Node, name: &str) -> Option<Bytes> {
    node.child(name).and_then(content_bytes)
}

/// The content as bytes without copying them where they came as bytes.
fn content_bytes(node: &Node) -> Option<Bytes> {
    match &node.content {
        crate::binary::Content::Bytes(bytes) => Some(bytes.clone()),
        _ => node.data().map(|data| Bytes::copy_from_slice(&data)),
    }
}
