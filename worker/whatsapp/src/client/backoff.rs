//! How long to wait before the next connection: capped exponential with full jitter.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};

use crate::connection::Timing;

/// Counts failed connections and draws the waits between them.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    restarts: u32,
}

impl Backoff {
    /// The wait before the next connection, evenly drawn between nothing and the step reached.
    pub(super) fn next(&mut self, timing: &Timing, rng: &mut StdRng) -> Duration {
        let step = timing
            .backoff_base
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(MAX_FAILURES);
        rng.random_range(Duration::ZERO..=step.min(timing.backoff_cap))
    }

    /// Like [`Self::next`], some steps further: the server asked for patience.
    pub(super) fn next_slowly(&mut self, timing: &Timing, rng: &mut StdRng) -> Duration {
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

    /// A connection held.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

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
    fn a_server_that_only_restarts_is_not_hammered() {
        let (timing, mut rng) = (Timing::default(), StdRng::seed_from_u64(1));
        let mut backoff = Backoff::default();
        for _ in 0..MAX_RESTARTS {
            assert_eq!(backoff.restart(&timing, &mut rng), Duration::ZERO);
        }
        assert!((0..10).any(|_| backoff.restart(&timing, &mut rng) > Duration::from_secs(1)));
    }
}
