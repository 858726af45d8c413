//! Settings from the environment: read once at start, all mistakes reported at once, secrets never shown.
//!
//! Sections that more than one process reads live here; each process composes what it needs:
//! `let mut env = Env::process(); let common = Common::read(&mut env); …; env.finish()?`.

mod env;
mod tracing;

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

pub use env::{ConfigError, Env, Secret};
pub use tracing::{Headers, LogFormat, Tracing};

use crate::id::{SHARDS_MAX, ShardId};
use crate::job::{Delay, START_AHEAD_DEFAULT, SendLimits};
use crate::seal::Sealer;

/// Default of `MIN`, in seconds.
pub const MIN_DEFAULT: f64 = 10.0;
/// Default of `MAX`, in seconds.
pub const MAX_DEFAULT: f64 = 30.0;
/// Default of `SHARDS`.
pub const SHARDS_DEFAULT: u16 = 16;
/// Default of `AMQP_PREFIX`, the first part of every broker object's name.
pub const AMQP_PREFIX_DEFAULT: &str = "fanfare";
/// Default of `DATABASE_POOL`: connections a process keeps, beside the few of a session worker's own (one for its
/// writes, two for its leases).
pub const DATABASE_POOL_DEFAULT: usize = 8;
/// Largest `DATABASE_POOL`.
pub const DATABASE_POOL_MAX: usize = 1_000;

/// Default of `SURVEY_SECONDS`.
pub const SURVEY_DEFAULT: Duration = Duration::from_secs(10);
/// Smallest and largest `SURVEY_SECONDS`.
pub const SURVEY_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Largest `START_AHEAD_DAYS`: ten years.
pub const START_AHEAD_DAYS_MAX: u64 = 3_650;

const DAY_SECONDS: u64 = 86_400;

/// What every process needs: where the broker and the database are, and how to be watched.
#[derive(Clone, Debug)]
pub struct Common {
    /// `DATABASE_URL`.
    pub database: Database,
    /// `AMQP_URL` and what goes with it.
    pub amqp: Amqp,
    /// `METRICS_ADDR`: where `/metrics`, `/healthz` and `/readyz` are served; nowhere when absent.
    pub metrics_addr: Option<SocketAddr>,
    /// `METRICS_TOKEN`: what `/metrics` is opened with; nothing when absent.
    pub metrics_token: Option<Secret>,
    /// `SURVEY_SECONDS`: from one look over the whole deployment to the next.
    pub survey: Duration,
    /// `LOG`: a tracing filter, `info` by default.
    pub log: String,
    /// `LOG_FORMAT`: how a line looks.
    pub log_format: LogFormat,
    /// Where spans go, and which.
    pub tracing: Tracing,
}

/// The database.
#[derive(Clone, Debug)]
pub struct Database {
    /// `DATABASE_URL`, a PostgreSQL URL.
    pub url: Secret,
    /// `DATABASE_POOL`: most pooled connections of this process.
    pub pool_size: usize,
}

/// The broker.
#[derive(Clone, Debug)]
pub struct Amqp {
    /// `AMQP_URL`.
    pub url: Secret,
    /// `AMQP_PREFIX`: the first part of every broker object's name.
    pub prefix: String,
    /// `SHARDS`: into how many parts sessions are divided. Fixed per deployment.
    pub shards: u16,
}

impl Common {
    /// Reads the section.
    pub fn read(env: &mut Env) -> Self {
        Self {
            database: Database::read(env),
            amqp: Amqp::read(env),
            metrics_addr: env.optional("METRICS_ADDR"),
            metrics_token: read_metrics_token(env),
            survey: read_survey(env),
            log: env.or("LOG", "info".to_owned()),
            log_format: env.or("LOG_FORMAT", LogFormat::Auto),
            tracing: Tracing::read(env),
        }
    }
}

/// Fewest bytes of `METRICS_TOKEN`.
const METRICS_TOKEN_BYTES: usize = 16;

fn read_metrics_token(env: &mut Env) -> Option<Secret> {
    let token: Secret = env.optional("METRICS_TOKEN")?;
    if token.expose().len() < METRICS_TOKEN_BYTES {
        let problem = format!("must have at least {METRICS_TOKEN_BYTES} bytes");
        env.problem("METRICS_TOKEN", problem);
    }
    Some(token)
}

