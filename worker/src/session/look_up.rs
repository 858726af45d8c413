//! When a session may ask WhatsApp whether a number that it does not know has an account.
//!
//! Accounts that ask for many unknown numbers are restricted, so such questions have a gap and a number per day of their
//! own, and take nothing of the gap between messages: those before sends and those that publishers ask for (is-exists) count
//! together. Knows nothing of queues.

use std::time::Duration;

use shared::store::sessions::LookUps;
use time::OffsetDateTime;
use tokio::time::Instant;

/// The bounds of a session's look-ups.
#[derive(Clone, Copy, Debug)]
pub struct LookUpPace {
    /// The least time between two.
    pub gap: Duration,
    /// The most in 24 hours.
    pub per_day: u32,
}

impl Default for LookUpPace {
    fn default() -> Self {
        Self {
            gap: Duration::from_secs(5),
            per_day: 2_000,
        }
    }
}

/// The look-ups of one session.
#[derive(Debug)]
pub(super) struct LookUpTurns {
    pace: LookUpPace,
    last: Option<Instant>,
    /// What that was before the last was taken.
    before: Option<Instant>,
    day: LookUps,
}

impl LookUpTurns {
    /// As the last owner of the session left them.
    pub(super) fn new(pace: LookUpPace, day: Option<LookUps>, wall: OffsetDateTime) -> Self {
        let none = LookUps {
            since: wall,
            count: 0,
        };
        Self {
            pace,
            last: None,
            before: None,
            day: day.unwrap_or(none),
        }
    }

    /// Until when there is none; `None` if there is one now.
    pub(super) fn until(&self, now: Instant, wall: OffsetDateTime) -> Option<Instant> {
        self.until_for(1, now, wall)
    }

    /// Until when there are none for so many numbers that are asked for together; `None` if there are now.
    pub(super) fn until_for(&self, count: u32, now: Instant, wall: OffsetDateTime) -> Option<Instant> {
        let day_ends = self.day.since + DAY;
        if self.day.count.saturating_add(count) > self.pace.per_day && day_ends > wall {
            let left = Duration::try_from(day_ends - wall).unwrap_or_default();
            return Some(now + left.min(DAY));
        }
        let next = self.last.map(|last| last + self.pace.gap);
        next.filter(|next| *next > now)
    }

    /// Takes the turns of so many numbers that are asked for together: what follows waits as if each had been asked for
    /// by itself. Answers those of the day, to be stored.
    pub(super) fn take_for(&mut self, count: u32, now: Instant, wall: OffsetDateTime) -> LookUps {
        if self.day.since + DAY <= wall || self.day.since > wall {
            self.day = LookUps {
                since: wall,
                count: 0,
            };
        }
        let last = now + self.pace.gap * count.saturating_sub(1);
        self.before = self.last.replace(last);
        self.day.count = self.day.count.saturating_add(count);
        self.day
    }

    /// What the last one was taken for came to nothing before anything was asked; answers those of the day, to be stored.
    pub(super) fn give_back(&mut self) -> LookUps {
        self.last = self.before;
        self.day.count = self.day.count.saturating_sub(1);
        self.day
    }
}

/// The time in which so many are allowed; it begins with the first of them.
const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_asked_for_together_take_a_turn_each() {
        let pace = LookUpPace {
            gap: Duration::from_secs(5),
            per_day: 12,
        };
        let (now, wall) = (Instant::now(), OffsetDateTime::UNIX_EPOCH);
        let mut turns = LookUpTurns::new(pace, None, wall);
        assert_eq!(turns.until_for(10, now, wall), None);
        assert_eq!(turns.take_for(10, now, wall).count, 10);
        assert_eq!(turns.until(now, wall), Some(now + 10 * pace.gap));
        assert_eq!(turns.until_for(1, now, wall), Some(now + 10 * pace.gap));
        let (later, wall) = (now + 10 * pace.gap, wall + 10 * pace.gap);
        assert_eq!(turns.until_for(2, later, wall), None);
        assert_eq!(turns.until_for(3, later, wall), Some(later + DAY - 10 * pace.gap));
    }

    #[test]
    fn look_ups_keep_their_gap_and_their_number_also_over_a_restart() {
        let pace = LookUpPace {
            gap: Duration::from_secs(5),
            per_day: 3,
        };
        let (mut now, mut wall) = (Instant::now(), OffsetDateTime::UNIX_EPOCH);
        let mut turns = LookUpTurns::new(pace, None, wall);
        let mut day = None;
        for _ in 0..3 {
            assert_eq!(turns.until(now, wall), None);
            day = Some(turns.take_for(1, now, wall));
            let until = turns.until(now, wall).unwrap();
            assert!(until >= now + pace.gap);
            (now, wall) = (now + pace.gap, wall + pace.gap);
        }
        let mut turns = LookUpTurns::new(pace, day, wall);
        assert_eq!(turns.until(now, wall), Some(now + DAY - 3 * pace.gap));
        let tomorrow = OffsetDateTime::UNIX_EPOCH + DAY;
        assert_eq!(turns.until(now, tomorrow), None);
        turns.take_for(1, now, tomorrow);
        assert_eq!(turns.until(now, tomorrow), Some(now + pace.gap));
        assert_eq!(turns.give_back().count, 0);
        assert_eq!(turns.until(now, tomorrow), None, "it was not asked");
    }
}
