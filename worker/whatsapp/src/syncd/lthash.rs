//! A hash of a set that members are added to and taken from in any order.

use std::fmt;

use super::macs::ValueMac;
use ::media::block;

const INFO: &[u8] = b"WhatsApp Patch Integrity";
const BYTES: usize = 128;

/// The hash over the value MACs of all records of a collection: 64 sums modulo 65536, little-endian.
#[derive(Clone, PartialEq, Eq)]
pub struct LtHash([u8; BYTES]);

impl LtHash {
    /// The hash of nothing.
    pub const ZERO: Self = Self([0; BYTES]);

    /// The hash from its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// Adds a record.
    pub fn add(&mut self, item: &ValueMac) {
        self.each(item, u16::wrapping_add);
    }

    /// Takes a record out.
    pub fn subtract(&mut self, item: &ValueMac) {
        self.each(item, u16::wrapping_sub);
    }

    fn each(&mut self, item: &ValueMac, change: fn(u16, u16) -> u16) {
        let expanded = block::expand::<BYTES>(item, INFO);
        let (lanes, _) = self.0.as_chunks_mut::<2>();
        let (changes, _) = expanded.as_chunks::<2>();
        for (lane, by) in lanes.iter_mut().zip(changes) {
            *lane = change(u16::from_le_bytes(*lane), u16::from_le_bytes(*by)).to_le_bytes();
        }
    }
}

impl fmt::Debug for LtHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LtHash(…)")
    }
}
