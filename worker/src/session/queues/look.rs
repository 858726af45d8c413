//! Which queues stand still, and what of each is in the way.
//!
//! Says what a queue has that could be sent; why that is not sent now is the session's to say.

use shared::id::QueueId;
use shared::waiting::{NextAttempt, Reason, Standstill};
use tokio::time::Instant;

use super::{From, Queue, Queues, Reading};

/// What of a queue could be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stock {
    /// Somebody: the session decides.
    Ready,
    /// Only numbers that must be looked up first.
    Unknown,
    /// Only those who were sent to in vain so often, and not before this moment.
    Late(Instant, u16),
    /// Nobody: the rest is in hand.
    InHand,
    /// Nobody that was read.
    Unread,
    /// Nobody: the rest waits in the store for the end of a restriction.
    Held,
}

impl Queue {
    /// What it could send at this moment. What it has in hand is told only if there is nothing else.
    pub(crate) fn stock(&self, now: Instant) -> Stock {
        if !self.is_running() {
            return Stock::InHand;
        }
        if self.is_ready(From::Known) || self.is_ready(From::Late(now)) {
            return Stock::Ready;
        }
        if self.is_ready(From::Unknown) {
            return Stock::Unknown;
        }
        if self.in_hand > 0 {
            return Stock::InHand;
        }
        match self.late.front() {
            Some((at, target)) => Stock::Late(at.unwrap_or(now), target.attempts),
            None if self.reading != Reading::Done => Stock::Unread,
            None => Stock::Held,
        }
    }
}

impl Queues {
    /// How often any of them moved.
    pub(crate) fn moves(&self) -> u64 {
        self.moves
    }

    /// Looks at all: those that have not moved since the last look stand still, and `judge` says why. Answers whether any
    /// has moved.
    pub(crate) fn look(&mut self, mut judge: impl FnMut(&Queue) -> Reason) -> bool {
        let mut has_moved = false;
        for queue in self.all.values_mut() {
            let moved = queue.still.look();
            let reason = (!moved).then(|| judge(queue));
            has_moved |= moved;
            queue.still.tell(reason);
        }
        has_moved
    }

    /// What is stored from now on of a queue's standstill; false if that is what is stored.
    pub(crate) fn tell(&mut self, id: QueueId, why: Option<Standstill>) -> bool {
        let Some(queue) = self.all.get_mut(&id) else {
            return false;
        };
        let is_told = is_same(queue.waiting, why);
        if !is_told {
            queue.spec.waiting = why;
        }
        !is_told
    }
}

/// The next attempt after so many.
pub(crate) fn attempt_after(made: u16, most: u16) -> NextAttempt {
    NextAttempt {
        number: made.saturating_add(1),
        most,
    }
}

/// Whether two say the same, whatever was rounded on the way.
fn is_same(one: Option<Standstill>, other: Option<Standstill>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return one.is_none() && other.is_none();
    };
    let is_same_end = match one.until.zip(other.until) {
        Some((one, other)) => (one - other).abs() < time::Duration::SECOND,
        None => one.until.is_none() && other.until.is_none(),
    };
    is_same_end && (one.reason, one.attempt) == (other.reason, other.attempt)
}
