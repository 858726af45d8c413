//! What the node codec costs above writing the same bytes directly. Prints one JSON object per line.
//!
//! `cargo bench -p whatsapp --features server --bench codec`. Times are of the machine; the ratio is what to watch.
#![allow(clippy::print_stdout, missing_docs)]

mod work;

use whatsapp::binary::Node;
use work::codec::{self, ENCODE_TARGET};
use work::measure::print_comparison;

fn main() {
    print_comparison("encode_message_2_devices", codec::encoding(), ENCODE_TARGET);
    for (name, figure) in [
        (
            "build_and_encode_message_2_devices",
            codec::building_and_encoding(),
        ),
        ("decode_message_2_devices", codec::decoding()),
    ] {
        println!(r#"{{"bench":"{name}","ns":{:.0}}}"#, figure.median);
    }
    println!(r#"{{"bench":"node_size","bytes":{}}}"#, size_of::<Node>());
}
