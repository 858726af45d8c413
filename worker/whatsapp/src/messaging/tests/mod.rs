//! Messaging end to end in memory: whole connections against a server that routes between them.

mod network;
mod server;

mod groups;
mod prekeys;
mod receive;
mod retry;
mod send;
mod vectors;
