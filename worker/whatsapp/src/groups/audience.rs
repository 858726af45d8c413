//! All devices of a group as they were found: the same for many messages.

use crate::e2e::Directory;
use crate::group::AddressingMode;
use crate::jid::Jid;
use crate::phash::devices_hash;
use crate::time::Timestamp;

/// Whom a message to a group goes to.
#[derive(Debug)]
pub(super) struct Audience {
    pub(super) addressing: AddressingMode,
    /// Ours, which sends.
    own: Jid,
    /// All others, sorted by their name in stanzas, and the other name of each.
    others: Vec<Jid>,
    other_names: Vec<Option<Jid>>,
    /// What the server compares.
    pub(super) phash: String,
    belief: Belief,
}

/// What was known of devices when they were found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Belief {
    /// [`Directory::devices_version`].
    pub(super) version: u64,
    /// Until when the first list of devices is believed.
    pub(super) expires: Timestamp,
}

impl Audience {
    /// Our own device and these others, sorted.
    pub(super) fn new(
        addressing: AddressingMode,
        own: Jid,
        others: Vec<(Jid, Option<Jid>)>,
        belief: Belief,
    ) -> Self {
        let (others, other_names): (Vec<Jid>, Vec<Option<Jid>>) = others.into_iter().unzip();
        Self {
            addressing,
            phash: devices_hash(others.iter().chain([&own])),
            own,
            others,
            other_names,
            belief,
        }
    }

    /// Whether all of it is still as it was found.
    pub(super) fn counts(&self, directory: &Directory, now: Timestamp) -> bool {
        self.belief.version == directory.devices_version() && now < self.belief.expires
    }

    /// All devices but ours, sorted.
    pub(super) fn others(&self) -> &[Jid] {
        &self.others
    }

    /// The same, with the other name of each.
    pub(super) fn others_named(&self) -> impl Iterator<Item = (&Jid, &Option<Jid>)> {
        self.others.iter().zip(&self.other_names)
    }

    /// All devices, ours too.
    pub(super) fn everyone(&self) -> impl Iterator<Item = &Jid> {
        self.others.iter().chain([&self.own])
    }
}
