//! The other end of the protocol: what a server, and the phone of an account, do that a client never does.
//!
//! For simulators and tests. Shares the codec, the ciphers and the curve with the client, and no handshake: a mistake
//! in one of the two ends shows, instead of cancelling out.

mod responder;
pub(crate) mod symmetric;

pub use responder::{Accepted, AwaitFinish, Hello, Responder, Resumption};
