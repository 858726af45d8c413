//! The binary form of stanzas: a tree of nodes with attributes, in which frequent words are one or two bytes.
//!
//! Owns [`Node`], [`encode()`] and [`decode()`]. Knows nothing of frames, encryption or what a stanza means. A
//! plaintext begins with a flags byte; bit 1 says that the rest is a zlib stream, which only servers send.
//!
//! Facts: docs/PROTOCOL.md, "Node encoding".

mod decode;
mod encode;
mod node;
mod token;
mod value;

pub use decode::{DecodeError, MAX_DEPTH, MAX_INFLATED_BYTES, MAX_ITEMS, decode};
pub use encode::encode;
pub use node::{Attrs, Content, Node, StanzaError};
pub use token::DICTIONARY_VERSION;
pub use value::{Name, Value};

/// What a byte means where a list, a string or a content begins. Bytes 1 to 235 are single tokens.
mod tag {
    pub(super) const LIST_EMPTY: u8 = 0;
    /// First of four dictionaries of double tokens.
    pub(super) const DICTIONARY_0: u8 = 236;
    pub(super) const DICTIONARY_3: u8 = 239;
    pub(super) const INTEROP_JID: u8 = 245;
    pub(super) const FB_JID: u8 = 246;
    pub(super) const AD_JID: u8 = 247;
    pub(super) const LIST_8: u8 = 248;
    pub(super) const LIST_16: u8 = 249;
    pub(super) const JID_PAIR: u8 = 250;
    pub(super) const HEX_8: u8 = 251;
    pub(super) const BINARY_8: u8 = 252;
    pub(super) const BINARY_20: u8 = 253;
    pub(super) const BINARY_32: u8 = 254;
    pub(super) const NIBBLE_8: u8 = 255;
}

/// Flags byte of a plaintext: the rest is a zlib stream.
const FLAG_COMPRESSED: u8 = 0x02;

/// Servers of addresses with a device, by the domain byte of an `AD_JID`.
mod domain {
    pub(super) const USER: u8 = 0;
    pub(super) const LID: u8 = 1;
    pub(super) const HOSTED: u8 = 128;
    pub(super) const HOSTED_LID: u8 = 129;
}

#[cfg(test)]
mod tests;
