//! The background process of Fanfare, in two roles: `session` (drives WhatsApp sessions) and `webhook`
//! (delivers events to HTTP endpoints).

pub mod session;
pub mod shard;
pub mod webhook;
