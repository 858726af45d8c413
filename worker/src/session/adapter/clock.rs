//! The product's clock as a connection reads it.

use std::time::Duration;

use shared::clock::Clock;
use tokio::time::Instant;
use whatsapp::client;
use whatsapp::time::Timestamp;

/// The wall clock when it was made, carried on by the monotonic one: it never jumps. Each connection reads the wall
/// clock again: a machine may have slept, or been set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionClock {
    clock: Clock,
    made: Timestamp,
    origin: Instant,
}

impl ConnectionClock {
    /// Reads the wall clock once.
    pub(crate) fn new(clock: Clock) -> Self {
        let since_epoch = clock.wall().unix_timestamp_nanos().max(0).unsigned_abs();
        let nanos = u64::try_from(since_epoch).unwrap_or(u64::MAX);
        Self {
            clock,
            made: Timestamp::EPOCH + Duration::from_nanos(nanos),
            origin: clock.now(),
        }
    }
}

impl client::Clock for ConnectionClock {
    fn now(&self) -> Timestamp {
        self.made + (self.clock.now() - self.origin)
    }

    fn set_anew(&self) -> Self {
        Self::new(self.clock)
    }
}
