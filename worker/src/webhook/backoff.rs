//! Endpoints whose rows need not be looked at for a while: their circuit is open, or they are busy.
//!
//! In memory and of this worker only: an entry that is missing costs one look.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::id::WebhookId;
use tokio::time::Instant;

/// Which endpoints are left alone until when. Cheap to clone. As many entries as there are endpoints at most.
#[derive(Debug, Clone, Default)]
pub(super) struct Backoff(Arc<Mutex<HashMap<WebhookId, Instant>>>);

impl Backoff {
    /// Leaves an endpoint's rows alone until then.
    pub(super) fn until(&self, id: WebhookId, end: Instant) {
        self.lock().insert(id, end);
    }

    /// An endpoint answers again.
    pub(super) fn end(&self, id: WebhookId) {
        self.lock().remove(&id);
    }

    /// Those that are left alone now.
    pub(super) fn now(&self, now: Instant) -> Vec<WebhookId> {
        let mut entries = self.lock();
        entries.retain(|_, end| *end > now);
        entries.keys().copied().collect()
    }

    /// How long until the first of them is not any more.
    pub(super) fn next_end(&self, now: Instant) -> Option<Duration> {
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
    fn a_backoff_ends_by_the_clock_or_by_word() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        let (a, b) = (shared::testing::webhook_id(), shared::testing::webhook_id());
        backoff.until(a, now + Duration::from_secs(1));
        backoff.until(b, now + Duration::from_secs(5));
        assert_eq!(backoff.now(now).len(), 2);
        assert_eq!(backoff.next_end(now), Some(Duration::from_secs(1)));
        assert_eq!(backoff.now(now + Duration::from_secs(1)), [b]);
        backoff.end(b);
        assert!(backoff.now(now).is_empty() && backoff.next_end(now).is_none());
    }
}
