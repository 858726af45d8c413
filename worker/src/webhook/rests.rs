//! Endpoints whose rows need not be looked at for a while: their circuit is open, or they are busy.
//!
//! In memory and of this worker only: an entry that is missing costs one look.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::id::WebhookId;
use tokio::time::Instant;

/// Who rests until when. Cheap to clone. As many entries as there are endpoints at most.
#[derive(Debug, Clone, Default)]
pub struct Rests(Arc<Mutex<HashMap<WebhookId, Instant>>>);

impl Rests {
    /// Leaves an endpoint's rows alone until then.
    pub fn until(&self, id: WebhookId, end: Instant) {
        self.lock().insert(id, end);
    }

    /// Ends the rest of an endpoint: it answers again.
    pub fn end(&self, id: WebhookId) {
        self.lock().remove(&id);
    }

    /// Those that rest now.
    pub fn now(&self, now: Instant) -> Vec<WebhookId> {
        let mut rests = self.lock();
        rests.retain(|_, end| *end > now);
        rests.keys().copied().collect()
    }

    /// How long until the first of them has rested.
    pub fn next_end(&self, now: Instant) -> Option<Duration> {
        let first = self.lock().values().min().copied();
        first.map(|end| end.saturating_duration_since(now))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WebhookId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_ends_by_the_clock_or_by_word() {
        let (rests, now) = (Rests::default(), Instant::now());
        let (a, b) = (WebhookId::random(), WebhookId::random());
        rests.until(a, now + Duration::from_secs(1));
        rests.until(b, now + Duration::from_secs(5));
        assert_eq!(rests.now(now).len(), 2);
        assert_eq!(rests.next_end(now), Some(Duration::from_secs(1)));
        assert_eq!(rests.now(now + Duration::from_secs(1)), [b]);
        rests.end(b);
        assert!(rests.now(now).is_empty() && rests.next_end(now).is_none());
    }
}
