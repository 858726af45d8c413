//! The version as sessions have it: to connect with, and to say what they were told of it.

use std::sync::Arc;

use tokio::sync::watch;
use whatsapp::client;
use whatsapp::connection::{ClientVersion, Config};
use whatsapp::time::Timestamp;

use super::reports::Reports;

/// The settings of connections, with the current version in them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Versions {
    current: watch::Receiver<Arc<Config>>,
    reports: Arc<Reports>,
}

impl Versions {
    pub(super) fn new(current: watch::Receiver<Arc<Config>>, reports: Arc<Reports>) -> Self {
        Self { current, reports }
    }

    /// The settings of a connection that begins now.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.current.borrow())
    }

    /// Where a client takes the settings of each of its connections from.
    pub(crate) fn settings(&self) -> client::Settings {
        self.current.clone().into()
    }

    /// WhatsApp refused a session for its version.
    pub(crate) fn refused(&self, version: ClientVersion) {
        self.reports.refused(version);
    }

    /// WhatsApp announced to a session when it will refuse its version, or took that back.
    pub(crate) fn expires(&self, version: ClientVersion, at: Option<Timestamp>) {
        self.reports.expires(version, at);
    }
}
