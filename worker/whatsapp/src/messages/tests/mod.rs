//! Messaging end to end in memory: whole connections against a server that routes between them.

mod forger;
mod group_server;
mod network;
mod restarts;
mod server;
mod tokens;

mod addressing;
mod answers;
mod companions;
mod group_sends;
mod groups;
mod identities;
mod known_contacts;
mod prekeys;
mod recalls;
mod receive;
mod resends;
mod retry;
mod send;
mod vectors;
