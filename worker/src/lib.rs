//! The background process of Fanfare, in two roles: `session` (drives WhatsApp sessions) and `webhook`
//! (delivers events to HTTP endpoints).

mod committer;
mod guard;
mod job;
pub mod lease;
pub mod media;
pub mod scheduler;
pub mod session;
pub mod shard;
pub mod version;
mod wake;
pub mod webhook;
