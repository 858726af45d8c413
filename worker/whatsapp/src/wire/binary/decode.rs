//! From bytes to nodes. Nothing that a peer sends makes it panic, recurse deep or take much more memory than
//! was sent.

use std::io::Read as _;

use bytes::Bytes;
use compact_str::CompactString;
use flate2::read::ZlibDecoder;
use thiserror::Error;

use super::node::{Content, Node};
use super::tag::{self, FLAG_COMPRESSED, domain};
use super::token::Token;
use super::value::{Name, Value, ValueForm};
use crate::jid::{Jid, Server};

/// Deepest tree of nodes that is taken.
pub const MAX_DEPTH: usize = 128;
/// Longest plaintext after inflating.
pub const MAX_INFLATED_BYTES: usize = 16 * 1024 * 1024;
/// Most nodes and attributes of one stanza, together: a node takes many times the two bytes that it can have
/// on the wire.
pub const MAX_ITEMS: usize = 1 << 17;

/// Least bytes of a node on the wire: list size (2) and tag.
const MIN_NODE_BYTES: usize = 3;
/// Least bytes of an attribute on the wire.
const MIN_ATTR_BYTES: usize = 2;

/// A plaintext is no node. The stream can't be trusted after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Ends too early, or a length points past the end.
    #[error("stanza is truncated")]
    Truncated,
    /// Bytes follow the node.
    #[error("stanza is followed by {0} bytes")]
    Trailing(usize),
    /// A byte that can't be where it is.
    #[error("unexpected byte {0} in a stanza")]
    Unexpected(u8),
    /// Packed text holds a code that means nothing.
    #[error("packed text of a stanza is not valid")]
    BadPacked,
    /// A node without a name.
    #[error("node without a name")]
    NoTag,
    /// Deeper than [`MAX_DEPTH`].
    #[error("stanza is nested too deep")]
    TooDeep,
    /// More than [`MAX_ITEMS`] nodes and attributes.
    #[error("stanza has too many nodes")]
    TooMany,
    /// The zlib stream is broken.
    #[error("stanza can't be inflated")]
    BadZlib,
    /// More than [`MAX_INFLATED_BYTES`] after inflating.
    #[error("stanza is too large when inflated")]
    TooLarge,
}

/// Reads a plaintext: flags byte, then a node in binary form, inflated first if the flags say so. Byte
/// contents share the buffer of `plaintext` (or of the inflated form).
///
/// # Errors
/// If it is anything but exactly one node within the limits.
pub fn decode(plaintext: Bytes) -> Result<Node, DecodeError> {
    let flags = *plaintext.first().ok_or(DecodeError::Truncated)?;
    let (data, at) = if flags & FLAG_COMPRESSED == 0 {
        (plaintext, 1)
    } else {
        (inflate(&plaintext[1..])?, 0)
    };
    let mut reader = Reader {
        data: &data,
        at,
        items: 0,
    };
    let mut node = Node::blank();
    reader.node(&mut node, 0)?;
    match reader.left() {
        0 => Ok(node),
        left => Err(DecodeError::Trailing(left)),
    }
}

fn inflate(zlib: &[u8]) -> Result<Bytes, DecodeError> {
    let mut inflated = Vec::new();
    let limit = MAX_INFLATED_BYTES as u64 + 1;
    ZlibDecoder::new(zlib)
        .take(limit)
        .read_to_end(&mut inflated)
        .map_err(|_| DecodeError::BadZlib)?;
    if inflated.len() > MAX_INFLATED_BYTES {
        Err(DecodeError::TooLarge)
    } else {
        Ok(inflated.into())
    }
}

/// An address, unless its text would be that of another one: such a value is only a text.
#[inline]
fn address(jid: Jid) -> ValueForm {
    if jid.is_plain() {
        ValueForm::Jid(jid)
    } else {
        ValueForm::Text(compact_str::format_compact!("{jid}"))
    }
}

struct Reader<'a> {
    data: &'a Bytes,
    at: usize,
    /// Nodes and attributes so far.
    items: usize,
}

impl<'a> Reader<'a> {
    /// Fills `node` in place, as everything below does with its part: what was just written piece by piece and is then
    /// moved as a whole makes the processor wait, and that costs more than the reading.
    fn node(&mut self, node: &mut Node, depth: usize) -> Result<(), DecodeError> {
        if depth >= MAX_DEPTH {
            return Err(DecodeError::TooDeep);
        }
        let first = self.byte()?;
        let size = self.list_size(first)?;
        if size == 0 {
            return Err(DecodeError::NoTag);
        }
        self.name(&mut node.tag)?;
        if node.tag.token().is_none() && node.tag.as_str().is_empty() {
            return Err(DecodeError::NoTag);
        }
        let count = (size - 1) / 2;
        self.claim(count, MIN_ATTR_BYTES)?;
        for (key, value) in node.attrs.blanks(count) {
            self.name(key)?;
            let first = self.byte()?;
            match Token::single(first) {
                Some(token) => value.0 = ValueForm::Token(token),
                None => self.value(first, value)?,
            }
        }
        if size % 2 == 0 {
            self.content(&mut node.content, depth)
        } else {
            Ok(())
        }
    }

