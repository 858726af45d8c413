//! The wall clock. Everything that waits uses tokio's clock instead.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix seconds.
#[must_use]
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
