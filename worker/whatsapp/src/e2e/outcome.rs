//! What the other parts may have waited for.

use std::collections::BTreeMap;

use super::peer::Wanted;
use crate::event::{QueryError, SendError};
use crate::jid::Jid;
use crate::signal::Address;

/// What has become of something that a part wanted. Every part hears of it, and takes what is its own.
pub(crate) enum Outcome {
    /// These sessions are in memory now, or known not to exist.
    Sessions(Vec<Wanted>),
    /// A sender key is in memory now, or known not to exist.
    SenderKey,
    /// The store has answered for the other name of this user; the directory has it if there is one.
    Name(Jid),
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
