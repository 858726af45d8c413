//! What is told of calls. None is taken here: they ring on other devices of the account.

use std::fmt;

use crate::jid::Jid;
use crate::time::Timestamp;

/// Somebody calls, or a call has come further.
///
/// [`fmt::Debug`] tells how far it is, and nothing of who calls.
#[derive(Clone, PartialEq, Eq)]
pub struct CallNews {
    /// Its id, the same for all that is told of it.
    pub id: String,
    /// How far it is.
    pub stage: CallStage,
    /// Who calls, without device.
    pub from: Jid,
    /// The same by their other name, if known.
    pub other: Option<Jid>,
    /// The name that they go by, where the server tells it.
    pub name: Option<String>,
    /// Whether it is a video call. Of one whose beginning was not seen: false.
    pub is_video: bool,
    /// Whether it is a call of a group.
    pub is_group: bool,
    /// The group, where it is called as one.
    pub group: Option<Jid>,
    /// The server's word for why it ended.
    pub reason: Option<String>,
    /// It waited while we were offline.
    pub offline: bool,
    /// When, as the server says.
    pub timestamp: Option<Timestamp>,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStage {
    /// It rings.
    Offer,
    /// Another device of ours took it.
    Accept,
    /// We rejected it, or another device of ours did.
    Reject,
    /// It ended before anybody took it.
    Missed,
    /// It ended.
    End,
}

impl fmt::Debug for CallNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallNews({:?})", self.stage)
    }
}
