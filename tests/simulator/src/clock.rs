//! The time, as the simulator hands it to its parts. Nobody else reads a clock.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Tells the time: the wall clock, for what stanzas say, and tokio's, for what is waited for. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Clock(());

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub const fn system() -> Self {
        Self(())
    }

    /// Unix seconds.
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    /// The monotonic clock that timers run on.
    #[must_use]
    pub fn now(self) -> Instant {
        Instant::now()
    }
}
