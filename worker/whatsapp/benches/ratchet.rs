//! What a session costs above the primitives it is made of. Prints one JSON object per line.
//!
//! `cargo bench -p whatsapp --features server --bench ratchet`. Times are of the machine; the ratios are what to watch.
#![allow(clippy::print_stdout, missing_docs)]

mod work;

use work::measure::print_comparison;
use work::pairwise::{self, ENCRYPT_TARGET, START_TARGET};

fn main() {
    print_comparison(
        "ratchet_encrypt_112_bytes",
        pairwise::encrypting(),
        ENCRYPT_TARGET,
    );
    println!(
        r#"{{"bench":"ratchet_decrypt_112_bytes","ns":{:.0}}}"#,
        pairwise::decrypting().median
    );
    print_comparison("session_start_from_bundle", pairwise::starting(), START_TARGET);
    let stored = pairwise::storing();
    println!(
        r#"{{"bench":"session_record","fresh_bytes":{},"settled_bytes":{},"encode_ns":{:.0},"decode_ns":{:.0}}}"#,
        stored.bytes[0], stored.bytes[1], stored.encode.median, stored.decode.median,
    );
}
