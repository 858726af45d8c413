//! The cryptography of the app state ("syncd"): settings and chat states that an account's devices share.
//!
//! A collection is a set of records by index, kept in step by numbered patches. The server sees neither indexes nor
//! values; a homomorphic hash over all records ([`LtHash`]) and MACs over it show that nothing was left out. Owns keys,
//! hash, records, and how a snapshot or a patch is checked. Knows no stanzas, no store, and no meaning of a record.
//!
//! Facts: docs/PROTOCOL.md, "App state".

mod apply;
mod bad;
mod keys;
mod lthash;
mod macs;
mod mutation;
mod seal;
#[cfg(test)]
mod tests;

pub use ::media::block::BLOCK_BYTES;
pub use apply::{Applied, State};
pub use bad::BadState;
pub use keys::{KEY_BYTES, KeyId, MAX_KEY_ID_BYTES, MutationKeys};
pub use lthash::LtHash;
pub use macs::{BUCKETS, IndexMac, Macs, ValueMac, bucket_of};
pub use mutation::{Mutation, Operation};
pub use seal::{Change, Sealer};
