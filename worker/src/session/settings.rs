//! The settings of the session role.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use shared::config::{Amqp, Env, read_delay, read_seconds, read_send_limits};
use shared::job::SendLimits;
use whatsapp::command::Presence;
use whatsapp::connection::{ClientVersion, Config};
use whatsapp::payload::{History, HistoryWish};
use whatsapp::proxy::Proxy;
use whatsapp::signal::curve::PublicKey;

use super::attempts::Attempts;
use super::cap::CAP_DEFAULT;
use super::look_up::LookUpPace;
use super::pacer::Pace;
use super::rate::RateLimit;
use crate::{media, version};

/// What the role is told from outside.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SHARDS`.
    pub shards: u16,
    /// `MIN` and `MAX`.
    pub pace: Pace,
    /// `MIN_FLOOR` and `START_AHEAD_DAYS`.
    pub limits: SendLimits,
    /// `SEND_CAP`: most sends per second of this worker, over all its sessions.
    pub cap: NonZeroU32,
    /// `RATE_LIMIT_PAUSE` and `RATE_LIMIT_PAUSE_MAX`.
    pub rate_limit: RateLimit,
    /// `SEND_ATTEMPTS` and `SEND_ATTEMPT_PAUSE`.
    pub attempts: Attempts,
    /// `LOOK_UP_GAP` and `LOOK_UPS_PER_DAY`.
    pub look_ups: LookUpPace,
    /// `WHATSAPP_URL`, `WHATSAPP_MEDIA_URL`, `WHATSAPP_PROXY`, `PRESENCE`, `HISTORY`, `HISTORY_DAYS`, `WHATSAPP_ORIGIN`, `WHATSAPP_ROOT_KEY`. The version in it is
    /// replaced by the current one.
    pub whatsapp: Config,
    /// `STORE_MESSAGES` and `STORE_MESSAGE_BYTES`: how much is kept of what a message says; `None` keeps no messages.
    pub keep_bytes: Option<usize>,
    /// What begins with `MEDIA_`.
    pub media: media::Settings,
    /// `WHATSAPP_VERSION` and what begins with it.
    pub version: version::Settings,
}

impl Settings {
    /// Reads the section; mistakes are noted in `env`.
    pub fn read(env: &mut Env, amqp: &Amqp) -> Self {
        let delay = read_delay(env);
        let limits = read_send_limits(env);
        if limits.raised(delay).is_some() {
            env.problem("MIN_FLOOR", "must not be above MIN");
        }
        Self {
            shards: amqp.shards,
            // A delay's MIN is never above its MAX.
            pace: Pace::new(delay.min(), delay.max()).unwrap_or_default(),
            limits,
            cap: env.or("SEND_CAP", CAP_DEFAULT),
            rate_limit: read_rate_limit(env),
            attempts: read_attempts(env),
            look_ups: read_look_ups(env),
            whatsapp: read_whatsapp(env),
            keep_bytes: read_keep_bytes(env),
            media: media::Settings::read(env),
            version: version::Settings::read(env),
        }
    }
}

/// What is kept of messages that come in.
fn read_keep_bytes(env: &mut Env) -> Option<usize> {
    let bytes: usize = env.or("STORE_MESSAGE_BYTES", KEEP_BYTES_DEFAULT);
    if !KEEP_BYTES.contains(&bytes) {
        env.problem("STORE_MESSAGE_BYTES", "must be 1024 to 1048576");
    }
    match env.optional::<String>("STORE_MESSAGES").as_deref() {
        None | Some("on") => Some(bytes),
        Some("off") => None,
        Some(_) => {
            env.problem("STORE_MESSAGES", "must be on or off");
            None
        }
    }
}

/// How much is kept of what one message says.
const KEEP_BYTES_DEFAULT: usize = 65_536;
/// And how much that may be.
const KEEP_BYTES: std::ops::RangeInclusive<usize> = 1_024..=1_048_576;

