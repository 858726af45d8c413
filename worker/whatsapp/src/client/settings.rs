//! The settings of a session's connections: one value, or one that is replaced from time to time.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{connection::Config, version::ClientVersion};

/// Where a session takes the settings of each connection from: made of a [`Config`], or of a channel whose newest value
/// counts from the session's next connection on, as when the version of WhatsApp Web is raised.
#[derive(Clone, Debug)]
pub struct Settings(watch::Receiver<Arc<Config>>);

impl Settings {
    /// Those of a connection that begins now.
    pub(super) fn current(&self) -> Arc<Config> {
        Arc::clone(&self.0.borrow())
    }

    /// Waits for settings with a newer version than this one; for ever if none can come.
    pub(super) async fn newer_than(mut self, version: ClientVersion) {
        let found = self.0.wait_for(|config| config.version > version).await.is_ok();
        if !found {
            std::future::pending().await
        }
    }
}

impl From<watch::Receiver<Arc<Config>>> for Settings {
    fn from(current: watch::Receiver<Arc<Config>>) -> Self {
        Self(current)
    }
}

impl From<Arc<Config>> for Settings {
    fn from(config: Arc<Config>) -> Self {
        Self(watch::channel(config).1)
    }
}
