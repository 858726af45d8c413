//! How much one endpoint is asked: attempts under way, and how soon after each other they may begin.
//!
//! Pure: the time comes from the caller. In memory, and of this worker only.

use std::time::Duration;

use shared::store::webhooks::Limits;
use tokio::time::Instant;

/// Attempts that may be under way to one endpoint, unless it says fewer.
pub(super) const IN_FLIGHT_MAX: usize = 16;

/// How much a start that timers brought too late may be made up for.
const LATE_MAX: Duration = Duration::from_millis(5);

/// The places and the pace of one endpoint.
#[derive(Debug)]
pub(super) struct Pace {
    places: usize,
    /// Between two starts; `None` without a limit.
    gap: Option<Duration>,
    /// When the next may start, as far as the gap goes.
    next_at: Option<Instant>,
    in_flight: usize,
}

impl Pace {
    /// Nothing is under way, and nothing was begun.
    pub(super) fn new() -> Self {
        Self {
            places: IN_FLIGHT_MAX,
            gap: None,
            next_at: None,
            in_flight: 0,
        }
    }

    /// Holds to these limits from now on.
    pub(super) fn limit(&mut self, limits: Limits) {
        self.places = limits
            .max_concurrent
            .map_or(IN_FLIGHT_MAX, |most| usize::from(most).clamp(1, IN_FLIGHT_MAX));
        self.gap = limits
            .max_per_second
            .filter(|most| *most > 0.0)
            .and_then(|most| Duration::try_from_secs_f64(1.0 / most).ok());
        if self.gap.is_none() {
            self.next_at = None;
        }
    }

    /// Whether an attempt may begin.
    pub(super) fn has_place(&self, now: Instant) -> bool {
        self.in_flight < self.places && self.next_at.is_none_or(|at| now >= at)
    }

    /// When one may, where only the time is missing.
    pub(super) fn next_start(&self) -> Option<Instant> {
        self.next_at.filter(|_| self.in_flight < self.places)
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.in_flight += 1;
        if let Some(gap) = self.gap {
            let planned = self.next_at.unwrap_or(now);
            self.next_at = Some(planned.max(now.checked_sub(LATE_MAX).unwrap_or(now)) + gap);
        }
    }

    /// An attempt is over.
    pub(super) fn end(&mut self) {
        self.in_flight -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(max_per_second: Option<f64>, max_concurrent: Option<u16>) -> Pace {
        let mut pace = Pace::new();
        pace.limit(Limits {
            max_per_second,
            max_concurrent,
        });
        pace
    }

    #[test]
    fn places_are_the_endpoints_or_ours() {
        let now = Instant::now();
        for (said, places) in [(None, IN_FLIGHT_MAX), (Some(2), 2), (Some(1_000), IN_FLIGHT_MAX)] {
            let mut pace = pace(None, said);
            for _ in 0..places {
                assert!(pace.has_place(now));
                pace.begin(now);
            }
            assert!(!pace.has_place(now) && pace.next_start().is_none());
            pace.end();
            assert!(pace.has_place(now));
        }
    }

    #[test]
    fn no_second_has_more_starts_than_the_endpoint_says() {
        let start = Instant::now();
        for most in [0.5, 3.0, 50.0, 1_000.0] {
            let mut pace = pace(Some(most), None);
            let mut starts = Vec::new();
            // A timer that comes up to two milliseconds late.
            for tick in 0..5_000_u32 {
                let now =
                    start + Duration::from_micros(1_000 * u64::from(tick) + u64::from(tick * 7_919 % 2_000));
                while pace.has_place(now) {
                    pace.begin(now);
                    pace.end();
                    starts.push(now);
                }
            }
            for (index, first) in starts.iter().enumerate() {
                let within = starts[index..]
                    .iter()
                    .take_while(|at| **at < *first + Duration::from_secs(1));
                let allowed = (most * (1.0 + LATE_MAX.as_secs_f64())).ceil() as usize + 1;
                assert!(within.count() <= allowed, "{most} a second");
            }
            assert!(
                starts.len() as f64 >= most * 4.5,
                "{} starts at {most} a second",
                starts.len()
            );
        }
    }

    #[test]
    fn a_limit_that_is_lifted_holds_nobody_back() {
        let now = Instant::now();
        let mut pace = pace(Some(0.001), None);
        pace.begin(now);
        assert!(!pace.has_place(now));
        assert_eq!(pace.next_start(), Some(now + Duration::from_secs(1_000)));
        pace.limit(Limits::default());
        assert!(pace.has_place(now) && pace.next_start().is_none());
    }
}
