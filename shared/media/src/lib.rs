//! Encrypted files beside the messages: what keys they have, and how they are sealed, checked and opened.
//!
//! A message names a file by its path at the media host and carries the key and the hashes of it. Owns the kinds, keys and
//! checks; does no IO, and knows no HTTP, no message and no session. So it may be used on both sides of the broker: by
//! those who speak to WhatsApp, and by who hands a file out that came long ago.
//!
//! Facts: docs/PROTOCOL.md, "Media".

mod blob;
pub mod block;
mod kind;
mod stream;
#[cfg(test)]
mod testing;

pub use blob::{BadBlob, BlobRef, MAC_BYTES, MEDIA_KEY_BYTES, MediaKey, Sealed, is_path, open, seal};
pub use kind::MediaKind;
pub use stream::{Opener, Seal, Sealer};
