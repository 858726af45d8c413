//! When a session may send next.
//!
//! Owns the gap between two sends of one session, whatever queues they come from. Knows nothing of queues, of WhatsApp or of the database: it is told when a frame
//! left and when it was acknowledged, and answers until when to wait and why.
//!
//! The gap after a send is drawn once, uniform over `[MIN, MAX]` in whole milliseconds with both ends
//! included, at the moment the send is claimed; the caller stores it in the send's own commit, so that a new
//! owner of the session waits it out. It counts from the moment the frame leaves.
//!
//! The gap behind the last send of a queue that was deleted is not waited out: it may be a day long, and nothing of that queue
//! follows. Another queue then waits one of its own.
//!
//! A send must be looked up, encrypted and committed before its frame can leave. It is claimed that much ahead
//! of its time, and its frame is held until then: so the gap on the wire is the gap that was drawn.

use std::time::Duration;

use rand::{Rng, RngExt};
use tokio::time::Instant;

/// The bounds of the gap between two sends, in milliseconds, both included. No gap by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    min_ms: u64,
    max_ms: u64,
}

/// Why two numbers are no [`Pace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the smallest gap is above the largest")]
pub struct PaceError;

impl Pace {
    /// A pace of at least `min` and at most `max` between two sends, to the millisecond.
    ///
    /// # Errors
    /// [`PaceError`] when `min` is above `max`.
    pub fn new(min: Duration, max: Duration) -> Result<Self, PaceError> {
        let (min_ms, max_ms) = (millis(min), millis(max));
        if min_ms > max_ms {
            return Err(PaceError);
        }
        Ok(Self { min_ms, max_ms })
    }

    /// The smallest gap.
    pub fn min(&self) -> Duration {
        Duration::from_millis(self.min_ms)
    }

    /// The largest gap.
    pub fn max(&self) -> Duration {
        Duration::from_millis(self.max_ms)
    }

    /// The gap at this part of all that it may be.
    fn at(&self, share: Share) -> Duration {
        let span = u128::from(self.max_ms - self.min_ms) + 1;
        let part = (u128::from(share.0) * span) >> u64::BITS;
        Duration::from_millis(self.min_ms + u64::try_from(part).unwrap_or_default())
    }

    /// One gap, uniform over both ends.
    pub fn draw(&self, rng: &mut impl Rng) -> Duration {
        Duration::from_millis(rng.random_range(self.min_ms..=self.max_ms))
    }
}

/// The gap of one session. Lives in the session's actor.
#[derive(Debug, Default)]
pub struct Pacer {
    gap: Gap,
    /// How many sends were claimed: the number of the newest.
    claims: u64,
    /// The newest send has neither left nor come to nothing.
    claimed: bool,
    /// What the gap would be without the newest.
    before: Gap,
    /// How long sends take of late from their claim until their frame may leave.
    lead: Duration,
    /// When it took over: what the last owner of the session sent had left before.
    resumed: Option<Instant>,
}

/// What lies before the next send.
#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    /// No send before this.
    due: Option<Instant>,
    /// When the last send left, for a queue whose own MIN is larger than the one drawn from.
    last: Option<Instant>,
    /// The queue that the gap was drawn for is gone: how much of its own gap the next send waits.
    share: Option<Share>,
}

/// A part of all that a gap may be, drawn uniformly.
#[derive(Clone, Copy, Debug)]
struct Share(u64);

impl Gap {
    fn due(&self, pace: Pace) -> Option<Instant> {
        let own = self.share.map_or(pace.min(), |share| pace.at(share));
        self.due.max(self.last.map(|last| last + own))
    }
}

/// A send that was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its number among the claims of its pacer.
    number: u64,
    /// The gap behind it.
    pub gap: Duration,
    /// Its frame must not leave before this.
    pub not_before: Option<Instant>,
}

impl Pacer {
    /// A pacer that takes over a session whose last owner stored `wait` as what is left of its gap.
    pub fn resume(wait: Duration, now: Instant) -> Self {
        let due = Some(now + wait);
        Self {
            gap: Gap {
                due,
                ..Gap::default()
            },
            resumed: Some(now),
            ..Self::default()
        }
    }

    /// When to claim the next send of a queue with this pace, so that its frame is ready in time; `None` for
    /// at once.
    pub fn start(&self, pace: Pace) -> Option<Instant> {
        self.due(pace)
            .map(|due| due.checked_sub(self.lead).unwrap_or(due))
    }

    /// A send was ready to leave this long after its claim.
    pub fn ready_after(&mut self, took: Duration) {
        let took = took.min(LEAD_MAX);
        // Quick to grow, slow to shrink: few frames are late, and none is early.
        self.lead = if took > self.lead {
            took
        } else {
            (self.lead * 7 + took) / 8
        };
    }

