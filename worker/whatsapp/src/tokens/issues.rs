//! Tokens of ours that are to be issued: some together, and not many requests at a time.
//!
//! A chat with one person has its token issued at once, as other clients do it. With many sends under way the tokens of an
//! interval go into one request. What is lost here with the connection is due again at the next message.

use std::mem;
use std::time::Duration;

use crate::jid::Jid;
use crate::stanza::token::Issue;
use crate::time::Timestamp;

/// Most tokens in one request.
pub(crate) const MAX_TOGETHER: usize = 50;
/// Most that wait; more are left to the next message.
pub(crate) const MAX_DUE: usize = 256;
/// From one request to the next, unless so many wait that they fill one.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
/// From a request that failed to the next.
const RETRY: Duration = Duration::from_secs(60);

/// A token of ours for one contact.
#[derive(Clone, Debug)]
pub(super) struct Due {
    /// The name that tokens with the contact are kept under.
    pub(super) contact: Jid,
    pub(super) issue: Issue,
}

#[derive(Default)]
pub(super) struct Issues {
    due: Vec<Due>,
    /// In the request that is open.
    asked: Vec<Due>,
    /// When the next few may be asked for.
    next: Timestamp,
    /// When the next many may be.
    next_many: Timestamp,
}

impl Issues {
    /// Takes one; false if one for the contact is under way, or too many are.
    pub(super) fn push(&mut self, due: Due) -> bool {
        let mut all = self.due.iter().chain(&self.asked);
        let fits = self.due.len() < MAX_DUE && !all.any(|other| other.contact == due.contact);
        if fits {
            self.due.push(due);
        }
        fits
    }

    /// What to ask for now, if anything: then [`Self::take_asked`] must follow.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<&[Due]> {
        if self.deadline().is_none_or(|at| at > now) {
            return None;
        }
        let rest = self.due.split_off(self.due.len().min(MAX_TOGETHER));
        self.asked = mem::replace(&mut self.due, rest);
        self.next = now + INTERVAL;
        Some(&self.asked)
    }

    /// The request has an answer.
    pub(super) fn take_asked(&mut self) -> Vec<Due> {
        mem::take(&mut self.asked)
    }

    /// It was refused, or nobody answered: the next one has time.
    pub(super) fn hold_back(&mut self, now: Timestamp) {
        self.next_many = now + RETRY;
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        if self.due.is_empty() || !self.asked.is_empty() {
            None
        } else if self.due.len() >= MAX_TOGETHER {
            Some(self.next_many)
        } else {
            Some(self.next.max(self.next_many))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jid::Server;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn due(n: usize) -> Due {
        let contact = Jid::new(n.to_string(), Server::Lid);
        let issue = Issue {
            to: contact.clone(),
            t: NOW,
        };
        Due { contact, issue }
    }

    #[test]
    fn the_first_goes_at_once_and_those_of_an_interval_together() {
        let mut issues = Issues::default();
        assert!(issues.push(due(1)) && !issues.push(due(1)));
        assert_eq!(issues.next(NOW).map(<[Due]>::len), Some(1));
        assert!(!issues.push(due(1)), "it is under way");
        assert!(issues.push(due(2)));
        assert!(issues.next(NOW).is_none(), "one request at a time");
        assert_eq!(issues.take_asked().len(), 1);
        assert!(issues.push(due(3)));
        assert!(issues.next(NOW).is_none());
        assert_eq!(issues.deadline(), Some(NOW + INTERVAL));
        assert_eq!(issues.next(NOW + INTERVAL).map(<[Due]>::len), Some(2));
    }

    #[test]
    fn many_fill_requests_one_after_the_other_and_too_many_are_left() {
        let mut issues = Issues::default();
        let taken = (0..2 * MAX_DUE).filter(|n| issues.push(due(*n))).count();
        assert_eq!(taken, MAX_DUE);
        let mut asked = 0;
        while let Some(batch) = issues.next(NOW) {
            assert!(batch.len() <= MAX_TOGETHER);
            asked += issues.take_asked().len();
        }
        assert_eq!(asked, MAX_DUE / MAX_TOGETHER * MAX_TOGETHER);
    }

    #[test]
    fn after_a_failure_even_many_wait() {
        let mut issues = Issues::default();
        for n in 0..2 * MAX_TOGETHER {
            issues.push(due(n));
        }
        assert!(issues.next(NOW).is_some());
        issues.take_asked();
        issues.hold_back(NOW);
        assert!(issues.next(NOW).is_none());
        assert!(issues.next(NOW + RETRY).is_some());
    }
}
