//! The settings of files that messages carry.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use shared::config::{Env, read_seconds};
use shared::egress::Reach;
use shared::files::StorePlace;

use super::look::Limits;

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
    /// How far files are looked at.
    pub look: LookSettings,
    /// How far pages are looked at that texts link to.
    pub preview: PreviewSettings,
    /// `MEDIA_DIR`: where files lie while they are worked on.
    pub folder: PathBuf,
}

/// How far a file is looked at, for what phones show of it before it is loaded.
#[derive(Clone, Copy, Debug)]
pub struct LookSettings {
    /// `MEDIA_PIXELS`: most points of a picture. One picture of a worker is decoded at a time, in up to eight bytes a point.
    pub points: u64,
    /// `MEDIA_LOOK_BYTES`: most bytes of a picture, and most that are read of a sound or a film.
    pub bytes: u64,
    /// `MEDIA_LOOK_TIMEOUT`: how long that may take.
    pub time: Duration,
}

impl Default for LookSettings {
    fn default() -> Self {
        Self {
            points: 50_000_000,
            bytes: 32 * 1024 * 1024,
            time: Duration::from_secs(10),
        }
    }
}

impl LookSettings {
    fn read(env: &mut Env) -> Self {
        let default = Self::default();
        let settings = Self {
            points: env.or("MEDIA_PIXELS", default.points),
            bytes: env.or("MEDIA_LOOK_BYTES", default.bytes),
            time: read_seconds(env, "MEDIA_LOOK_TIMEOUT", default.time),
        };
        if settings.points == 0 || settings.points > POINTS_MAX {
            env.problem("MEDIA_PIXELS", "must be 1 to 1000000000");
        }
        if settings.bytes == 0 || settings.bytes > MAX_BYTES {
            env.problem("MEDIA_LOOK_BYTES", "must be 1 to 2147483648");
        }
        if settings.time.is_zero() || settings.time > TIMEOUT_MAX {
            env.problem("MEDIA_LOOK_TIMEOUT", "must be above 0 and at most 600 seconds");
        }
        settings
    }

    pub(super) fn limits(self) -> Limits {
        Limits {
            points: self.points,
            bytes: self.bytes,
            side: SIDE,
        }
    }
}

/// How far a page is looked at, for what is shown of it where a text links to it.
#[derive(Clone, Copy, Debug)]
pub struct PreviewSettings {
    /// `LINK_PREVIEW_TIMEOUT`: how long a message may wait for it.
    pub time: Duration,
    /// `LINK_PREVIEW_BYTES`: most bytes that are read of a page, and most bytes of its picture.
    pub bytes: u64,
    /// `LINK_PREVIEW_PAGES`: how many pages are asked at a time, over all sessions of a worker.
    pub at_a_time: NonZeroUsize,
}

impl Default for PreviewSettings {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(5),
            bytes: 2 * 1024 * 1024,
            at_a_time: NonZeroUsize::MIN.saturating_add(7),
        }
    }
}

impl PreviewSettings {
    fn read(env: &mut Env) -> Self {
        let default = Self::default();
        let settings = Self {
            time: read_seconds(env, "LINK_PREVIEW_TIMEOUT", default.time),
            bytes: env.or("LINK_PREVIEW_BYTES", default.bytes),
            at_a_time: env.or("LINK_PREVIEW_PAGES", default.at_a_time),
        };
        if settings.time.is_zero() || settings.time > PREVIEW_TIMEOUT_MAX {
            env.problem("LINK_PREVIEW_TIMEOUT", "must be above 0 and at most 60 seconds");
        }
        if settings.bytes == 0 || settings.bytes > MAX_BYTES {
            env.problem("LINK_PREVIEW_BYTES", "must be 1 to 2147483648");
        }
        if settings.at_a_time.get() > PREVIEW_PAGES_MAX {
            env.problem("LINK_PREVIEW_PAGES", "must be 1 to 1000");
        }
        settings
    }
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
            look: LookSettings::default(),
            preview: PreviewSettings::default(),
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
            look: LookSettings::read(env),
            preview: PreviewSettings::read(env),
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
/// The longer side of the small copy of a picture, in points: every recipient's message carries it.
const SIDE: u32 = 32;
/// The longest that a message may wait for a page.
const PREVIEW_TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Most pages that may be asked at a time.
const PREVIEW_PAGES_MAX: usize = 1_000;
/// The most points that may be set.
const POINTS_MAX: u64 = 1_000_000_000;
/// The longest silence that may be allowed.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// The most transfers that may be set.
const TRANSFERS_MAX: usize = 64;
