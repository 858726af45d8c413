//! What a shard's owner does: keeps its lease, takes its jobs in, runs its sessions, publishes its events.
//!
//! Must not know what a session does with a job.

mod backlog;
pub(crate) mod committer;
mod intake;
mod keeper;
pub mod lease;
pub(crate) mod leases;
pub(crate) mod owner;
pub(crate) mod pending;
pub(crate) mod relay;
pub(crate) mod settlement;
pub(crate) mod slots;
pub(crate) mod starts;
pub(crate) mod stray;
mod supervisor;
pub(crate) mod worker;
