//! A key of the app state, and the five that are made of it.

use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

use ::media::block;

/// Bytes of a key as the phone shares it.
pub const KEY_BYTES: usize = 32;
/// Longest id of a key; six bytes in practice.
pub const MAX_KEY_ID_BYTES: usize = 64;
const INFO: &[u8] = b"WhatsApp Mutation Keys";

/// Names a key of the app state. Opaque.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Bytes);

impl KeyId {
    /// Takes an id; `None` if it is empty or too long to be one.
    #[must_use]
    pub fn new(id: &[u8]) -> Option<Self> {
        let is_fine = !id.is_empty() && id.len() <= MAX_KEY_ID_BYTES;
        // A copy: an id outlives the message that it came in.
        is_fine.then(|| Self(Bytes::copy_from_slice(id)))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyId(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// What one key is expanded to. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct MutationKeys(Zeroizing<[u8; 160]>);

impl MutationKeys {
    /// Expands a key.
    #[must_use]
    pub fn expand(key: &[u8; KEY_BYTES]) -> Self {
        Self(block::expand(key, INFO))
    }

    pub(super) fn index(&self) -> &[u8; 32] {
        self.part(0)
    }

    pub(super) fn value_encryption(&self) -> &[u8; 32] {
        self.part(1)
    }

    pub(super) fn value_mac(&self) -> &[u8; 32] {
        self.part(2)
    }

    pub(super) fn snapshot_mac(&self) -> &[u8; 32] {
        self.part(3)
    }

    pub(super) fn patch_mac(&self) -> &[u8; 32] {
        self.part(4)
    }

    fn part(&self, at: usize) -> &[u8; 32] {
        let (parts, _) = self.0.as_chunks::<32>();
        &parts[at]
    }
}

impl fmt::Debug for MutationKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MutationKeys(…)")
    }
}
