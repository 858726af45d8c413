//! What sealing and opening files costs above the cipher, the MAC and the hashes, and reading a piece of the history above
//! inflating and decoding it. Prints one JSON object per line.
//!
//! `cargo bench -p whatsapp --features server --bench media`. Times are of the machine; the ratio is what to watch.
#![allow(missing_docs)]

mod work;

use work::files::{self, TARGET};
use work::history;
use work::measure::print_comparison;

fn main() {
    print_comparison("media_seal_256k", files::sealing(), TARGET);
    print_comparison("media_open_256k", files::opening(), TARGET);
    print_comparison("history_chunk_1000", history::reading(), history::TARGET);
}
