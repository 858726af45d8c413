//! In which order the database is told of what is put away: session by session, one after the other, so that no row is
//! there before the one that comes before it.

use std::collections::HashMap;

use shared::id::Token;
use tokio::sync::oneshot;

/// What is being put away, by session.
#[derive(Debug, Default)]
pub(super) struct Stores(HashMap<Token, Last>);

#[derive(Debug)]
struct Last {
    /// Closed when it is done.
    done: oneshot::Receiver<()>,
    /// How many are not.
    count: usize,
}

/// The right to tell the database, in turn.
#[derive(Debug)]
pub(super) struct Turn {
    before: Option<oneshot::Receiver<()>>,
    /// Held for the one behind.
    _done: oneshot::Sender<()>,
}

impl Stores {
    /// The next turn of a session. [`Stores::end`] is due when it was used.
    pub(super) fn begin(&mut self, token: Token) -> Turn {
        let (sender, done) = oneshot::channel();
        let before = self.0.remove(&token);
        let count = 1 + before.as_ref().map_or(0, |before| before.count);
        self.0.insert(token, Last { done, count });
        Turn {
            before: before.map(|before| before.done),
            _done: sender,
        }
    }

    /// One of a session is put away.
    pub(super) fn end(&mut self, token: &Token) {
        let Some(last) = self.0.get_mut(token) else {
            return;
        };
        last.count -= 1;
        if last.count == 0 {
            self.0.remove(token);
        }
    }

    /// Whether something of a session is not put away yet.
    pub(super) fn is_at_work_for(&self, token: &Token) -> bool {
        self.0.contains_key(token)
    }
}

impl Turn {
    /// Waits until those before it are done. It is over when this is dropped.
    pub(super) async fn come(&mut self) {
        if let Some(before) = self.before.take() {
            // An error is what says that it was dropped.
            let _ = before.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_turn_comes_when_the_one_before_it_is_over() {
        let (token, other) = (shared::testing::token(), shared::testing::token());
        let mut stores = Stores::default();
        let (mut first, mut second) = (stores.begin(token.clone()), stores.begin(token.clone()));
        assert!(first.come().now_or_never().is_some());
        assert!(stores.begin(other).come().now_or_never().is_some());
        let mut turn = Box::pin(second.come());
        assert!(turn.as_mut().now_or_never().is_none());
        drop(first);
        assert!(turn.now_or_never().is_some());
        stores.end(&token);
        assert!(stores.is_at_work_for(&token));
        stores.end(&token);
        assert!(!stores.is_at_work_for(&token));
    }
}
