//! What a shard's owner does: keeps its lease, takes its jobs in, runs its sessions, publishes its events.
//!
//! Must not know what a session does with a job.

mod backlog;
mod intake;
mod owner;
mod relay;
mod role;
mod slots;
mod starts;
mod stray;
mod supervisor;
mod worker;

pub use role::run;
