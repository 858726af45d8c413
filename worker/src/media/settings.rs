//! The settings of files that messages carry.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use shared::config::{Env, read_seconds};
use shared::egress::Reach;
use shared::files::StorePlace;

/// What workers are told about files.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `MEDIA_MAX_BYTES`: the largest file.
    pub max_bytes: u64,
    /// `MEDIA_TIMEOUT`: how long a host may be silent; a file may take ten times as long.
    pub timeout: Duration,
    /// `MEDIA_TRANSFERS`: files that a worker brings and uploads at a time.
    pub at_a_time: NonZeroUsize,
    /// `MEDIA_KEPT_BYTES`: sealed files that wait to be uploaded again take no more of the disk.
    pub kept_bytes: u64,
    /// `KEEP_MEDIA_DAYS`: how long files of messages that came in can be downloaded; not at all if `None`.
    pub keep: Option<Duration>,
    /// `MEDIA_ALLOW_PRIVATE`: how far addresses of files may reach.
    pub reach: Reach,
    /// `MEDIA_STORE`: where uploaded files are kept.
    pub place: Option<StorePlace>,
    /// `MEDIA_DIR`: where files lie while they are worked on.
    pub folder: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_bytes: 256 * 1024 * 1024,
            timeout: Duration::from_secs(30),
            at_a_time: NonZeroUsize::MIN.saturating_add(3),
            kept_bytes: 1024 * 1024 * 1024,
            keep: days(KEEP_DAYS_DEFAULT),
            reach: Reach::Public,
            place: None,
            folder: std::env::temp_dir(),
        }
    }
}

impl Settings {
    /// Reads the section; mistakes are noted in `env`.
    pub fn read(env: &mut Env) -> Self {
        let default = Self::default();
        let settings = Self {
            max_bytes: env.or("MEDIA_MAX_BYTES", default.max_bytes),
            timeout: read_seconds(env, "MEDIA_TIMEOUT", default.timeout),
            at_a_time: env.or("MEDIA_TRANSFERS", default.at_a_time),
            kept_bytes: env.or("MEDIA_KEPT_BYTES", default.kept_bytes),
            keep: days(env.or("KEEP_MEDIA_DAYS", KEEP_DAYS_DEFAULT)),
            reach: match env.or("MEDIA_ALLOW_PRIVATE", false) {
                true => Reach::Anywhere,
                false => Reach::Public,
            },
            place: env.optional("MEDIA_STORE"),
            folder: env.optional("MEDIA_DIR").unwrap_or(default.folder),
        };
        if settings.max_bytes == 0 || settings.max_bytes > MAX_BYTES {
            env.problem("MEDIA_MAX_BYTES", "must be 1 to 2147483648");
        }
        if settings.timeout.is_zero() || settings.timeout > TIMEOUT_MAX {
            env.problem("MEDIA_TIMEOUT", "must be above 0 and at most 600 seconds");
        }
        if settings.keep > days(KEEP_DAYS_MAX) {
            env.problem("KEEP_MEDIA_DAYS", "must be 0 to 3650");
        }
        if settings.at_a_time.get() > TRANSFERS_MAX {
            env.problem("MEDIA_TRANSFERS", "must be at most 64");
        }
        settings
    }
}

fn days(days: u16) -> Option<Duration> {
    (days > 0).then(|| Duration::from_secs(u64::from(days) * 24 * 3600))
}

/// Default of `KEEP_MEDIA_DAYS`: WhatsApp keeps files for about as long.
const KEEP_DAYS_DEFAULT: u16 = 30;
/// Largest `KEEP_MEDIA_DAYS`.
const KEEP_DAYS_MAX: u16 = 3_650;
/// The largest file that WhatsApp takes of anybody: 2 GiB.
const MAX_BYTES: u64 = 2 << 30;
/// The longest silence that may be allowed.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// The most transfers that may be set.
const TRANSFERS_MAX: usize = 64;
