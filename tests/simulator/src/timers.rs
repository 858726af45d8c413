//! What is to be done later, in the order of its time; what is due at the same moment, in the order it was put off.

use std::collections::BTreeMap;

use tokio::time::Instant;

/// Most actions that wait; one more is to be done at once.
const MAX_TIMERS: usize = 1_000_000;

/// Actions that wait for their time.
pub(crate) struct Timers<A> {
    actions: BTreeMap<(Instant, u64), A>,
    last: u64,
}

impl<A> Timers<A> {
    /// When the next action is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.actions.first_key_value().map(|((at, _), _)| *at)
    }

    /// Puts an action off; gives it back if too many wait.
    pub(crate) fn push(&mut self, at: Instant, action: A) -> Option<A> {
        if self.actions.len() >= MAX_TIMERS {
            return Some(action);
        }
        self.last += 1;
        self.actions.insert((at, self.last), action);
        None
    }

    /// Takes an action whose time has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<A> {
        self.next().filter(|at| *at <= now)?;
        self.actions.pop_first().map(|(_, action)| action)
    }
}

impl<A> Default for Timers<A> {
    fn default() -> Self {
        Self {
            actions: BTreeMap::new(),
            last: 0,
        }
    }
}

/// Waits until then; for ever if there is nothing to wait for.
pub(crate) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
