//! A [`Connection`](super::Connection) against a server in memory: no sockets, no waiting.

pub(crate) mod peer;
mod world;

mod hostile;
mod login;
mod media_retries;
mod online;
mod pairing;
mod passkey;
mod restrictions;
