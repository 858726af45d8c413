//! How files are fetched.

use std::time::Duration;

use shared::config::{Env, read_seconds};
use shared::proxy::ProxyUrl;

/// How files are fetched.
#[derive(Clone, Debug)]
pub struct DownloadSettings {
    /// `WHATSAPP_MEDIA_URL`: scheme and host, without a slash at the end.
    pub host: String,
    /// `WHATSAPP_ORIGIN`.
    pub origin: String,
    /// `WHATSAPP_PROXY`.
    pub proxy: Option<ProxyUrl>,
    /// `MEDIA_DOWNLOADS`: files on their way at a time.
    pub at_a_time: usize,
    /// `MEDIA_TIMEOUT`: how long the host may be silent.
    pub timeout: Duration,
}

impl Default for DownloadSettings {
    fn default() -> Self {
        Self {
            host: "https://mmg.whatsapp.net".to_owned(),
            origin: "https://web.whatsapp.com".to_owned(),
            proxy: None,
            at_a_time: 16,
            timeout: Duration::from_secs(30),
        }
    }
}

impl DownloadSettings {
    /// Reads the section; mistakes are noted in `env`.
    pub fn read(env: &mut Env) -> Self {
        let default = Self::default();
        let host: String = env.or("WHATSAPP_MEDIA_URL", default.host);
        if !host.starts_with("https://") && !host.starts_with("http://") {
            env.problem("WHATSAPP_MEDIA_URL", "must begin with http:// or https://");
        }
        let settings = Self {
            host: host.trim_end_matches('/').to_owned(),
            origin: env.or("WHATSAPP_ORIGIN", default.origin),
            proxy: env.optional("WHATSAPP_PROXY"),
            at_a_time: env.or("MEDIA_DOWNLOADS", default.at_a_time),
            timeout: read_seconds(env, "MEDIA_TIMEOUT", default.timeout),
        };
        if settings.at_a_time == 0 || settings.at_a_time > AT_A_TIME_MAX {
            env.problem("MEDIA_DOWNLOADS", "must be 1 to 1000");
        }
        if settings.timeout.is_zero() || settings.timeout > TIMEOUT_MAX {
            env.problem("MEDIA_TIMEOUT", "must be above 0 and at most 600 seconds");
        }
        settings
    }
}

/// Largest `MEDIA_DOWNLOADS`.
const AT_A_TIME_MAX: usize = 1_000;
/// The longest silence that may be allowed.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);
