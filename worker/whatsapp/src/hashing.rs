//! Maps by names, for what is looked up several times for each message.
//!
//! Their hash is a few times as fast as that of the standard library, and seeded at random by each process: whoever chooses
//! names can't know which fall together. They hold what a connection remembers, which is bounded in any case.

use foldhash::fast::RandomState;

/// A map with that hash.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
/// A set with that hash.
pub(crate) type HashSet<T> = std::collections::HashSet<T, RandomState>;
