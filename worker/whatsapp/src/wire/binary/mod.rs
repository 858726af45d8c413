//! The binary form of stanzas: a tree of nodes with attributes, in which frequent words are one or two bytes.
//!
//! Owns [`Node`], [`encode()`] and [`decode()`]. Knows nothing of frames, encryption or what a stanza means. A
//! plaintext begins with a flags byte; bit 1 says that the rest is a zlib stream, which only servers send.
//!
//! Facts: docs/PROTOCOL.md, "Node encoding".

mod decode;
mod encode;
mod node;
mod tag;
mod token;
mod value;

pub use decode::{DecodeError, MAX_DEPTH, MAX_INFLATED_BYTES, MAX_ITEMS, decode};
pub use encode::{encode, room_for};
pub use node::{Attrs, Content, Node, StanzaError};
pub use token::DICTIONARY_VERSION;
pub use value::{Name, Value};

#[cfg(test)]
mod tests;