    fn content(&mut self, content: &mut Content, depth: usize) -> Result<(), DecodeError> {
        let first = self.byte()?;
        match first {
            tag::LIST_EMPTY | tag::LIST_8 | tag::LIST_16 => {
                let count = self.list_size(first)?;
                self.claim(count, MIN_NODE_BYTES)?;
                *content = Content::Nodes(Vec::with_capacity(count));
                if let Content::Nodes(nodes) = content {
                    nodes.resize_with(count, Node::blank);
                    for node in nodes {
                        self.node(node, depth + 1)?;
                    }
                }
            }
            tag::BINARY_8 | tag::BINARY_20 | tag::BINARY_32 => {
                let len = self.binary_len(first)?;
                let start = self.at;
                self.take(len)?;
                *content = Content::Bytes(self.data.slice(start..start + len));
            }
            first => {
                let mut value = Value::BLANK;
                self.value(first, &mut value)?;
                *content = Content::Text(value);
            }
        }
        Ok(())
    }

    /// Refuses a count of items that can't be in what is left, before anything is allocated for them.
    fn claim(&mut self, count: usize, min_bytes: usize) -> Result<(), DecodeError> {
        if count * min_bytes > self.left() {
            return Err(DecodeError::Truncated);
        }
        self.items += count;
        if self.items > MAX_ITEMS {
            Err(DecodeError::TooMany)
        } else {
            Ok(())
        }
    }

    #[inline(always)]
    fn name(&mut self, name: &mut Name) -> Result<(), DecodeError> {
        let first = self.byte()?;
        match Token::single(first) {
            Some(token) => *name = Name::from_token(token),
            None => *name = self.long_name(first)?,
        }
        Ok(())
    }

    #[inline(never)]
    fn long_name(&mut self, first: u8) -> Result<Name, DecodeError> {
        match self.token(first)? {
            Some(token) => Ok(Name::from_token(token)),
            None => Ok(Name::from(self.text(first)?.as_str())),
        }
    }

    /// A value that is no single token, put in place.
    #[inline(never)]
    fn value(&mut self, first: u8, value: &mut Value) -> Result<(), DecodeError> {
        value.0 = match first {
            tag::DICTIONARY_0..=tag::DICTIONARY_3 => {
                ValueForm::Token(Token::double(first - tag::DICTIONARY_0, self.byte()?))
            }
            tag::JID_PAIR => return self.jid_pair(value),
            tag::AD_JID => address(self.ad_jid()?),
            tag::FB_JID => address(self.fb_jid()?),
            tag::INTEROP_JID => address(self.interop_jid()?),
            first => match Token::single(first) {
                Some(token) => ValueForm::Token(token),
                None => ValueForm::Text(self.text(first)?),
            },
        };
        Ok(())
    }

    /// The token that begins with `first`, if one does.
    #[inline]
    fn token(&mut self, first: u8) -> Result<Option<Token>, DecodeError> {
        match first {
            tag::DICTIONARY_0..=tag::DICTIONARY_3 => {
                Ok(Some(Token::double(first - tag::DICTIONARY_0, self.byte()?)))
            }
            first => Ok(Token::single(first)),
        }
    }

    /// A text that is neither token nor address.
    fn text(&mut self, first: u8) -> Result<CompactString, DecodeError> {
        match first {
            tag::LIST_EMPTY => Ok(CompactString::const_new("")),
            tag::NIBBLE_8 => self.packed(&NIBBLES),
            tag::HEX_8 => self.packed(&HEX_DIGITS),
            tag::BINARY_8 | tag::BINARY_20 | tag::BINARY_32 => {
                let len = self.binary_len(first)?;
                // A broken name must not cost the whole stanza, which would come again for ever.
                Ok(CompactString::from_utf8_lossy(self.take(len)?))
            }
            other => Err(DecodeError::Unexpected(other)),
        }
    }

    fn packed(&mut self, alphabet: &[u8; 16]) -> Result<CompactString, DecodeError> {
        let header = self.byte()?;
        let pairs = self.take(usize::from(header & 0x7F))?;
        // An odd count is filled with a last nibble that is dropped.
        let count = (2 * pairs.len()).saturating_sub(usize::from(header >> 7));
        // Phone numbers and most stanza ids fit the small buffer.
        if pairs.len() <= 12 {
            unpack(pairs, count, alphabet, &mut [0; 24])
        } else {
            unpack(pairs, count, alphabet, &mut [0; 2 * 0x7F])
        }
    }