fn read_attempts(env: &mut Env) -> Attempts {
    let default = Attempts::default();
    let attempts = Attempts {
        most: env.or("SEND_ATTEMPTS", default.most),
        pause: read_seconds(env, "SEND_ATTEMPT_PAUSE", default.pause),
    };
    if attempts.most == 0 || attempts.most > ATTEMPTS_MAX {
        env.problem("SEND_ATTEMPTS", "must be 1 to 1000");
    }
    if attempts.pause > PAUSE_MAX {
        env.problem("SEND_ATTEMPT_PAUSE", "must be at most 86400 seconds");
    }
    attempts
}

/// The most attempts that may be set.
const ATTEMPTS_MAX: u16 = 1_000;

fn read_look_ups(env: &mut Env) -> LookUpPace {
    let default = LookUpPace::default();
    let pace = LookUpPace {
        gap: read_seconds(env, "LOOK_UP_GAP", default.gap),
        per_day: env.or("LOOK_UPS_PER_DAY", default.per_day),
    };
    if pace.gap > PAUSE_MAX {
        env.problem("LOOK_UP_GAP", "must be at most 86400 seconds");
    }
    if pace.per_day == 0 {
        env.problem("LOOK_UPS_PER_DAY", "must be at least 1");
    }
    pace
}

fn read_rate_limit(env: &mut Env) -> RateLimit {
    let default = RateLimit::default();
    let limit = RateLimit {
        first: read_seconds(env, "RATE_LIMIT_PAUSE", default.first),
        longest: read_seconds(env, "RATE_LIMIT_PAUSE_MAX", default.longest),
    };
    if limit.first.is_zero() || limit.first > PAUSE_MAX {
        env.problem("RATE_LIMIT_PAUSE", "must be above 0 and at most 86400 seconds");
    }
    if limit.longest < limit.first || limit.longest > PAUSE_MAX {
        env.problem(
            "RATE_LIMIT_PAUSE_MAX",
            "must be at least RATE_LIMIT_PAUSE and at most 86400 seconds",
        );
    }
    limit
}

/// The longest pause or gap that may be set.
const PAUSE_MAX: Duration = Duration::from_secs(86_400);

fn read_whatsapp(env: &mut Env) -> Config {
    let mut config = Config::whatsapp(ClientVersion::KNOWN);
    if let Some(url) = env.optional::<String>("WHATSAPP_URL") {
        if !(url.starts_with("ws://") || url.starts_with("wss://")) {
            env.problem("WHATSAPP_URL", "must begin with ws:// or wss://");
        }
        config.url = url;
    }
    if let Some(url) = env.optional::<String>("WHATSAPP_MEDIA_URL") {
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            env.problem("WHATSAPP_MEDIA_URL", "must begin with http:// or https://");
        }
        config.media_url = url;
    }
    config.proxy = env.optional::<Proxy>("WHATSAPP_PROXY").map(Arc::new);
    config.presence = Some(read_presence(env));
    config.history = read_history(env);
    // Two recipients of a queue may turn out to be one account.
    config.tells_renumbered = true;
    if let Some(origin) = env.optional("WHATSAPP_ORIGIN") {
        config.origin = origin;
    }
    if let Some(text) = env.optional::<String>("WHATSAPP_ROOT_KEY") {
        match parse_key(&text) {
            Some(key) => config.root_key = key,
            None => env.problem("WHATSAPP_ROOT_KEY", "must be 32 bytes in hex"),
        }
    }
    config
}

/// What sessions say of themselves that were told nothing else: away, so that phones go on ringing.
fn read_presence(env: &mut Env) -> Presence {
    match env.optional::<String>("PRESENCE").as_deref() {
        None | Some("unavailable") => Presence::Unavailable,
        Some("available") => Presence::Available,
        Some(_) => {
            env.problem("PRESENCE", "must be available or unavailable");
            Presence::Unavailable
        }
    }
}

