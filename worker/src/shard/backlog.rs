//! The jobs of one session on their way through its shard, in their order.

use std::collections::VecDeque;

use shared::job::SendJob;

use crate::job::pending::PendingJob;

/// What one session's jobs wait for.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Its session is being looked up.
    pub(super) is_looking: bool,
    /// Its sends that are being stored, or are about to be.
    storing: usize,
    is_large: bool,
    /// Ready for the session, before all that waits.
    pub(super) ready: VecDeque<PendingJob>,
    pub(super) waiting: VecDeque<PendingJob>,
}

/// How a send is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// In a transaction with others.
    Small,
    Large,
}

impl Size {
    pub(super) fn of(job: &SendJob) -> Self {
        if job.numbers.len() > SMALL_MAX {
            Self::Large
        } else {
            Self::Small
        }
    }
}

impl Backlog {
    /// Puts a job at its place among those that wait.
    pub(super) fn insert(&mut self, job: PendingJob) {
        let at = self.waiting.partition_point(|other| other.place() < job.place());
        self.waiting.insert(at, job);
    }

    /// Its session may have this job next.
    pub(super) fn push_ready(&mut self, mut job: PendingJob) {
        job.leave_intake();
        self.ready.push_back(job);
    }

    /// The first that waits, if it may go on.
    pub(super) fn next_waiting(&mut self) -> Option<PendingJob> {
        if self.may_go_on() {
            self.waiting.pop_front()
        } else {
            None
        }
    }

    pub(super) fn begin_storing(&mut self, size: Size) {
        self.storing += 1;
        self.is_large |= size == Size::Large;
    }

    /// A send was stored, or refused.
    pub(super) fn end_storing(&mut self, size: Size) {
        self.storing = self.storing.saturating_sub(1);
        self.is_large &= size != Size::Large;
    }

    /// All that waits, which is not for a session of this shard. What was ready goes.
    pub(super) fn take_all(&mut self) -> VecDeque<PendingJob> {
        self.ready.clear();
        std::mem::take(&mut self.waiting)
    }

    /// Whether there is something to do for a session that runs.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty() || self.may_go_on()
    }

    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.storing == 0 && self.ready.is_empty() && self.waiting.is_empty()
    }

    /// What is behind a send waits until that is stored; but sends may follow small ones, into the same transaction or
    /// the next.
    fn may_go_on(&self) -> bool {
        let Some(job) = self.waiting.front() else {
            return false;
        };
        let is_small = job.send().is_some_and(|send| Size::of(send) == Size::Small);
        self.storing == 0 || (is_small && !self.is_large)
    }
}

/// Most recipients of a send that shares a transaction with others.
const SMALL_MAX: usize = 256;
