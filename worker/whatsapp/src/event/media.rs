//! Where files are, and what uploads show, as the server told.

use std::fmt;
use std::time::Duration;

/// What the server says of its media hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaConn {
    /// What an upload shows.
    pub auth: MediaAuth,
    /// How long the hosts count.
    pub ttl: Duration,
    /// How long `auth` does.
    pub auth_ttl: Duration,
    /// The hosts, best first.
    pub hosts: Vec<MediaHost>,
}

/// A media host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaHost {
    /// Its name, maybe with a port.
    pub hostname: String,
    /// Another one for when it does not answer.
    pub fallback: Option<String>,
    /// Largest upload it takes, in bytes, if it says so.
    pub max_bytes: Option<u64>,
}

/// The secret that uploads show. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaAuth(String);

impl MediaAuth {
    /// From its text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for an address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MediaAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MediaAuth(…)")
    }
}
