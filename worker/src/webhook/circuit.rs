//! The circuit of one endpoint: after a run of failures it is left alone for a while, then probed by one attempt.
//!
//! Pure: the time comes from the caller. Kept in memory only; after a restart the first failures open it again.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open the circuit.
pub(super) const FAILURES_TO_OPEN: u32 = 5;

/// Limits of the time that a circuit stays open.
#[derive(Debug, Clone, Copy)]
pub(super) struct CircuitLimits {
    pub(super) first: Duration,
    /// Doubled after each failed probe, up to this.
    pub(super) longest: Duration,
}

impl Default for CircuitLimits {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            longest: Duration::from_secs(300),
        }
    }
}

/// Whether an endpoint may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Go ahead.
    Pass,
    /// Not before this time has passed.
    Closed(Duration),
}

/// What is known of one endpoint.
#[derive(Debug)]
pub(super) struct Circuit {
    limits: CircuitLimits,
    state: State,
}

#[derive(Debug)]
enum State {
    Healthy {
        failures: u32,
    },
    Open {
        until: Instant,
        span: Duration,
    },
    /// One attempt is out to see; everything else waits for it.
    Probing {
        span: Duration,
    },
}

/// What others are told to wait while a probe is out.
const WHILE_PROBING: Duration = Duration::from_secs(1);

impl Circuit {
    /// A circuit that lets everything through.
    pub(super) fn new(limits: CircuitLimits) -> Self {
        Self {
            limits,
            state: State::Healthy { failures: 0 },
        }
    }

    /// Whether an attempt may start now. A pass while open makes this attempt the probe; its outcome must be told.
    pub(super) fn enter(&mut self, now: Instant) -> Gate {
        match self.state {
            State::Healthy { .. } => Gate::Pass,
            State::Open { until, span } if now >= until => {
                self.state = State::Probing { span };
                Gate::Pass
            }
            State::Open { until, .. } => Gate::Closed(until - now),
            State::Probing { .. } => Gate::Closed(WHILE_PROBING),
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.state = State::Healthy { failures: 0 };
    }

    /// An attempt failed; returns whether this opened the circuit.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        let span = match self.state {
            State::Healthy { failures } if failures + 1 < FAILURES_TO_OPEN => {
                self.state = State::Healthy {
                    failures: failures + 1,
                };
                return false;
            }
            State::Healthy { .. } => self.limits.first,
            State::Probing { span } => (span * 2).min(self.limits.longest),
            // A straggler that started before the circuit opened says nothing new.
            State::Open { .. } => return false,
        };
        self.state = State::Open {
            until: now + span,
            span,
        };
        true
    }

    /// Whether attempts are refused at `now`.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        match self.state {
            State::Healthy { .. } => false,
            State::Open { until, .. } => now < until,
            State::Probing { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CircuitLimits = CircuitLimits {
        first: Duration::from_secs(10),
        longest: Duration::from_secs(15),
    };

    fn opened(now: Instant) -> Circuit {
        let mut circuit = Circuit::new(LIMITS);
        for nth in 1..=FAILURES_TO_OPEN {
            assert_eq!(circuit.enter(now), Gate::Pass);
            assert_eq!(circuit.failed(now), nth == FAILURES_TO_OPEN);
        }
        circuit
    }

    #[test]
    fn opens_after_a_run_of_failures_and_lets_one_probe_through() {
        let now = Instant::now();
        let mut circuit = opened(now);
        assert_eq!(circuit.enter(now), Gate::Closed(LIMITS.first));
        let later = now + LIMITS.first;
        assert_eq!(circuit.enter(later), Gate::Pass);
        assert_eq!(circuit.enter(later), Gate::Closed(WHILE_PROBING));
        circuit.succeeded();
        assert_eq!(circuit.enter(later), Gate::Pass);
        assert!(!circuit.is_open(later));
    }

    #[test]
    fn a_failed_probe_doubles_the_time_up_to_the_limit() {
        let mut now = Instant::now();
        let mut circuit = opened(now);
        for span in [LIMITS.longest, LIMITS.longest] {
            now += LIMITS.longest;
            assert_eq!(circuit.enter(now), Gate::Pass);
            assert!(circuit.failed(now));
            assert_eq!(circuit.enter(now), Gate::Closed(span));
        }
    }

    #[test]
    fn a_success_between_failures_starts_the_count_again() {
        let now = Instant::now();
        let mut circuit = Circuit::new(LIMITS);
        for _ in 0..3 {
            for _ in 1..FAILURES_TO_OPEN {
                assert!(!circuit.failed(now));
            }
            circuit.succeeded();
        }
        assert!(!circuit.is_open(now));
    }
}
