//! The cryptography of linking a device, for the companion. The phone's side is in `server`.
//!
//! * [`qr`]: the text of the QR code.
//! * [`adv`]: the signed device identity, with which phone and companion vouch for each other.
//! * [`code`]: linking with a phone number and an 8-character code.
//! * [`passkey`]: what comes before that for accounts that must prove themselves with a passkey.
//!
//! Knows nothing of stanzas.
//!
//! Facts: docs/PROTOCOL.md, "Pairing".

pub mod adv;
pub mod code;
pub mod passkey;
pub mod qr;

#[cfg(test)]
mod tests;
