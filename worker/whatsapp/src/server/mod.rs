//! The other end of the protocol: what a server, and the phone of an account, do that a client never does.
//!
//! * [`Responder`]: the server's side of the handshake. [`ClientFrames`]: what it reads.
//! * [`cert`]: certificate chains to show to clients.
//! * [`adv`], [`code`] and [`passkey`]: the phone's side of linking a device.
//!
//! For simulators and tests. Shares the codec, the ciphers and the curve with the client, and no handshake: a mistake
//! in one of the two ends shows, instead of cancelling out.

pub mod adv;
pub mod cert;
pub mod code;
mod frames;
pub mod passkey;
mod responder;
mod symmetric;

pub use frames::{ClientFrames, FrameError};
pub use responder::{Accepted, AwaitFinish, Hello, Responder, Resumption};
pub use symmetric::{Pattern, Symmetric};

#[cfg(test)]
mod tests;
