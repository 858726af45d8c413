//! What the processes of Fanfare must agree on: ids, jobs, events, the broker's topology and the database.
//!
//! This crate owns the only use of lapin ([`broker`]) and the only SQL ([`store`]). It knows nothing of
//! HTTP routes and nothing of the WhatsApp protocol: those meet it in `api` and in `worker`.

#[cfg(test)]
mod asyncapi;
mod body;
pub mod broker;
pub mod clock;
pub mod config;
pub mod content;
pub mod egress;
pub mod event;
pub mod files;
pub mod id;
pub mod job;
pub mod lifecycle;
pub mod metrics;
mod named;
pub mod process;
pub mod proxy;
pub mod random;
pub mod recipient;
pub mod schema;
pub mod seal;
pub mod store;
pub mod subscription;
mod survey;
pub mod telemetry;
pub mod testing;
pub mod trace;
pub mod transfers;
pub mod waiting;
