//! The questions we have open with the store.

use std::collections::VecDeque;

use bytes::Bytes;

use super::tickets::Ticket;
use crate::store::RecordKey;

/// The questions, in the order asked.
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
        for (keys, ticket) in std::mem::replace(&mut self.new, rest) {
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
