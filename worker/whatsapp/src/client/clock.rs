//! Where the driver reads the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::time::Timestamp;

/// A source of the time. Must not go back as long as a connection lasts.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;

    /// How far it has gone, to measure by: finer than [`Clock::now`] where it can be.
    fn elapsed(&self) -> Duration {
        self.now().since(Timestamp::EPOCH)
    }

    /// The clock of the next connection, set anew where it may have gone wrong meanwhile.
    #[must_use]
    fn set_anew(&self) -> Self {
        self.clone()
    }
}

/// The time of day when it was made, carried on by tokio's clock: it never jumps, and a test that pauses tokio's clock
/// pauses this one. Each connection reads the time of day again: a machine may have slept, or been set.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    made: Timestamp,
    origin: Instant,
}

impl SystemClock {
    /// Reads the time of day once.
    pub fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            made: Timestamp::EPOCH + since_epoch,
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.made + self.origin.elapsed()
    }

    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    fn set_anew(&self) -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clock_that_went_wrong_is_right_from_the_next_connection_on() {
        let slow = SystemClock {
            made: Timestamp::EPOCH,
            origin: Instant::now(),
        };
        let before = SystemClock::new().now();
        assert!(slow.now() < before);
        assert!(slow.set_anew().now() >= before);
    }
}