    fn jid_pair(&mut self, value: &mut Value) -> Result<(), DecodeError> {
        let user = self.word()?;
        if self.data.get(self.at) == Some(&USER_SERVER) {
            self.at += 1;
            value.0 = address(Jid::new(user, Server::User));
            return Ok(());
        }
        let server = self.word()?;
        value.0 = match Server::from_name(&server) {
            Some(server) => address(Jid::new(user, server)),
            // A server that we don't know is no reason to drop the stream.
            None => ValueForm::Text(compact_str::format_compact!("{user}@{server}")),
        };
        Ok(())
    }

    #[inline]
    fn ad_jid(&mut self) -> Result<Jid, DecodeError> {
        let server = match self.byte()? {
            domain::LID => Server::Lid,
            domain::HOSTED => Server::Hosted,
            domain::HOSTED_LID => Server::HostedLid,
            // Others that peers are known to take as a user's.
            _ => Server::User,
        };
        let device = self.byte()?;
        let user = self.word()?;
        Ok(Jid::new(user, server).with_device(device.into()))
    }

    fn fb_jid(&mut self) -> Result<Jid, DecodeError> {
        let user = self.word()?;
        let device = self.u16()?;
        self.server_name(Server::Messenger)?;
        Ok(Jid::new(user, Server::Messenger).with_device(device))
    }

    fn interop_jid(&mut self) -> Result<Jid, DecodeError> {
        let user = self.word()?;
        let device = self.u16()?;
        let integrator = self.u16()?;
        self.server_name(Server::Interop)?;
        Ok(Jid::new(user, Server::Interop)
            .with_device(device)
            .with_integrator(integrator))
    }

    fn server_name(&mut self, expected: Server) -> Result<(), DecodeError> {
        let first = self.data.get(self.at).copied().unwrap_or(0);
        if self.word()? == expected.as_str() {
            Ok(())
        } else {
            Err(DecodeError::Unexpected(first))
        }
    }

    /// A text that may be a token, as the parts of an address are.
    fn word(&mut self) -> Result<CompactString, DecodeError> {
        let first = self.byte()?;
        match self.token(first)? {
            Some(token) => Ok(CompactString::const_new(token.as_str())),
            None => self.text(first),
        }
    }

    #[inline]
    fn list_size(&mut self, first: u8) -> Result<usize, DecodeError> {
        match first {
            tag::LIST_EMPTY => Ok(0),
            tag::LIST_8 => Ok(self.byte()?.into()),
            tag::LIST_16 => Ok(self.u16()?.into()),
            other => Err(DecodeError::Unexpected(other)),
        }
    }

    fn binary_len(&mut self, first: u8) -> Result<usize, DecodeError> {
        let len = match first {
            tag::BINARY_8 => u32::from(self.byte()?),
            tag::BINARY_20 => u32::from_be_bytes([0, self.byte()? & 0x0F, self.byte()?, self.byte()?]),
            _ => u32::from_be_bytes([self.byte()?, self.byte()?, self.byte()?, self.byte()?]),
        };
        usize::try_from(len).map_err(|_| DecodeError::Truncated)
    }

    #[inline]
    fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    #[inline(always)]
    fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.data.get(self.at).ok_or(DecodeError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let taken = rest.get(..len).ok_or(DecodeError::Truncated)?;
        self.at += len;
        Ok(taken)
    }

    #[inline]
    fn left(&self) -> usize {
        self.data.len() - self.at
    }
}

fn unpack(
    pairs: &[u8],
    count: usize,
    alphabet: &[u8; 16],
    buffer: &mut [u8],
) -> Result<CompactString, DecodeError> {
    for (pair, out) in pairs.iter().zip(buffer.as_chunks_mut::<2>().0) {
        *out = [
            alphabet[usize::from(pair >> 4)],
            alphabet[usize::from(pair & 0x0F)],
        ];
    }
    let chars = &buffer[..count];
    if chars.contains(&INVALID) {
        return Err(DecodeError::BadPacked);
    }
    std::str::from_utf8(chars)
        .map(CompactString::from)
        .map_err(|_| DecodeError::BadPacked)
}

/// The token of `s.whatsapp.net`, which nearly every address ends with.
const USER_SERVER: u8 = 3;
/// Stands for a code that no character has.
const INVALID: u8 = 0;
const NIBBLES: [u8; 16] = *b"0123456789-.\0\0\0\0";
const HEX_DIGITS: [u8; 16] = *b"0123456789ABCDEF";
