//! Why something sealed is not believed.

use super::keys::KeyId;

/// Why a snapshot or a patch is not believed. Says nothing of its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadState {
    /// A part is missing or of another form.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// A MAC is wrong.
    #[error("wrong MAC: {0}")]
    Mac(&'static str),
    /// A key is not here.
    #[error("key {0:?} is missing")]
    MissingKey(KeyId),
    /// A patch is not the next one.
    #[error("patch {found} does not follow version {held}")]
    Order {
        /// Where the collection is.
        held: u64,
        /// The patch's number.
        found: u64,
    },
}
