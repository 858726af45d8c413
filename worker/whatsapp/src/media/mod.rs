//! Encrypted files beside the messages: what keys they have, and how they are sealed, checked and opened.
//!
//! A message names a file by its path at the media host and carries the key and the hashes of it. Owns the kinds, keys and
//! checks; knows no HTTP and no message.
//!
//! Facts: docs/PROTOCOL.md, "Media".

mod blob;
mod kind;
mod stream;

pub use blob::{BadBlob, BlobRef, MAC_BYTES, MEDIA_KEY_BYTES, MediaKey, Sealed, is_path, open, seal};
pub use kind::MediaKind;
pub use stream::{Opener, Seal, Sealer};
