//! How long to wait before the next connection: capped exponential with full jitter.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};

use crate::connection::Timing;

/// Counts failed connections and draws the waits between them.
///
/// A connection that was logged in and dropped is no failed one: a run of those waits longer each time too, but never
/// long.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    drops: u32,
    restarts: u32,
    /// The connection that ended was logged in.
    is_drop: bool,
}

impl Backoff {
    /// The wait before the next connection, evenly drawn between nothing and the step reached.
    pub(super) fn next(&mut self, timing: &Timing, rng: &mut StdRng) -> Duration {
        let (count, cap) = if std::mem::take(&mut self.is_drop) {
            (&mut self.drops, DROP_CAP.min(timing.backoff_cap))
        } else {
            (&mut self.failures, timing.backoff_cap)
        };
        let step = timing
            .backoff_base
            .saturating_mul(1_u32.checked_shl(*count).unwrap_or(u32::MAX));
        *count = count.saturating_add(1).min(MAX_FAILURES);
        rng.random_range(Duration::ZERO..=step.min(cap))
    }

    /// Like [`Self::next`], some steps further: the server asked for patience.
    pub(super) fn next_slowly(&mut self, timing: &Timing, rng: &mut StdRng) -> Duration {
        self.is_drop = false;
        self.failures = self.failures.saturating_add(THROTTLED_STEPS).min(MAX_FAILURES);
        self.next(timing, rng)
    }

    /// The wait before a connection that the server asked for: none, unless it keeps asking.
    pub(super) fn restart(&mut self, timing: &Timing, rng: &mut StdRng) -> Duration {
        self.restarts = self.restarts.saturating_add(1);
        if self.restarts > MAX_RESTARTS {
            self.next(timing, rng)
        } else {
            Duration::ZERO
        }
    }

    /// A connection was logged in: the logins before it that failed count no more.
    pub(super) fn logged_in(&mut self) {
        self.failures = 0;
        self.is_drop = true;
    }

    /// A connection held.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Longest wait after a connection that was logged in, however short it was and however many of them there were.
const DROP_CAP: Duration = Duration::from_secs(15);
/// Steps that a request to slow down costs.
const THROTTLED_STEPS: u32 = 5;
/// Restarts without a stable connection in between that happen at once.
const MAX_RESTARTS: u32 = 3;
/// Beyond this the step no longer grows.
const MAX_FAILURES: u32 = 31;

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_start_over_after_a_reset() {
        let (timing, mut rng) = (Timing::default(), StdRng::seed_from_u64(1));
        let mut backoff = Backoff::default();
        for failures in 0..40 {
            let bound = timing
                .backoff_base
                .saturating_mul(1 << failures.min(20))
                .min(timing.backoff_cap);
            assert!(backoff.next(&timing, &mut rng) <= bound);
        }
        let far = (0..200).map(|_| backoff.next(&timing, &mut rng)).max().unwrap();
        assert!(far > timing.backoff_cap / 2 && far <= timing.backoff_cap);
        backoff.reset();
        assert!(backoff.next(&timing, &mut rng) <= timing.backoff_base);
    }

    #[test]
    fn drops_after_good_logins_are_no_failed_logins() {
        let (timing, mut rng) = (Timing::default(), StdRng::seed_from_u64(1));
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            backoff.logged_in();
            assert!(backoff.next(&timing, &mut rng) <= DROP_CAP);
        }
        let longest = (0..50).map(|_| {
            backoff.logged_in();
            backoff.next(&timing, &mut rng)
        });
        assert!(
            longest.max().unwrap() > DROP_CAP / 2,
            "a server that drops all is not hammered"
        );
        assert!(
            backoff.next(&timing, &mut rng) <= timing.backoff_base,
            "the first that fails"
        );
        let failed = (0..50).map(|_| backoff.next(&timing, &mut rng));
        assert!(failed.max().unwrap() > DROP_CAP);
        backoff.logged_in();
        assert!(backoff.next_slowly(&timing, &mut rng) <= timing.backoff_base * (1 << THROTTLED_STEPS));
    }

    #[test]
    fn a_server_that_only_restarts_is_not_hammered() {
        let (timing, mut rng) = (Timing::default(), StdRng::seed_from_u64(1));
        let mut backoff = Backoff::default();
        for _ in 0..MAX_RESTARTS {
            assert_eq!(backoff.restart(&timing, &mut rng), Duration::ZERO);
        }
        assert!((0..10).any(|_| backoff.restart(&timing, &mut rng) > Duration::from_secs(1)));
    }
}
