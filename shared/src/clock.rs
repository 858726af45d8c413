//! The time, as a process hands it to its parts.
//!
//! Nobody else reads a clock: what is to be judged in days runs in a test, or in a simulation, in a moment.

use time::OffsetDateTime;
use tokio::time::Instant;

/// Tells the time: the wall clock, for what is stored and told, and tokio's, for what is waited for. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Wall);

#[derive(Clone, Copy, Debug)]
enum Wall {
    System,
    /// It was this time at that moment.
    Since(OffsetDateTime, Instant),
}

impl Clock {
    /// The clock of the machine.
    pub const fn system() -> Self {
        Self(Wall::System)
    }

    /// A clock on which it is `wall` now and that goes as tokio's does: it stands where that is paused.
    pub fn starting_at(wall: OffsetDateTime) -> Self {
        Self(Wall::Since(wall, Instant::now()))
    }

    /// The wall clock. It may be set back.
    pub fn wall(&self) -> OffsetDateTime {
        match self.0 {
            Wall::System => OffsetDateTime::now_utc(),
            Wall::Since(wall, at) => wall + at.elapsed(),
        }
    }

    /// The monotonic clock that timers run on.
    pub fn now(&self) -> Instant {
        Instant::now()
    }
}

/// Milliseconds since 1970.
pub fn unix_millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn both_clocks_go_together() {
        let clock = Clock::starting_at(OffsetDateTime::UNIX_EPOCH);
        let before = clock.now();
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        assert_eq!(clock.wall().unix_timestamp(), 86_400);
        assert_eq!(clock.now() - before, Duration::from_secs(86_400));
    }
}
