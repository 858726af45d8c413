//! What is kept of a device beside its sessions, and outlives them.

use crate::signal::curve::PublicKey;

/// What ties a device's present to its past.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Ties {
    /// The identity that the device is known by while there is no state that says it.
    pub(super) identity: Option<PublicKey>,
    /// The account key that has vouched for the identity, of a companion.
    pub(super) account: Option<PublicKey>,
}

impl Ties {
    /// Whether there is nothing to keep.
    pub(super) const fn is_empty(&self) -> bool {
        self.identity.is_none() && self.account.is_none()
    }

    /// Takes what another record of the same device and identity knew besides.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.identity = self.identity.or(other.identity);
        self.account = self.account.or(other.account);
    }
}
