//! One target under libFuzzer: that which `TARGET` names. `deploy/fuzz.sh` builds and runs it.

#![no_main]

#[path = "../tests/targets/mod.rs"]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("TARGET").unwrap_or_default();
    let target = targets::TARGETS.into_iter().find(|(one, _)| *one == name);
    let names = targets::TARGETS.map(|(one, _)| one);
    target
        .unwrap_or_else(|| panic!("TARGET must be one of {names:?}"))
        .1
});

fuzz_target!(|data: &[u8]| TARGET(data));
