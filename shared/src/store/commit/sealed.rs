//! Writes whose secrets are sealed: only such are committed.

use std::ops::Deref;
use std::sync::Arc;

use super::change::Write;
use crate::seal::{SealError, Sealer};
use crate::store::{Store, StoreError};

/// Seals what of a write must not be stored in the clear. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WriteSealer(Arc<Sealer>);

/// A write whose secrets are sealed.
#[derive(Debug)]
pub struct SealedWrite(Write);

impl Deref for SealedWrite {
    type Target = Write;

    fn deref(&self) -> &Write {
        &self.0
    }
}

impl WriteSealer {
    /// With the key of the store.
    ///
    /// # Errors
    /// [`StoreError::Seal`] if the store has no key to seal with.
    pub fn new(store: &Store) -> Result<Self, StoreError> {
        let sealer = store.sealer.clone();
        sealer.map(Self).ok_or(StoreError::Seal(SealError::BadKey))
    }

    /// Seals the keys of a write: microseconds for each.
    pub fn seal(&self, mut write: Write) -> SealedWrite {
        if !write.keys.is_empty() {
            let sealer = self.0.of(write.session);
            for key in &mut write.keys {
                if let Some(value) = &mut key.value {
                    *value = sealer.seal(key.kind.0, &key.name, value).into();
                }
            }
        }
        SealedWrite(write)
    }
}
