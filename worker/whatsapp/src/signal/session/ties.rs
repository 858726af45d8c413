//! What is kept of a device beside its sessions, and outlives them.

use std::collections::VecDeque;

use crate::signal::curve::PublicKey;

/// How many messages of one device are remembered as shown; the oldest go first.
pub const MAX_SHOWN: usize = 64;
/// Bytes by which a message is remembered.
pub const MARK_BYTES: usize = 8;

/// By what a message is remembered: a hash of what names it among the messages of its device.
pub type Mark = [u8; MARK_BYTES];

/// What ties a device's present to its past.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Ties {
    /// The identity that the device is known by while there is no state that says it.
    pub(super) identity: Option<PublicKey>,
    /// The account key that has vouched for the identity, of a companion.
    pub(super) account: Option<PublicKey>,
    /// The messages of the device that were shown last, oldest first.
    pub(super) shown: VecDeque<Mark>,
    /// It has written to the owner in a direct chat.
    pub(super) wrote: bool,
}

impl Ties {
    /// Whether there is nothing to keep.
    pub(super) fn is_empty(&self) -> bool {
        self.identity.is_none() && self.account.is_none() && self.shown.is_empty() && !self.wrote
    }

    /// Notes a message as shown; false if it was before.
    pub(super) fn note_shown(&mut self, mark: Mark) -> bool {
        if self.shown.contains(&mark) {
            return false;
        }
        if self.shown.len() >= MAX_SHOWN {
            self.shown.pop_front();
        }
        self.shown.push_back(mark);
        true
    }

    /// Takes the messages that another record of the same device knew as shown, as the older ones.
    pub(super) fn absorb_shown(&mut self, other: &Self) {
        self.wrote |= other.wrote;
        let ours = std::mem::take(&mut self.shown);
        for mark in other.shown.iter().chain(&ours) {
            self.note_shown(*mark);
        }
    }

    /// Takes what another record of the same device and identity knew besides.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.identity = self.identity.or(other.identity);
        self.account = self.account.or(other.account);
    }
}
