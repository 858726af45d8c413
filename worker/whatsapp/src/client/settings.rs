//! The settings of a session's connections: one value, or one that is replaced from time to time.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{connection::Config, proxy::Proxy, version::ClientVersion};

/// Where a session takes the settings of each connection from: made of a [`Config`], or of a channel whose newest value
/// counts from the session's next connection on, as when the version of WhatsApp Web is raised.
#[derive(Clone, Debug)]
pub struct Settings {
    current: watch::Receiver<Arc<Config>>,
    /// The session's own, in place of that of the settings.
    proxy: Option<Arc<Proxy>>,
}

impl Settings {
    /// The same for a session that leaves by this proxy, if it has one of its own.
    #[must_use]
    pub fn through(self, proxy: Option<Arc<Proxy>>) -> Self {
        Self { proxy, ..self }
    }

    /// Those of a connection that begins now.
    pub(super) fn current(&self) -> Arc<Config> {
        let current = Arc::clone(&self.current.borrow());
        match &self.proxy {
            Some(proxy) => Arc::new(Config {
                proxy: Some(Arc::clone(proxy)),
                ..(*current).clone()
            }),
            None => current,
        }
    }

    /// Waits for settings with a newer version than this one; for ever if none can come.
    pub(super) async fn newer_than(mut self, version: ClientVersion) {
        let found = self
            .current
            .wait_for(|config| config.version > version)
            .await
            .is_ok();
        if !found {
            std::future::pending().await
        }
    }
}

impl From<watch::Receiver<Arc<Config>>> for Settings {
    fn from(current: watch::Receiver<Arc<Config>>) -> Self {
        Self { current, proxy: None }
    }
}

impl From<Arc<Config>> for Settings {
    fn from(config: Arc<Config>) -> Self {
        watch::channel(config).1.into()
    }
}
