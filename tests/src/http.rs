//! The one HTTP client of the harness.

use std::sync::OnceLock;

/// A client; all callers share its connections.
pub fn client() -> reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT
        .get_or_init(|| {
            // The only error is that somebody chose a provider before us.
            let _ = rustls::crypto::ring::default_provider().install_default();
            reqwest::Client::new()
        })
        .clone()
}
