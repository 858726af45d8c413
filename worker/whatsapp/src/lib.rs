#![cfg_attr(feature = "client", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "client"),
    doc = "The WhatsApp Web multi-device protocol: a core without IO."
)]
//!
//! ## Where things are
//!
//! * [`connection`] is the core: one socket's life as a state machine that takes bytes, commands and the time, and
//!   gives out [`connection::Step`]s: state changes to make durable, events for the owner, bytes to send.
//! * `client` drives it: WebSocket, TLS, the commit pipeline, reconnection. `server` is the other end.
//! * What goes in are [`command::Command`]s, what comes out [`event::Event`]s; [`store`] is what must survive.
//! * [`version`] reads from a page of WhatsApp Web which version it is at.
//! * Below lie the wire ([`crypto`], [`frame`], [`binary`], [`jid`], [`stanza`], [`proto`]), [`pairing`] and [`signal`].
//!
//! Knows nothing of the product around it: no broker, no database, no HTTP.

mod account;
mod app_state;
#[cfg(feature = "client")]
pub mod client;
pub mod command;
pub mod connection;
pub mod crypto;
pub mod device;
mod e2e;
pub mod event;
pub mod group;
mod groups;
mod hashing;
mod history;
pub mod media;
mod messages;
pub mod pairing;
mod part;
pub mod payload;
pub mod phash;
pub mod poll;
pub mod profile;
pub mod proto;
pub mod reason;
#[cfg(any(feature = "server", test))]
pub mod server;
pub mod signal;
pub mod stanza;
pub mod store;
pub mod sync_action;
pub mod syncd;
mod tokens;
mod unpacking;
pub mod version;
mod wire;

pub use crypto::frame;
pub use e2e::{MAX_HANDED_PREKEYS, MAX_PREKEY_SPAN};
pub use groups::{MAX_GROUP_SENDS, MAX_KNOWN_GROUPS, MAX_REVOKES};
pub use history::{MAX_HISTORY_PIECES, MAX_HISTORY_REQUESTS, MAX_HISTORY_TAKEN, MAX_HISTORY_TRIES};
pub use messages::{
    MAX_ATTEMPTS, MAX_MESSAGE_BYTES, MAX_PLACEHOLDERS, MAX_RESENDS, MAX_SENDS, MAX_WAITING_MESSAGES,
    MAX_WAITING_RECEIPTS, message_secret,
};
pub use unpacking::{MAX_PORTION as MAX_HISTORY_PORTION, read_history};
pub use wire::{binary, jid, message_id, proxy, time};

#[cfg(test)]
mod testing;
