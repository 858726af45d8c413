//! What sessions were told of their version: the newest of each kind, until the keeper takes it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use whatsapp::connection::ClientVersion;
use whatsapp::time::Timestamp;

/// What thousands of sessions say at once is one thing, so there is room for one of each.
#[derive(Debug, Default)]
pub(super) struct Reports {
    told: Mutex<Told>,
    news: Notify,
}

/// What was said since it was last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The latest version that was refused.
    pub(super) refused: Option<ClientVersion>,
    /// The version whose end was announced, or taken back, last.
    pub(super) expires: Option<(ClientVersion, Option<Timestamp>)>,
}

impl Reports {
    pub(super) fn refused(&self, version: ClientVersion) {
        let mut told = self.lock();
        told.refused = told.refused.max(Some(version));
        self.news.notify_one();
    }

    pub(super) fn expires(&self, version: ClientVersion, at: Option<Timestamp>) {
        self.lock().expires = Some((version, at));
        self.news.notify_one();
    }

    /// Waits until there is something that was not taken. Dropping the wait loses nothing.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    pub(super) fn take(&self) -> Told {
        std::mem::take(&mut *self.lock())
    }

    /// It could not be written: it is still to be taken, unless there is something newer.
    pub(super) fn give_back(&self, told: Told) {
        let mut now = self.lock();
        now.refused = now.refused.max(told.refused);
        now.expires = now.expires.or(told.expires);
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        // Plain values: a panic elsewhere leaves nothing half done.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_of_each_kind_is_kept_until_it_is_written() {
        let (reports, at) = (Reports::default(), Timestamp::from_secs(1));
        reports.refused(ClientVersion::web(5));
        reports.refused(ClientVersion::web(4));
        reports.expires(ClientVersion::web(5), Some(at));
        reports.news().await;
        let told = reports.take();
        let expected = Told {
            refused: Some(ClientVersion::web(5)),
            expires: Some((ClientVersion::web(5), Some(at))),
        };
        assert_eq!(told, expected);
        assert_eq!(reports.take(), Told::default());
        reports.expires(ClientVersion::web(5), None);
        reports.give_back(told);
        let expected = Told {
            expires: Some((ClientVersion::web(5), None)),
            ..expected
        };
        assert_eq!(reports.take(), expected);
    }
}
