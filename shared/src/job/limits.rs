//! What a deployment asks of sends beyond their form: settings of its operator, the same at every door.

use std::time::Duration;

use time::OffsetDateTime;

use super::send::{DELAY_MAX_SECONDS, Delay};
use crate::body::JobError;

/// How far ahead a queue may start, if nothing is set: a year.
pub const START_AHEAD_DEFAULT: Duration = Duration::from_secs(365 * 86_400);

/// The limits of sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SendLimits {
    /// `MIN_FLOOR`, in seconds: no queue's own shortest gap may be below it.
    min_floor: f64,
    /// `START_AHEAD_DAYS`: how far ahead a queue may start.
    start_ahead: Duration,
}

impl Default for SendLimits {
    fn default() -> Self {
        Self {
            min_floor: 0.0,
            start_ahead: START_AHEAD_DEFAULT,
        }
    }
}

impl SendLimits {
    /// Limits; the floor in seconds.
    ///
    /// # Errors
    /// A [`JobError`] on `min` when the floor is no number of seconds that a gap may have.
    pub fn new(min_floor: f64, start_ahead: Duration) -> Result<Self, JobError> {
        Delay::new(min_floor, DELAY_MAX_SECONDS)?;
        Ok(Self {
            min_floor,
            start_ahead,
        })
    }

    /// The floor of gaps, in seconds.
    pub fn min_floor(&self) -> f64 {
        self.min_floor
    }

    /// Refuses a gap below the floor.
    ///
    /// # Errors
    /// A [`JobError`] on `delay.min`.
    pub fn check_delay(&self, delay: Option<Delay>) -> Result<(), JobError> {
        match delay {
            Some(delay) if self.raised(delay).is_some() => Err(JobError::new(
                "delay.min",
                format!("must be at least {} seconds here (MIN_FLOOR)", self.min_floor),
            )),
            _ => Ok(()),
        }
    }

    /// The gap that is kept instead of one below the floor; none where it may stay as it is.
    pub fn raised(&self, delay: Delay) -> Option<Delay> {
        let (min, max) = (delay.min().as_secs_f64(), delay.max().as_secs_f64());
        if min >= self.min_floor {
            return None;
        }
        // Both are gaps that may be, and the greater of the two is no less than the floor.
        Delay::new(self.min_floor, max.max(self.min_floor)).ok()
    }

    /// Refuses a start too far ahead of `now`. One in the past is at once.
    ///
    /// # Errors
    /// A [`JobError`] on `startAt`.
    pub fn check_start(&self, start_at: Option<OffsetDateTime>, now: OffsetDateTime) -> Result<(), JobError> {
        match start_at {
            Some(at) if at - now > self.start_ahead => Err(JobError::new(
                "startAt",
                format!(
                    "must be at most {} days ahead (START_AHEAD_DAYS)",
                    self.start_ahead.as_secs() / 86_400
                ),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_below_the_floor_is_refused_by_name_or_raised() {
        let limits = SendLimits::new(5.0, START_AHEAD_DEFAULT).unwrap();
        let delay = |min, max| Delay::new(min, max).unwrap();
        for fine in [delay(5.0, 5.0), delay(10.0, 30.0)] {
            assert_eq!(limits.raised(fine), None);
            limits.check_delay(Some(fine)).unwrap();
        }
        limits.check_delay(None).unwrap();
        assert_eq!(limits.raised(delay(0.0, 0.0)), Some(delay(5.0, 5.0)));
        assert_eq!(limits.raised(delay(1.0, 30.0)), Some(delay(5.0, 30.0)));
        let refused = limits.check_delay(Some(delay(4.999, 30.0))).unwrap_err();
        assert_eq!(refused.field, "delay.min");
        assert_eq!(refused.problem, "must be at least 5 seconds here (MIN_FLOOR)");
        assert!(SendLimits::new(-1.0, START_AHEAD_DEFAULT).is_err());
    }

    #[test]
    fn a_start_too_far_ahead_is_refused_and_one_in_the_past_is_not() {
        let limits = SendLimits::new(0.0, Duration::from_secs(86_400)).unwrap();
        let now = OffsetDateTime::UNIX_EPOCH;
        for fine in [
            None,
            Some(now - Duration::from_secs(1)),
            Some(now + Duration::from_secs(86_400)),
        ] {
            limits.check_start(fine, now).unwrap();
        }
        let refused = limits
            .check_start(Some(now + Duration::from_secs(86_401)), now)
            .unwrap_err();
        assert_eq!(
            (refused.field.as_str(), refused.problem.as_str()),
            ("startAt", "must be at most 1 days ahead (START_AHEAD_DAYS)")
        );
    }
}
