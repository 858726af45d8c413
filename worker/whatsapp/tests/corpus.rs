//! The corpus of each target, run as it is, and with some bytes changed.

mod targets;

use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Changed copies of each file.
const COPIES: usize = 24;

#[test]
fn what_was_found_once_harms_nobody_nor_does_what_is_like_it() {
    for (name, target) in targets::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/corpus")
            .join(name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(files.len() > 10, "{}: {} files", folder.display(), files.len());
        let mut rng = StdRng::seed_from_u64(11);
        for file in files {
            let whole = fs::read(&file).unwrap();
            target(&whole);
            for _ in 0..COPIES {
                target(&changed(&whole, &mut rng));
            }
        }
    }
}

/// A copy with a few bytes changed, taken out or repeated.
fn changed(whole: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut copy = whole.to_vec();
    for _ in 0..rng.random_range(1..5) {
        let at = rng.random_range(0..=copy.len());
        match rng.random_range(0..4) {
            0 => copy.truncate(at),
            1 => copy.insert(at, rng.random()),
            2 => copy.extend_from_within(at..),
            _ => {
                if let Some(byte) = copy.get_mut(at) {
                    *byte = rng.random();
                }
            }
        }
    }
    copy
}
