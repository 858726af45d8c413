//! The worker's rate of starts: one session at a time, a short while apart, so that neither WhatsApp nor the database
//! sees all sessions at once.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use shared::clock::Clock;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Gives sessions their turns to start, over all shards.
#[derive(Debug)]
pub(crate) struct Starts {
    clock: Clock,
    last: Mutex<(Option<Instant>, StdRng)>,
}

impl Starts {
    /// Nothing started yet.
    pub(crate) fn new(clock: Clock, rng: StdRng) -> Self {
        Self {
            clock,
            last: Mutex::new((None, rng)),
        }
    }

    /// Waits until `due`, then for the worker's turn. Dropped, it takes nothing.
    pub(super) async fn turn(&self, due: Instant) {
        sleep_until(due).await;
        let (last, rng) = &mut *self.last.lock().await;
        if let Some(last) = *last {
            let jitter = rng.random_range(Duration::ZERO..=START_GAP);
            sleep_until(last + START_GAP / 2 + jitter).await;
        }
        *last = Some(self.clock.now());
    }
}

/// Starts of a worker are this far apart, on average.
const START_GAP: Duration = Duration::from_millis(5);
