//! Which texts were shown already: to notice that somebody sent one again under another id.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use super::job::Delivery;

/// Most texts that are remembered.
const MAX_TEXTS: usize = 16_000_000;

/// Which texts which contact got from whom, as hashes.
#[derive(Default)]
pub(super) struct Texts {
    hasher: BuildHasherDefault<DefaultHasher>,
    seen: HashSet<u64>,
}

impl Texts {
    /// `false` if the contact got this text from this account before.
    pub(super) fn note(&mut self, delivery: &Delivery, text: &str) -> bool {
        let print = self.hasher.hash_one((delivery.to, delivery.from.number, text));
        if self.seen.len() >= MAX_TEXTS {
            return !self.seen.contains(&print);
        }
        self.seen.insert(print)
    }
}