/// How much of the past is taken in.
fn read_history(env: &mut Env) -> HistoryWish {
    let depth = match env.optional::<String>("HISTORY").as_deref() {
        None | Some("recent") => History::Recent,
        Some("off") => History::Off,
        Some("full") => History::Full,
        Some(_) => {
            env.problem("HISTORY", "must be off, recent or full");
            History::Recent
        }
    };
    let days: Option<u32> = env.optional("HISTORY_DAYS");
    if days.is_some_and(|days| !HISTORY_DAYS.contains(&days)) {
        env.problem("HISTORY_DAYS", "must be 1 to 3650");
    }
    HistoryWish { depth, days }
}

/// How far back that may reach.
const HISTORY_DAYS: std::ops::RangeInclusive<u32> = 1..=3_650;

fn parse_key(text: &str) -> Option<PublicKey> {
    let bytes: [u8; 32] = hex::decode(text).ok()?.try_into().ok()?;
    Some(PublicKey::new(bytes))
}

#[cfg(test)]
mod tests {
    use shared::config::Common;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Settings, Result<(), shared::config::ConfigError>) {
        let base = [("DATABASE_URL", "postgres://h/d"), ("AMQP_URL", "amqp://h")];
        let pairs = base
            .iter()
            .chain(pairs)
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let mut env = Env::new(pairs);
        let common = Common::read(&mut env);
        let settings = Settings::read(&mut env, &common.amqp);
        (settings, env.finish())
    }

    #[test]
    fn whatsapp_itself_is_the_default() {
        let (settings, problems) = read(&[]);
        problems.unwrap();
        assert_eq!(settings.whatsapp.url, "wss://web.whatsapp.com/ws/chat");
        assert_eq!(settings.whatsapp.media_url, "https://mmg.whatsapp.net");
        assert_eq!(settings.whatsapp.presence, Some(Presence::Unavailable));
        assert_eq!(
            (settings.pace.min(), settings.pace.max()),
            (Duration::from_secs(10), Duration::from_secs(30))
        );
    }

    #[test]
    fn a_simulator_is_named_by_url_and_key() {
        let key = "11".repeat(32);
        let (settings, problems) = read(&[
            ("WHATSAPP_URL", "ws://127.0.0.1:1/ws/chat"),
            ("WHATSAPP_ROOT_KEY", &key),
            ("MIN", "0.05"),
            ("MAX", "0.15"),
        ]);
        problems.unwrap();
        assert_eq!(settings.whatsapp.root_key, PublicKey::new([0x11; 32]));
        assert_eq!(settings.pace.max(), Duration::from_millis(150));
    }

    #[test]
    fn mistakes_are_named() {
        let (_, problems) = read(&[
            ("WHATSAPP_URL", "http://x"),
            ("WHATSAPP_ROOT_KEY", "zz"),
            ("WHATSAPP_VERSION", "2.x"),
            ("WHATSAPP_MEDIA_URL", "ws://x"),
            ("PRESENCE", "loud"),
            ("SEND_CAP", "0"),
            ("SEND_ATTEMPTS", "0"),
            ("SEND_ATTEMPT_PAUSE", "90000"),
            ("STORE_MESSAGES", "perhaps"),
            ("STORE_MESSAGE_BYTES", "10"),
            ("HISTORY", "everything"),
            ("HISTORY_DAYS", "0"),
        ]);
        let problems = problems.unwrap_err().0.join("\n");
        for name in [
            "WHATSAPP_URL",
            "WHATSAPP_ROOT_KEY",
            "WHATSAPP_VERSION",
            "WHATSAPP_MEDIA_URL",
            "PRESENCE",
            "SEND_CAP",
            "SEND_ATTEMPTS",
            "SEND_ATTEMPT_PAUSE",
            "STORE_MESSAGES",
            "STORE_MESSAGE_BYTES",
            "HISTORY",
            "HISTORY_DAYS",
        ] {
            assert!(problems.contains(name), "{name} in {problems}");
        }
    }
}
