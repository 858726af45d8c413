//! A device as the wire names it and as its ratchet is kept.

use crate::jid::Jid;
use crate::signal::Address;

/// A device that is encrypted for, or that encrypts for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The name in stanzas.
    pub(crate) wire: Jid,
    /// Under which the ratchet is kept: by LID where it is known.
    pub(crate) address: Address,
    /// Where the ratchet may still be from before the LID was known.
    pub(crate) earlier: Option<Address>,
}

/// A session that is being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) address: Address,
    /// The address under which the session is used, if this one is where it may still be from before.
    pub(crate) moves_to: Option<Address>,
}

impl Wanted {
    /// Whether somebody who wants to use this peer's session waited for this one.
    pub(crate) fn concerns(&self, peer: &Peer) -> bool {
        let names = [Some(&self.address), self.moves_to.as_ref()];
        let mut names = names.into_iter().flatten();
        names.any(|name| *name == peer.address || Some(name) == peer.earlier.as_ref())
    }
}