fn read_survey(env: &mut Env) -> Duration {
    let every = read_seconds(env, "SURVEY_SECONDS", SURVEY_DEFAULT);
    let (least, most) = SURVEY_BOUNDS;
    if every < least || every > most {
        let problem = format!("must be {} to {} seconds", least.as_secs(), most.as_secs());
        env.problem("SURVEY_SECONDS", problem);
    }
    every.clamp(least, most)
}

impl Database {
    /// Reads the section.
    pub fn read(env: &mut Env) -> Self {
        let url = env.required(
            "DATABASE_URL",
            "such as postgres://user:password@host:5432/fanfare",
        );
        let pool_size = env.or("DATABASE_POOL", DATABASE_POOL_DEFAULT);
        if pool_size == 0 || pool_size > DATABASE_POOL_MAX {
            env.problem("DATABASE_POOL", format!("must be 1 to {DATABASE_POOL_MAX}"));
        }
        Self {
            url: url.unwrap_or_else(|| Secret::new("")),
            pool_size,
        }
    }
}

impl Amqp {
    /// Reads the section.
    pub fn read(env: &mut Env) -> Self {
        let url = env.required("AMQP_URL", "such as amqp://user:password@host:5672/%2f");
        let prefix: String = env.or("AMQP_PREFIX", AMQP_PREFIX_DEFAULT.to_owned());
        if prefix.len() > 64
            || !prefix
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        {
            env.problem(
                "AMQP_PREFIX",
                "must be at most 64 characters of A-Z a-z 0-9 . _ -",
            );
        }
        let shards = env.or("SHARDS", SHARDS_DEFAULT);
        if shards == 0 || shards > SHARDS_MAX {
            env.problem("SHARDS", format!("must be 1 to {SHARDS_MAX}"));
        }
        Self {
            url: url.unwrap_or_else(|| Secret::new("")),
            prefix,
            shards,
        }
    }

    /// All shards of the deployment.
    pub fn shard_ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.shards).filter_map(|number| ShardId::new(number).ok())
    }
}

/// Reads `MIN` and `MAX` (seconds, as numbers).
pub fn read_delay(env: &mut Env) -> Delay {
    let (min, max) = (env.read("MIN"), env.read("MAX"));
    let or = |given: Option<Seconds>, default| given.map_or(default, |Seconds(given)| given);
    // Of one that can't be read nothing can be said beside the other.
    let (Ok(min), Ok(max)) = (min, max) else {
        return Delay::default();
    };
    match Delay::new(or(min, MIN_DEFAULT), or(max, MAX_DEFAULT)) {
        Ok(delay) => delay,
        Err(error) => {
            env.problem(if error.field == "min" { "MIN" } else { "MAX" }, error.problem);
            Delay::default()
        }
    }
}

/// Reads `MIN_FLOOR` (seconds) and `START_AHEAD_DAYS`.
pub fn read_send_limits(env: &mut Env) -> SendLimits {
    let floor = env.optional("MIN_FLOOR").map_or(0.0, |Seconds(seconds)| seconds);
    let days = env.or("START_AHEAD_DAYS", START_AHEAD_DEFAULT.as_secs() / DAY_SECONDS);
    if days > START_AHEAD_DAYS_MAX {
        env.problem(
            "START_AHEAD_DAYS",
            format!("must be 0 to {START_AHEAD_DAYS_MAX} days"),
        );
    }
    let ahead = Duration::from_secs(days.min(START_AHEAD_DAYS_MAX) * DAY_SECONDS);
    SendLimits::new(floor, ahead).unwrap_or_else(|error| {
        env.problem("MIN_FLOOR", error.problem);
        SendLimits::default()
    })
}

/// Reads `KEY_ENCRYPTION_KEY`: the key that seals credentials at rest, 32 bytes as hex or base64; behind it,
/// separated by commas, older keys that are still read.
pub fn read_sealer(env: &mut Env) -> Option<Sealer> {
    env.required("KEY_ENCRYPTION_KEY", "32 random bytes: openssl rand -hex 32")
}

/// Reads a time in seconds.
pub fn read_seconds(env: &mut Env, name: &str, default: Duration) -> Duration {
    let seconds = env.optional(name).map(|Seconds(seconds)| seconds);
    match seconds.map(Duration::try_from_secs_f64) {
        None => default,
        Some(Ok(duration)) => duration,
        Some(Err(error)) => {
            env.problem(name, error);
            default
        }
    }
}

/// A number of seconds.
struct Seconds(f64);

impl FromStr for Seconds {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .map(Self)
            .map_err(|_| "must be a number of seconds, such as 2.5")
    }
}

#[cfg(test)]
mod tests;
