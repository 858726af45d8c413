//! The harness of the end-to-end tests, the demo and the benches: processes, actors and verbs.
//!
//! It knows the products only from outside: their binaries, their HTTP and AMQP interfaces, and the simulator's
//! control interface.

pub mod baileys;
pub mod bucket;
pub mod cluster;
pub mod dashboards;
pub mod documents;
pub mod events;
pub mod folder;
pub mod http;
pub mod line;
pub mod operator;
pub mod process;
pub mod prometheus;
pub mod receiver;
pub mod service;
pub mod simulated;
pub mod spans;
pub mod wait;
pub mod witness;
