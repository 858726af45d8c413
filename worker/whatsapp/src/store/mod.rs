//! What must outlive the process, and the one door to it.
//!
//! Owns [`RecordKey`] (what a piece of state is called), [`Changes`] (what one step alters), the [`KeyStore`] trait, a
//! store in memory and the suite that every store must pass. Values are bytes here, secrets among them: a store seals
//! them, never logs them, and does not look inside.
//!
//! The promise that everything rests on: **no frame leaves before the [`Changes`] of its step are durable.** A ratchet
//! that went back to an older state would use a message key twice.

mod changes;
pub mod conformance;
mod key_store;
mod memory;
mod record;

pub use changes::Changes;
pub use key_store::{KeyStore, StoreError};
pub use memory::MemoryStore;
pub use record::{RecordKey, RecordKind, SentMessage};