    /// The earliest moment for the frame of the next send of a queue with this pace; `None` for at once.
    pub fn due(&self, pace: Pace) -> Option<Instant> {
        self.gap.due(pace)
    }

    /// The queue that the gap was drawn for is gone: the next send waits a gap of its own queue since the last one, as it would
    /// have if that had been of its queue too. A last send of another owner counts from when this one took over. Whoever has one
    /// to count from is told when one of this pace may leave.
    pub fn release(&mut self, pace: Pace, rng: &mut impl Rng) -> Option<Instant> {
        let last = self.gap.last.or(self.resumed)?;
        let share = Share(rng.random());
        let gap = Gap {
            due: None,
            last: Some(last),
            share: Some(share),
        };
        (self.gap, self.before) = (gap, gap);
        gap.due(pace)
    }

    /// Claims the next send and draws the gap that follows it. Call it only when [`Pacer::start`] has passed;
    /// the end of the gap is to be stored as `next_send_at` in the same commit as the send.
    pub fn claim(&mut self, pace: Pace, rng: &mut impl Rng, now: Instant) -> Claim {
        let gap = pace.draw(rng);
        let not_before = self.due(pace).filter(|due| *due > now);
        let leaves = not_before.unwrap_or(now);
        self.before = self.gap;
        self.gap = Gap {
            due: Some(leaves + gap),
            last: Some(leaves),
            share: None,
        };
        self.claims += 1;
        self.claimed = true;
        Claim {
            number: self.claims,
            gap,
            not_before,
        }
    }

    /// A claimed send came to nothing before anything left: the gap before it holds again. Not if others were claimed
    /// behind it: their gaps stay. Answers whether it was the newest.
    pub fn unclaim(&mut self, claim: Claim) -> bool {
        let is_newest = self.claimed && claim.number == self.claims;
        if is_newest {
            self.claimed = false;
            self.gap = self.before;
        }
        is_newest
    }

    /// The frame of a claimed send leaves now: its gap starts here, and stays if a newer one comes to nothing.
    pub fn left(&mut self, claim: Claim, now: Instant) {
        if claim.number == self.claims {
            self.claimed = false;
        }
        for gap in [&mut self.gap, &mut self.before] {
            gap.due = gap.due.max(Some(now + claim.gap));
            gap.last = gap.last.max(Some(now));
        }
    }

    /// The last send was answered. A frame that lay in a slow socket arrived later than it was written, and
    /// the server counts from there: never let the next one follow closer than MIN.
    pub fn answered(&mut self, pace: Pace, now: Instant) {
        for gap in [&mut self.gap, &mut self.before] {
            gap.due = gap.due.max(Some(now + pace.min()));
        }
    }
}

/// Why a session sends nothing just now. A closed set: it is a label of the waiting gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// No queue has anything to send.
    Idle,
    /// The gap after the last send, until this moment.
    Pace {
        /// When the gap is over.
        until: Instant,
    },
    /// The worker's cap on all sends.
    Cap,
    /// The answer to a send in hand; given up at this moment.
    Answer {
        /// When the next send goes without it.
        until: Instant,
    },
    /// A send failed for now; it is tried again at this moment.
    Retry {
        /// When.
        until: Instant,
    },
    /// Only recipients are left that were sent to in vain, and the next may not be sent to again before this moment.
    Attempt {
        /// When.
        until: Instant,
    },
    /// The server said that it goes too fast; nothing is sent until this moment.
    RateLimit {
        /// When it goes on.
        until: Instant,
    },
    /// Only numbers are left that must be looked up first, and that is not done before this moment.
    LookUp {
        /// When the next one may be.
        until: Instant,
    },
    /// New contacts can't be written to now, and nobody else is left, if anybody.
    Restricted,
    /// All there is to send starts later.
    StartsAt,
    /// The session is not connected.
    Connection,
    /// Recipients are being read from the database.
    Recipients,
}

impl Waiting {
    /// What the gauge calls it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Pace { .. } => "pace",
            Self::Cap => "cap",
            Self::Answer { .. } => "ack",
            Self::Retry { .. } => "back-off",
            Self::Attempt { .. } => "attempt",
            Self::RateLimit { .. } => "rate-limit",
            Self::LookUp { .. } => "look-up",
            Self::Restricted => "restricted",
            Self::StartsAt => "starts-at",
            Self::Connection => "not-connected",
            Self::Recipients => "reading",
        }
    }

    /// When it ends by itself, where that is known.
    pub fn until(&self) -> Option<Instant> {
        match self {
            Self::Pace { until }
            | Self::Answer { until }
            | Self::Retry { until }
            | Self::Attempt { until }
            | Self::LookUp { until }
            | Self::RateLimit { until } => Some(*until),
            Self::Idle
            | Self::Cap
            | Self::Restricted
            | Self::StartsAt
            | Self::Connection
            | Self::Recipients => None,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The longest that a send is claimed ahead of its time.
const LEAD_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
