//! What this part asks the server and the store, and what the other parts may have waited for.

use std::collections::BTreeMap;

use super::directory::Peer;
use crate::device::PreKeyRange;
use crate::event::{QueryError, SendError};
use crate::jid::Jid;
use crate::part::Tickets;
use crate::signal::Address;
use crate::store::RecordKey;

/// What has become of something that a part wanted. Every part hears of it, and takes what is its own.
pub(crate) enum Outcome {
    /// These sessions are in memory now, or known not to exist.
    Sessions(Vec<Wanted>),
    /// A sender key is in memory now, or known not to exist.
    SenderKey,
    /// The store has answered for these users, sorted; the directory has what it knows of their names.
    Names(Vec<Jid>),
    /// Devices that sessions were wanted with.
    Bundles(BTreeMap<Address, Fetched>),
    /// Users whose devices were wanted: the directory has them, but for these, we ourselves maybe among them.
    Devices(Vec<(Jid, SendError)>),
}

/// What became of a wanted bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// There is a session now.
    Session,
    /// The device can't be encrypted for: leave it out.
    Skip,
    /// Nobody knows: the request failed, as a whole or for this device for the moment.
    Failed(QueryError),
}

/// Who may go on. Looking at everybody who waits is not free.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wake<'a> {
    /// Anybody.
    All,
    /// Those who waited for one of these sessions.
    For(&'a [Wanted]),
    /// Those who waited for a record that another part keeps.
    Records,
}

impl Outcome {
    /// Who may go on because of this.
    pub(crate) fn wake(&self) -> Wake<'_> {
        match self {
            Self::Sessions(wanted) => Wake::For(wanted),
            _ => Wake::All,
        }
    }
}

/// The open questions.
pub(super) type Questions = Tickets<Question>;

/// What one of them was for.
pub(super) enum Question {
    /// To the server: who is on WhatsApp and has which devices.
    Devices(Vec<AskedFor>),
    /// To the server: the hidden id of this number, in place of one that is out of date.
    FreshLid(Jid),
    /// To the server: bundles to start sessions with.
    Bundles(Vec<Address>),
    /// To the server: how many of our one-time prekeys are left.
    PreKeyCount,
    /// To the server: publish prekeys.
    PreKeyUpload,
    /// To the store: prekeys that the server has not confirmed.
    UnconfirmedPreKeys(PreKeyRange),
    /// To the server: what it holds of our keys.
    KeyDigest,
    /// To the store: ratchets, in this order.
    Sessions(Vec<Wanted>),
    /// To the store: what is known of a sender in a group.
    SenderKey(RecordKey),
    /// To the store: what it knows of the names of users.
    Names(Unnamed),
    /// To the store: whether the other name of the first of each pair is the second; with all that were asked for.
    NamesBack(Unnamed, Vec<(Jid, Jid)>),
}

/// Users whose names are asked for.
pub(super) struct Unnamed {
    /// Sorted.
    pub(super) users: Vec<Jid>,
    /// They are sent to: one question at a time.
    pub(super) is_of_sends: bool,
}

/// A user whose devices are asked for.
pub(super) struct AskedFor {
    /// As whoever wants them names the user.
    pub(super) user: Jid,
    /// As the question does.
    pub(super) by: By,
}

/// How a question names a user.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum By {
    /// As a number that may have no account: a look-up.
    Number,
    /// As somebody who has one.
    Name(Jid),
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
