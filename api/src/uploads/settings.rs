//! What is taken of callers, and for how long.

use std::time::Duration;

use shared::config::Env;
use shared::files::StorePlace;

/// What is taken of callers, and for how long.
#[derive(Clone, Debug)]
pub struct UploadSettings {
    /// `MEDIA_STORE`: where files are kept; none are taken without.
    pub place: Option<StorePlace>,
    /// `MEDIA_MAX_BYTES`: the largest file.
    pub max_bytes: u64,
    /// `KEEP_UPLOADS_DAYS`: for how long one is kept.
    pub keep: Duration,
}

impl Default for UploadSettings {
    fn default() -> Self {
        Self {
            place: None,
            max_bytes: 256 * 1024 * 1024,
            keep: days(KEEP_DAYS_DEFAULT),
        }
    }
}

impl UploadSettings {
    /// Reads the section; mistakes are noted in `env`.
    pub fn read(env: &mut Env) -> Self {
        let default = Self::default();
        let settings = Self {
            place: env.optional("MEDIA_STORE"),
            max_bytes: env.or("MEDIA_MAX_BYTES", default.max_bytes),
            keep: days(env.or("KEEP_UPLOADS_DAYS", KEEP_DAYS_DEFAULT)),
        };
        if settings.max_bytes == 0 || settings.max_bytes > MAX_BYTES {
            env.problem("MEDIA_MAX_BYTES", "must be 1 to 2147483648");
        }
        if settings.keep.is_zero() || settings.keep > days(KEEP_DAYS_MAX) {
            env.problem("KEEP_UPLOADS_DAYS", "must be 1 to 3650");
        }
        settings
    }
}

fn days(days: u16) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 3600)
}

/// Default of `KEEP_UPLOADS_DAYS`.
const KEEP_DAYS_DEFAULT: u16 = 7;
/// Largest `KEEP_UPLOADS_DAYS`.
const KEEP_DAYS_MAX: u16 = 3_650;
/// The largest file that WhatsApp takes of anybody: 2 GiB.
const MAX_BYTES: u64 = 2 << 30;
