//! A message stanza for two devices: encoded, decoded, and written by somebody who knows its shape.

use std::hint::black_box;

use bytes::Bytes;
use whatsapp::binary::{Node, decode, encode};
use whatsapp::jid::{Jid, Server};

use super::measure::{Figure, alone, side_by_side, timed};

/// How many times the flat writer encoding may take.
pub const ENCODE_TARGET: f64 = 5.0;

const USER: &str = "15551230002";
const DEVICE: u8 = 5;
const ID: &str = "3EB0AABBCCDDEEFF001122";
const CIPHERTEXT: [u8; 176] = [0x5a; 176];
const RUNS: u32 = 1_000;

/// Encoding beside the flat writer, in nanoseconds.
pub fn encoding() -> (Figure, Figure) {
    let node = stanza();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    encode(&node, &mut ours);
    flat(&mut floor);
    assert!(ours == floor, "both write the same bytes");
    side_by_side(
        || {
            timed(RUNS, || {
                ours.clear();
                encode(black_box(&node), &mut ours);
                black_box(&ours);
            })
        },
        || {
            timed(RUNS, || {
                floor.clear();
                flat(black_box(&mut floor));
                black_box(&floor);
            })
        },
    )
}

/// Decoding, in nanoseconds.
pub fn decoding() -> Figure {
    let wire = wire();
    assert!(matches!(decode(wire.clone()), Ok(node) if node == stanza()));
    alone(|| timed(RUNS, || drop(black_box(decode(black_box(wire.clone()))))))
}

/// Building the nodes and encoding them, in nanoseconds.
pub fn building_and_encoding() -> Figure {
    let mut out = Vec::new();
    alone(|| {
        timed(RUNS, || {
            out.clear();
            encode(&stanza(), &mut out);
            black_box(&out);
        })
    })
}

/// The plaintext of the stanza.
pub fn wire() -> Bytes {
    let mut wire = Vec::new();
    encode(&stanza(), &mut wire);
    wire.into()
}

fn stanza() -> Node {
    let jid = Jid::new(USER, Server::User);
    let to = |jid: Jid| {
        let enc = Node::new("enc").attr("v", "2").attr("type", "msg");
        let enc = enc.with_bytes(Bytes::from_static(&CIPHERTEXT));
        Node::new("to").attr("jid", jid).with_child(enc)
    };
    let participants = Node::new("participants")
        .with_children([to(jid.clone()), to(jid.clone().with_device(DEVICE.into()))]);
    Node::new("message")
        .attr("id", ID)
        .attr("to", jid)
        .attr("type", "text")
        .with_child(participants)
}

/// The same stanza for somebody who knows its shape: constants, packed digits, copies.
pub fn flat(out: &mut Vec<u8>) {
    // Or the compiler would pack the digits.
    let (id, user, ciphertext) = black_box((ID, USER, &CIPHERTEXT[..]));
    out.extend_from_slice(b"\0\xf8\x08\x13\x08\xfb\x0b");
    pack(id.as_bytes(), out);
    out.extend_from_slice(b"\x11\xfa\xff\x86");
    pack(user.as_bytes(), out);
    out.extend_from_slice(b"\x03\x04\x38\xf8\x01\xf8\x02\x6b\xf8\x02\xf8\x04\x11\x0c\xfa\xff\x86");
    pack(user.as_bytes(), out);
    out.extend_from_slice(b"\x03\xf8\x01\xf8\x06\x1d\x51\x45\x04\x4d\xfc\xb0");
    out.extend_from_slice(ciphertext);
    out.extend_from_slice(&[0xf8, 0x04, 0x11, 0x0c, 0xf7, 0x00, DEVICE, 0xff, 0x86]);
    pack(user.as_bytes(), out);
    out.extend_from_slice(b"\xf8\x01\xf8\x06\x1d\x51\x45\x04\x4d\xfc\xb0");
    out.extend_from_slice(ciphertext);
}

fn pack(text: &[u8], out: &mut Vec<u8>) {
    let code = |char: u8| {
        if char <= b'9' {
            char - b'0'
        } else {
            char - b'A' + 10
        }
    };
    for pair in text.chunks(2) {
        out.push((code(pair[0]) << 4) | pair.get(1).map_or(15, |low| code(*low)));
    }
}
