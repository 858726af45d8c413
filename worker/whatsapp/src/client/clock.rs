//! Where the driver reads the time.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::time::Timestamp;

/// A source of the time. Must not go back.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The time of day when it was made, carried on by tokio's clock: it never jumps, and a test that pauses tokio's clock
/// pauses this one.
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
}
