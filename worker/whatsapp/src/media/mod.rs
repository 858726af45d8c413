//! Files beside the messages: the crate `media`, and what is said with our phone about one that is gone from the hosts.
//!
//! Knows no HTTP and no stanza.
//!
//! Facts: docs/PROTOCOL.md, "Media".

mod retry;

pub use ::media::{
    BadBlob, BlobRef, MAC_BYTES, MEDIA_KEY_BYTES, MediaKey, MediaKind, Opener, Seal, Sealed, Sealer, is_path,
    open, seal,
};
pub use retry::{RETRY_IV_BYTES, open_retry, seal_retry};
