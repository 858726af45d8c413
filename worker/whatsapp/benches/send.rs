//! What a whole send to three devices costs above the primitives it is made of. Prints one JSON object.
//!
//! `cargo bench -p whatsapp --features server --bench send`. Times are of the machine; the ratio is what to watch.
#![allow(missing_docs)]

mod work;

use work::measure::print_comparison;
use work::send::{self, SEND_TARGET};

fn main() {
    print_comparison("send_3_devices", send::sending(), SEND_TARGET);
}
