//! The database: all SQL of the product, and nothing else.
//!
//! Functions are grouped by what they speak of; each has its SQL text beside it, beginning with its name, so
//! that `pg_stat_statements` reads like the code. Records are checked again when read. What belongs to a
//! session is written under the epoch of its shard ([`Fence`]); the many small writes of running sessions go
//! through [`commit::GroupCommit`]. Knows nothing of the broker.

pub mod commit;
mod database;
pub mod deliveries;
mod error;
pub mod idempotency;
pub mod keys;
pub mod leases;
mod migrate;
pub mod outbox;
pub mod queues;
pub mod recipients;
mod server;
pub mod sessions;
pub mod webhooks;

pub(crate) use database::{IDLE_TIMEOUT, Tx};
pub use database::{STATEMENT_TIMEOUT, Store, TELLTALE_LOGS};
pub use error::StoreError;
pub(crate) use error::violates;
pub use leases::Fence;
pub use migrate::{Migration, SCHEMA_VERSION};
pub use server::CONNECT_TIMEOUT;

#[cfg(test)]
mod tests;
