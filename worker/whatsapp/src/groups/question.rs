//! What this part's questions were for.

use crate::group::request::GroupRequest;
use crate::jid::Jid;
use crate::part::Tickets;

/// The open questions.
pub(super) type Questions = Tickets<Question>;

/// One of them.
pub(super) enum Question {
    /// To the store: what is kept of this group.
    Stored(Jid),
    /// To the store: the deletions that nobody has judged.
    Revokes,
    /// To the server: who is in this group.
    Members(Jid),
    /// To the server: what the owner asks, under their ticket.
    Owner(u64, Box<GroupRequest>),
}
