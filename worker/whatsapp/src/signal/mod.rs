//! Signal as WhatsApp uses it: X3DH, double ratchet, sender keys, signatures, padding.
//!
//! Bytes, keys and randomness in; bytes and new state out. Knows nothing of stanzas, sockets, clocks or storage:
//! whoever changes a state here must make it durable before what it produced leaves the process.

mod address;
mod cipher;
pub mod curve;
mod keys;
pub mod padding;
pub mod sender_key;
pub mod session;
mod wire;

pub use address::Address;
pub use keys::{
    MAX_PREKEY_ID, MAX_REGISTRATION_ID, PreKey, PreKeyBundle, PreKeyId, RegistrationId, SignedPreKey,
    SignedPreKeyId,
};

#[cfg(test)]
pub(crate) mod testing;
