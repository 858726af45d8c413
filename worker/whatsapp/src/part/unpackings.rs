//! Pieces of the history to be read beside the loop: a portion at a time, of one piece at a time, answered by ticket.

use super::tickets::Ticket;
use crate::unpacking::Unpacking;

/// The piece that is to be read on, or is being.
#[derive(Default)]
pub(crate) struct Unpackings {
    new: Option<(Box<Unpacking>, Ticket)>,
    taken: Option<Ticket>,
}

impl Unpackings {
    pub(crate) fn ask(&mut self, unpacking: Box<Unpacking>, ticket: Ticket) {
        debug_assert!(self.new.is_none() && self.taken.is_none(), "one at a time");
        self.new = Some((unpacking, ticket));
    }

    /// What to read on.
    pub(crate) fn take(&mut self) -> Option<Box<Unpacking>> {
        let (unpacking, ticket) = self.new.take()?;
        self.taken = Some(ticket);
        Some(unpacking)
    }

    /// Whose the portion is that was read.
    pub(crate) fn answered(&mut self) -> Option<Ticket> {
        self.taken.take()
    }
}
