//! The encrypted channel to the server: the client's handshake, the transport after it, and the certificate in between.
//!
//! Knows nothing of nodes or sockets, and nothing of Signal but its curve. The server's end of a handshake is
//! in `server`, and shares no handshake code with this one.
//!
//! Facts: docs/PROTOCOL.md, "Noise" and "Certificates".

pub mod cert;
pub mod frame;
mod initiator;
pub(crate) mod primitives;
pub(crate) mod transport;

pub use initiator::{HandshakeError, Initiator};
pub(crate) use transport::TAG_BYTES;
pub use transport::{NoiseError, Opener, Sealer, Transport};

#[cfg(test)]
mod tests;
