//! How the answer to a question finds the part that asked.

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use bytes::Bytes;

use crate::{binary::Node, event::QueryError, store::RecordKey};

/// Which part of a connection asked; whoever holds the parts numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartId(u8);

impl PartId {
    pub(crate) const fn new(number: u8) -> Self {
        Self(number)
    }
}

/// An open question. Comes back exactly once, with the answer or with why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    part: PartId,
    number: u32,
}

impl Ticket {
    /// For a question whose answer changes nothing.
    pub(crate) const IGNORED: Self = Self {
        part: PartId::new(u8::MAX),
        number: 0,
    };

    /// Who asked.
    pub(crate) const fn part(&self) -> PartId {
        self.part
    }
}

/// What the server answers to a question; or why it does not.
pub(crate) type Answer = Result<Node, QueryError>;

/// What the open questions of one part were for.
pub(crate) struct Tickets<Q> {
    part: PartId,
    opened: u32,
    open: BTreeMap<u32, Q>,
}

impl<Q> Tickets<Q> {
    /// Nothing is open.
    pub(crate) fn new(part: PartId) -> Self {
        let (opened, open) = (0, BTreeMap::new());
        Self { part, opened, open }
    }

    /// A ticket for a question that is about to be asked.
    pub(crate) fn open(&mut self, question: Q) -> Ticket {
        self.opened = self.opened.wrapping_add(1);
        self.open.insert(self.opened, question);
        Ticket {
            part: self.part,
            number: self.opened,
        }
    }

    /// What the question was for; `None` if that does not count any more.
    pub(crate) fn close(&mut self, ticket: &Ticket) -> Option<Q> {
        if ticket.part != self.part {
            return None;
        }
        self.open.remove(&ticket.number)
    }

    /// Gives up every open question, oldest first: no answer counts any more.
    pub(crate) fn close_all(&mut self) -> Vec<Q> {
        mem::take(&mut self.open).into_values().collect()
    }
}

/// The questions we have open with the store, in the order asked.
#[derive(Default)]
pub(crate) struct Loads {
    /// Those that the driver has not taken yet.
    new: VecDeque<(Vec<RecordKey>, Ticket)>,
    /// Those that it has, with how many values each gets.
    taken: VecDeque<(usize, Ticket)>,
}

impl Loads {
    pub(crate) fn ask(&mut self, keys: Vec<RecordKey>, ticket: Ticket) {
        debug_assert!(!keys.is_empty(), "a question for nothing has no answer");
        self.new.push_back((keys, ticket));
    }

    /// What to load next: the records of as many questions as go together.
    pub(crate) fn take(&mut self) -> Vec<RecordKey> {
        let rest = self.new.split_off(self.new.len().min(MAX_TOGETHER));
        let mut all = Vec::new();
        for (keys, ticket) in mem::replace(&mut self.new, rest) {
            self.taken.push_back((keys.len(), ticket));
            all.extend(keys);
        }
        all
    }

    /// Sorts the values of what was taken longest ago to its questions.
    pub(crate) fn answers(&mut self, values: Vec<Option<Bytes>>) -> Vec<(Ticket, Vec<Option<Bytes>>)> {
        let mut values = values.into_iter();
        let mut answers = Vec::new();
        while values.len() > 0
            && let Some((count, ticket)) = self.taken.pop_front()
        {
            answers.push((ticket, values.by_ref().take(count).collect()));
        }
        answers
    }
}

/// Questions that the store answers together.
const MAX_TOGETHER: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ticket_is_good_once_and_only_for_its_part() {
        let (mut one, mut other) = (Tickets::new(PartId::new(1)), Tickets::new(PartId::new(2)));
        let (first, second) = (one.open("first"), one.open("second"));
        let foreign = other.open("foreign");
        assert_eq!(one.close(&foreign), None);
        assert_eq!(one.close(&second), Some("second"));
        assert_eq!(one.close(&second), None);
        assert_eq!(one.close_all(), ["first"]);
        assert_eq!(one.close(&first), None);
        assert_eq!(one.close(&Ticket::IGNORED), None);
    }
}
