//! What a whole send to three devices, one to a group of 200, and a text that comes in cost above the primitives they are made
//! of. Prints a JSON object for each.
//!
//! `cargo bench -p whatsapp --features server --bench send`. Times are of the machine; the ratio is what to watch.
#![allow(missing_docs)]

mod work;

use work::measure::print_comparison;
use work::send::group::{self, GROUP_TARGET};
use work::send::incoming::{self, RECEIVE_TARGET};
use work::send::{self, SEND_TARGET};

fn main() {
    print_comparison("send_3_devices", send::sending(), SEND_TARGET);
    print_comparison("receive_text", incoming::receiving(), RECEIVE_TARGET);
    print_comparison("group_200_warm", group::warm(), GROUP_TARGET);
    print_comparison("group_200_cold", group::cold(), GROUP_TARGET);
}
