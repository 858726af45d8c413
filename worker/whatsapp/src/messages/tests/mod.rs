//! Messaging end to end in memory: whole connections against a server that routes between them.

mod forger;
mod network;
mod server;
mod tokens;

mod companions;
mod groups;
mod identities;
mod prekeys;
mod receive;
mod retry;
mod send;
mod vectors;
