//! The WhatsApp Web multi-device protocol: a core without IO, and a driver on tokio.
//!
//! * [`connection`] is the core: one socket's life as a state machine that takes bytes, commands and the time, and
//!   gives out [`connection::Step`]s: state changes to make durable, events for the owner, bytes to send.
//! * [`client`] drives it: WebSocket, TLS, the commit pipeline, reconnection.
//! * Below lie the wire ([`jid`], [`proto`]…) and Signal ([`signal`]); beside them [`store`], what must survive.
//!
//! Knows nothing of the product around it: no broker, no database, no HTTP.

pub mod binary;
pub mod cert;
pub mod client;
pub mod command;
pub mod connection;
pub mod device;
pub mod event;
pub mod frame;
pub mod jid;
pub mod message_id;
pub mod messaging;
pub mod noise;
pub mod pairing;
pub mod payload;
pub mod phash;
pub mod proto;
pub mod signal;
pub mod stanza;
pub mod store;
pub mod time;

#[cfg(test)]
mod test_vectors;
