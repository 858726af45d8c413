//! What the node codec costs above writing the same bytes directly. Prints one JSON object per line.
//!
//! `cargo bench -p whatsapp --bench codec`. Times are of the machine; the ratio is what to watch. Each figure is the
//! median of interleaved rounds, so that a busy machine disturbs both sides alike.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use whatsapp::binary::{Node, decode, encode};
use whatsapp::jid::{Jid, Server};

const ROUNDS: usize = 201;
const RUNS_PER_ROUND: u32 = 1_000;
const ENCODE_TARGET: f64 = 5.0;

const USER: &str = "15551230002";
const ID: &str = "3EB0AABBCCDDEEFF001122";
const PHASH: &str = "2:7qniWdW5";
const MESSAGE: [u8; 210] = [0x5a; 210];
const PREKEY_MESSAGE: [u8; 290] = [0xa5; 290];
const DEVICE_IDENTITY: [u8; 185] = [0x33; 185];

fn main() {
    let jid = Jid::new(USER, Server::User);
    let contents = [&MESSAGE[..], &PREKEY_MESSAGE, &DEVICE_IDENTITY].map(Bytes::copy_from_slice);
    let node = stanza(&jid, &contents);
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    encode(&node, &mut ours);
    flat(&mut floor);
    assert!(ours == floor, "the floor writes the same bytes");
    let wire = Bytes::from(ours.clone());
    assert!(decode(wire.clone()).unwrap() == node);

    let (mut encode_ns, mut floor_ns, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let a = time(|| {
            ours.clear();
            encode(black_box(&node), &mut ours);
            black_box(&ours);
        });
        let b = time(|| {
            floor.clear();
            flat(black_box(&mut floor));
            black_box(&floor);
        });
        encode_ns.push(a);
        floor_ns.push(b);
        ratios.push(a / b);
    }
    let ratio = middle(ratios);
    println!(
        r#"{{"bench":"encode_message_2_devices","bytes":{},"ns":{:.0},"floor_ns":{:.0},"ratio":{ratio:.2},"target":{ENCODE_TARGET},"met":{}}}"#,
        wire.len(),
        middle(encode_ns),
        middle(floor_ns),
        ratio <= ENCODE_TARGET,
    );
    print("build_and_encode_message_2_devices", || {
        ours.clear();
        encode(&stanza(black_box(&jid), &contents), &mut ours);
        black_box(&ours);
    });
    print("decode_message_2_devices", || {
        black_box(decode(black_box(wire.clone())).unwrap());
    });
    println!(r#"{{"bench":"node_size","bytes":{}}}"#, size_of::<Node>());
}

fn stanza(jid: &Jid, [message, prekey_message, identity]: &[Bytes; 3]) -> Node {
    let to = |jid: Jid, kind: &'static str, content: &Bytes| {
        let enc = Node::new("enc").attr("v", "2").attr("type", kind).with_bytes(content.clone());
        Node::new("to").attr("jid", jid).with_child(enc)
    };
    let participants = Node::new("participants").with_children([
        to(jid.clone(), "msg", message),
        to(jid.clone().with_device(11), "pkmsg", prekey_message),
    ]);
    Node::new("message")
        .attr("id", ID)
        .attr("to", jid)
        .attr("type", "text")
        .attr("phash", PHASH)
        .with_child(participants)
        .with_child(Node::new("device-identity").with_bytes(identity.clone()))
}

/// The same stanza for somebody who knows its shape: constants, packed digits, copies.
fn flat(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\0\xf8\x0a\x13\x08\xfb\x0b");
    pack(ID.as_bytes(), out);
    out.extend_from_slice(b"\x11\xfa\xff\x86");
    pack(USER.as_bytes(), out);
    out.extend_from_slice(b"\x03\x04\x38\xec\x5f\xfc\x0a");
    out.extend_from_slice(PHASH.as_bytes());
    out.extend_from_slice(b"\xf8\x02\xf8\x02\x6b\xf8\x02\xf8\x04\x11\x0c\xfa\xff\x86");
    pack(USER.as_bytes(), out);
    out.extend_from_slice(b"\x03\xf8\x01\xf8\x06\x1d\x51\x45\x04\x4d\xfc\xd2");
    out.extend_from_slice(&MESSAGE);
    out.extend_from_slice(b"\xf8\x04\x11\x0c\xf7\x00\x0b\xff\x86");
    pack(USER.as_bytes(), out);
    out.extend_from_slice(b"\xf8\x01\xf8\x06\x1d\x51\x45\x04\x53\xfd\x00\x01\x22");
    out.extend_from_slice(&PREKEY_MESSAGE);
    out.extend_from_slice(b"\xf8\x02\xe6\xfc\xb9");
    out.extend_from_slice(&DEVICE_IDENTITY);
}

fn pack(text: &[u8], out: &mut Vec<u8>) {
    let code = |char: u8| if char <= b'9' { char - b'0' } else { char - b'A' + 10 };
    for pair in text.chunks(2) {
        out.push((code(pair[0]) << 4) | pair.get(1).map_or(15, |low| code(*low)));
    }
}

fn print(name: &str, mut run: impl FnMut()) {
    let ns = middle((0..ROUNDS).map(|_| time(&mut run)).collect());
    println!(r#"{{"bench":"{name}","ns":{ns:.0}}}"#);
}

/// Nanoseconds per run.
fn time(mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..RUNS_PER_ROUND {
        run();
    }
    start.elapsed().as_nanos() as f64 / f64::from(RUNS_PER_ROUND)
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
