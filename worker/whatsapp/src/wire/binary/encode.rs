//! From nodes to bytes.

use super::node::{Content, Node};
use super::tag::{self, domain};
use super::token::Token;
use super::value::{Name, Value, ValueForm};
use crate::jid::{Jid, Server};

/// Longest text that is packed, in characters.
const MAX_PACKED_CHARS: usize = 127;
/// Name and lengths of a node.
const NODE_ROOM_BYTES: usize = 12;
/// An attribute: most are a token and an address, an id or another token.
const ATTRIBUTE_ROOM_BYTES: usize = 20;
/// First length that does not fit the 20 bits of `BINARY_20`.
const BINARY_20_LIMIT: usize = 1 << 20;

/// About how many bytes [`encode`] appends, rather too many: a buffer of this size need not grow.
#[must_use]
pub fn room_for(node: &Node) -> usize {
    let content = match &node.content {
        Content::None => 0,
        Content::Nodes(nodes) => nodes.iter().map(room_for).sum(),
        Content::Bytes(bytes) => bytes.len(),
        Content::Text(_) => ATTRIBUTE_ROOM_BYTES,
    };
    NODE_ROOM_BYTES + node.attrs.len() * ATTRIBUTE_ROOM_BYTES + content
}

/// Appends the plaintext of a node to `out`: flags byte (never compressed) and binary form.
pub fn encode(node: &Node, out: &mut Vec<u8>) {
    out.push(0);
    write_node(node, out);
}

fn write_node(node: &Node, out: &mut Vec<u8>) {
    let has_content = !matches!(node.content, Content::None);
    write_list_size(1 + 2 * node.attrs.len() + usize::from(has_content), out);
    write_name(&node.tag, out);
    for (key, value) in &node.attrs {
        write_name(key, out);
        write_value(value, out);
    }
    match &node.content {
        Content::None => {}
        Content::Nodes(nodes) => {
            write_list_size(nodes.len(), out);
            for child in nodes {
                write_node(child, out);
            }
        }
        Content::Bytes(bytes) => write_bytes(bytes, out),
        Content::Text(text) => write_value(text, out),
    }
}

#[inline]
fn write_list_size(size: usize, out: &mut Vec<u8>) {
    match size {
        0 => out.push(tag::LIST_EMPTY),
        1..256 => out.extend_from_slice(&[tag::LIST_8, size as u8]),
        // A list holds at most 65,535 items; nothing that we send comes near.
        _ => {
            let [high, low] = (size.min(usize::from(u16::MAX)) as u16).to_be_bytes();
            out.extend_from_slice(&[tag::LIST_16, high, low]);
        }
    }
}

#[inline]
fn write_name(name: &Name, out: &mut Vec<u8>) {
    match name.token() {
        Some(token) => write_token(token, out),
        None => write_text(name.as_str(), out),
    }
}

#[inline]
fn write_value(value: &Value, out: &mut Vec<u8>) {
    match &value.0 {
        ValueForm::Token(token) => write_token(*token, out),
        ValueForm::Text(text) => write_text(text, out),
        ValueForm::Jid(jid) => write_jid(jid, out),
    }
}

#[inline]
fn write_token(token: Token, out: &mut Vec<u8>) {
    match token.parts() {
        (None, index) => out.push(index),
        (Some(dictionary), index) => out.extend_from_slice(&[tag::DICTIONARY_0 + dictionary, index]),
    }
}

/// A text that may be a word of the dictionary.
fn write_word(text: &str, out: &mut Vec<u8>) {
    match Token::of(text) {
        Some(token) => write_token(token, out),
        None => write_text(text, out),
    }
}

/// A text that is no token: packed if its alphabet allows, else raw.
fn write_text(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > MAX_PACKED_CHARS {
        return write_bytes(bytes, out);
    }
    let alphabets = bytes
        .iter()
        .fold(BOTH, |all, byte| all & PACKED[usize::from(*byte)]);
    if alphabets & NIBBLE != 0 {
        write_packed(tag::NIBBLE_8, bytes, out);
    } else if alphabets & HEX != 0 {
        write_packed(tag::HEX_8, bytes, out);
    } else {
        write_bytes(bytes, out);
    }
}

