//! Questions to the store for names alone: asked when nothing else is.

use std::collections::VecDeque;

use super::tickets::Ticket;
use crate::store::RecordKind;

/// Which names of records are asked for, in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Of which kind.
    pub kind: RecordKind,
    /// Only those behind this name.
    pub after: Option<Vec<u8>>,
    /// At most so many.
    pub most: usize,
}

/// The listings that are open, in the order asked: a part has one at a time.
#[derive(Default)]
pub(crate) struct Listings {
    new: VecDeque<(Listing, Ticket)>,
    taken: Option<Ticket>,
}

impl Listings {
    pub(crate) fn ask(&mut self, listing: Listing, ticket: Ticket) {
        self.new.push_back((listing, ticket));
    }

    /// The next one; none while one is under way.
    pub(crate) fn take(&mut self) -> Option<Listing> {
        if self.taken.is_some() {
            return None;
        }
        let (listing, ticket) = self.new.pop_front()?;
        self.taken = Some(ticket);
        Some(listing)
    }

    /// The one that was taken is answered: whose it was.
    pub(crate) const fn answered(&mut self) -> Option<Ticket> {
        self.taken.take()
    }
}
