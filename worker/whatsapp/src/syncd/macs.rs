//! Which records a collection has: the MAC of each value by the MAC of its index.
//!
//! That is all that taking a record out of the hash needs; of indexes and values nothing is kept. The pairs are kept in
//! buckets, so that an account with thousands of records has a few rows, and a change of one writes little.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

/// The MAC of a record's index.
pub type IndexMac = [u8; 32];
/// The MAC of a record's value.
pub type ValueMac = [u8; 32];

/// Into how many buckets the records of a collection are sorted.
pub const BUCKETS: u8 = 32;

/// The bucket that a record is in.
#[must_use]
pub const fn bucket_of(index: &IndexMac) -> u8 {
    index[0] % BUCKETS
}

/// The records of some buckets of a collection.
#[derive(Clone, Debug, Default)]
pub struct Macs {
    pairs: BTreeMap<IndexMac, ValueMac>,
    touched: BTreeSet<u8>,
}

impl Macs {
    /// Takes in a stored bucket; false if its bytes are no such thing.
    pub fn read(&mut self, stored: &[u8]) -> bool {
        let (pairs, rest) = stored.as_chunks::<64>();
        for pair in pairs {
            let (halves, _) = pair.as_chunks::<32>();
            self.pairs.insert(halves[0], halves[1]);
        }
        rest.is_empty()
    }

    /// The buckets that were altered, with what is to be stored; `None` if nothing is left in it.
    pub fn altered(&self) -> impl Iterator<Item = (u8, Option<Bytes>)> + '_ {
        self.touched.iter().map(|bucket| (*bucket, self.encode(*bucket)))
    }

    /// Forgets every record, stored ones too: a snapshot begins anew.
    pub fn clear(&mut self) {
        self.pairs.clear();
        self.touched.extend(0..BUCKETS);
    }

    pub(super) fn contains(&self, index: &IndexMac) -> bool {
        self.pairs.contains_key(index)
    }

    pub(super) fn insert(&mut self, index: IndexMac, value: ValueMac) -> Option<ValueMac> {
        self.touched.insert(bucket_of(&index));
        self.pairs.insert(index, value)
    }

    pub(super) fn remove(&mut self, index: &IndexMac) -> Option<ValueMac> {
        self.touched.insert(bucket_of(index));
        self.pairs.remove(index)
    }

    fn encode(&self, bucket: u8) -> Option<Bytes> {
        let pairs = self.pairs.iter().filter(|(index, _)| bucket_of(index) == bucket);
        let bytes: Vec<u8> = pairs
            .flat_map(|(index, value)| index.iter().chain(value).copied())
            .collect();
        (!bytes.is_empty()).then(|| bytes.into())
    }
}
