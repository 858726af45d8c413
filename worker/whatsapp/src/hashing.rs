//! Maps by names, for what is looked up several times for each message.
//!
//! Their hash is a few times as fast as that of the standard library. It is seeded by each process, which makes it hard to find
//! names that fall together, but not as hard as there: use these for what is bounded, as all is that a connection remembers.

use foldhash::fast::RandomState;

/// A map with that hash.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
/// A set with that hash.
pub(crate) type HashSet<T> = std::collections::HashSet<T, RandomState>;