fn write_packed(kind: u8, chars: &[u8], out: &mut Vec<u8>) {
    let (pairs, last) = chars.as_chunks::<2>();
    let odd = last.len() as u8;
    out.extend_from_slice(&[kind, (odd << 7) | (pairs.len() as u8 + odd)]);
    out.extend(pairs.iter().map(|[high, low]| (code(*high) << 4) | code(*low)));
    out.extend(last.iter().map(|high| (code(*high) << 4) | FILLER));
}

#[inline]
fn code(char: u8) -> u8 {
    PACKED[usize::from(char)] & CODE
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let len = bytes.len();
    if len < 256 {
        out.extend_from_slice(&[tag::BINARY_8, len as u8]);
    } else {
        let [a, b, c, d] = (len as u32).to_be_bytes();
        if len < BINARY_20_LIMIT {
            out.extend_from_slice(&[tag::BINARY_20, b, c, d]);
        } else {
            out.extend_from_slice(&[tag::BINARY_32, a, b, c, d]);
        }
    }
    out.extend_from_slice(bytes);
}

fn write_jid(jid: &Jid, out: &mut Vec<u8>) {
    match jid.server() {
        Server::Messenger => {
            out.push(tag::FB_JID);
            write_user(jid.user(), out);
            out.extend_from_slice(&jid.device().to_be_bytes());
            write_word(jid.server().as_str(), out);
        }
        Server::Interop => {
            out.push(tag::INTEROP_JID);
            write_user(jid.user(), out);
            out.extend_from_slice(&jid.device().to_be_bytes());
            out.extend_from_slice(&jid.integrator().to_be_bytes());
            write_word(jid.server().as_str(), out);
        }
        server => match (device_domain(server), u8::try_from(jid.device())) {
            (Some(domain), Ok(device)) if device > 0 || domain >= domain::HOSTED => {
                out.extend_from_slice(&[tag::AD_JID, domain, device]);
                write_user(jid.user(), out);
            }
            // No address form holds such a device number; as text the peer still reads the same.
            (Some(_), Err(_)) => write_text(&jid.to_string(), out),
            _ => {
                out.push(tag::JID_PAIR);
                write_user(jid.user(), out);
                write_word(server.as_str(), out);
            }
        },
    }
}

#[inline]
fn write_user(user: &str, out: &mut Vec<u8>) {
    match user {
        "" => out.push(tag::LIST_EMPTY),
        user => write_word(user, out),
    }
}

const fn device_domain(server: Server) -> Option<u8> {
    match server {
        Server::User => Some(domain::USER),
        Server::Lid => Some(domain::LID),
        Server::Hosted => Some(domain::HOSTED),
        Server::HostedLid => Some(domain::HOSTED_LID),
        _ => None,
    }
}

const FILLER: u8 = 0x0F;
/// Low half of a [`PACKED`] entry: the four bits of the character.
const CODE: u8 = 0x0F;
/// The character is in the nibble alphabet `0-9 - .`
const NIBBLE: u8 = 0x10;
/// The character is in the hex alphabet `0-9 A-F`.
const HEX: u8 = 0x20;
const BOTH: u8 = NIBBLE | HEX;

/// By character: its code and the packed alphabets that it is in. No character has two codes.
static PACKED: [u8; 256] = {
    let mut table = [0; 256];
    let mut digit = 0;
    while digit < 10 {
        table[b'0' as usize + digit] = BOTH | digit as u8;
        digit += 1;
    }
    table[b'-' as usize] = NIBBLE | 10;
    table[b'.' as usize] = NIBBLE | 11;
    let mut letter = 0;
    while letter < 6 {
        table[b'A' as usize + letter] = HEX | (10 + letter as u8);
        letter += 1;
    }
    table
};
