//! The work that is measured, ours beside the floor: the primitives that it can't do without, called directly.
//!
//! The benches beside this folder time it alone; `make bench` puts it next to another client. Payloads are those of
//! `tests/interop/bench.mjs`, so that all three do the same.
// Each of the programs that include this uses a part of it; a measurement that fails should stop it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod app_state;
pub mod codec;
pub mod files;
pub mod history;
pub mod measure;
pub mod pairwise;
pub mod send;
