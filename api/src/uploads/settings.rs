//! What is taken of callers, and for how long.

use std::time::Duration;

use shared::config::Env;
use shared::files::StorePlace;
use shared::store::media::Room;

/// What is taken of callers, and for how long.
#[derive(Clone, Debug)]
pub struct UploadSettings {
    /// `MEDIA_STORE`: where files are kept; none are taken without.
    pub place: Option<StorePlace>,
    /// `MEDIA_MAX_BYTES`: the largest file.
    pub max_bytes: u64,
    /// `KEEP_UPLOADS_DAYS`: for how long one is kept.
    pub keep: Duration,
    /// `MEDIA_STORE_FILES` and `MEDIA_STORE_BYTES`: how many there may be of all processes.
    pub room: Room,
    /// `MEDIA_UPLOADS`: files that one process takes in at a time.
    pub at_a_time: usize,
}

impl Default for UploadSettings {
    fn default() -> Self {
        Self {
            place: None,
            max_bytes: 256 * 1024 * 1024,
            keep: days(KEEP_DAYS_DEFAULT),
            room: Room {
                files: 100_000,
                bytes: 10 << 30,
            },
            at_a_time: 16,
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
            room: Room {
                files: env.or("MEDIA_STORE_FILES", default.room.files),
                bytes: env.or("MEDIA_STORE_BYTES", default.room.bytes),
            },
            at_a_time: env.or("MEDIA_UPLOADS", default.at_a_time),
        };
        if settings.max_bytes == 0 || settings.max_bytes > MAX_BYTES {
            env.problem("MEDIA_MAX_BYTES", "must be 1 to 2147483648");
        }
        if settings.keep.is_zero() || settings.keep > days(KEEP_DAYS_MAX) {
            env.problem("KEEP_UPLOADS_DAYS", "must be 1 to 3650");
        }
        if settings.room.files == 0 || settings.room.files > FILES_MAX {
            env.problem("MEDIA_STORE_FILES", "must be 1 to 1000000");
        }
        if settings.room.bytes < settings.max_bytes || settings.room.bytes > BYTES_MAX {
            env.problem("MEDIA_STORE_BYTES", "must be MEDIA_MAX_BYTES to 1125899906842624");
        }
        if settings.at_a_time == 0 || settings.at_a_time > AT_A_TIME_MAX {
            env.problem("MEDIA_UPLOADS", "must be 1 to 1000");
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
/// Largest `MEDIA_STORE_FILES`: they are counted whenever one comes.
const FILES_MAX: u64 = 1_000_000;
/// Largest `MEDIA_STORE_BYTES`.
const BYTES_MAX: u64 = 1 << 50;
/// Largest `MEDIA_UPLOADS`.
const AT_A_TIME_MAX: usize = 1_000;
