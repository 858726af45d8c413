//! Signal as WhatsApp uses it: X3DH, double ratchet, sender keys, signatures, padding.
//!
//! Bytes, keys and randomness in; bytes and new state out. Knows nothing of stanzas, sockets, clocks or storage:
//! whoever changes a state here must make it durable before what it produced leaves the process.

pub mod curve;

#[cfg(test)]
pub(crate) mod test_vectors;
