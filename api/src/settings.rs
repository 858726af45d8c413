//! The API's settings, read from the environment with all mistakes told at once.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use axum::http::HeaderValue;
use shared::config::{
    Common, ConfigError, Env, Secret, read_delay, read_sealer, read_seconds, read_send_limits,
};
use shared::egress::Reach;
use shared::job::{Delay, SendLimits};
use shared::lifecycle::DRAIN_MAX;
use shared::seal::Sealer;

use crate::auth::ApiKey;
use crate::downloads::DownloadSettings;
use crate::uploads::UploadSettings;

/// Default of `PORT`.
pub const PORT_DEFAULT: u16 = 3000;

/// Default of `HOST`: nobody else reaches an API that was set up in a hurry.
pub const HOST_DEFAULT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Default of `DRAIN_SECONDS`: a balancer that asks every second has noticed by then.
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(3);

/// Everything that `serve` is told from outside.
#[derive(Debug)]
pub struct Settings {
    /// Broker, database, telemetry.
    pub common: Common,
    /// `DRAIN_SECONDS`: how long it goes on after it was told to end.
    pub drain: Duration,
    /// `KEY_ENCRYPTION_KEY`, which seals the secrets of webhooks.
    pub sealer: Sealer,
    /// `HOST` and `PORT`.
    pub listen: SocketAddr,
    /// `AUTH`, judged by what the API listens on.
    pub key: ApiKey,
    /// `ORIGIN`: browser origins that may call the API, separated by commas.
    pub origins: Vec<HeaderValue>,
    /// `WEBHOOK_ALLOW_PRIVATE`.
    pub reach: Reach,
    /// `MIN_FLOOR` and `START_AHEAD_DAYS`.
    pub limits: SendLimits,
    /// `MIN` and `MAX`, as the workers have them.
    pub delay: Delay,
    /// What socket.io clients may take of us.
    pub sockets: SocketLimits,
    /// How files of messages are fetched.
    pub downloads: DownloadSettings,
    /// What files are taken of callers.
    pub uploads: UploadSettings,
}

/// What socket.io clients may take of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketLimits {
    /// `SOCKET_CLIENTS`: most that are connected to one process.
    pub clients: usize,
    /// `SOCKET_BACKLOG`: most bytes of events that wait for one of them.
    pub backlog: usize,
    /// `SOCKET_QUEUE`: most events that wait in the broker for one process.
    pub queue: u32,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self {
            clients: 1_000,
            backlog: 1 << 20,
            queue: 10_000,
        }
    }
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// All mistakes, one per line, each with what to do.
    pub fn read(mut env: Env) -> Result<Self, ConfigError> {
        let common = Common::read(&mut env);
        let drain = read_drain(&mut env);
        let listen = SocketAddr::new(env.or("HOST", HOST_DEFAULT), env.or("PORT", PORT_DEFAULT));
        let key = read_key(&mut env, listen.ip());
        let sealer = read_sealer(&mut env);
        let origins = read_origins(&mut env);
        let reach = if env.or("WEBHOOK_ALLOW_PRIVATE", false) {
            Reach::Anywhere
        } else {
            Reach::Public
        };
        let limits = read_send_limits(&mut env);
        let delay = read_delay(&mut env);
        let sockets = read_socket_limits(&mut env);
        let downloads = DownloadSettings::read(&mut env);
        let uploads = UploadSettings::read(&mut env);
        env.finish()?;
        // Unwrap safety: where one is missing a mistake was noted, and `finish` has refused.
        #[allow(clippy::unwrap_used)]
        let (key, sealer) = (key.unwrap(), sealer.unwrap());
        Ok(Self {
            common,
            drain,
            sealer,
            listen,
            key,
            origins,
            reach,
            limits,
            delay,
            sockets,
            downloads,
            uploads,
        })
    }
}

fn read_drain(env: &mut Env) -> Duration {
    let drain = read_seconds(env, "DRAIN_SECONDS", DRAIN_DEFAULT);
    if drain > DRAIN_MAX {
        env.problem(
            "DRAIN_SECONDS",
            format!("must be 0 to {} seconds", DRAIN_MAX.as_secs()),
        );
    }
    drain
}

fn read_key(env: &mut Env, listen: IpAddr) -> Option<ApiKey> {
    let auth = env.optional::<Secret>("AUTH").unwrap_or_else(|| Secret::new(""));
    match ApiKey::new(auth.expose(), listen) {
        Ok(key) => Some(key),
        Err(weak) => {
            env.problem("AUTH", weak);
            None
        }
    }
}

fn read_socket_limits(env: &mut Env) -> SocketLimits {
    let SocketLimits {
        clients,
        backlog,
        queue,
    } = SocketLimits::default();
    SocketLimits {
        clients: within(env, "SOCKET_CLIENTS", clients, 1..=100_000),
        backlog: within(env, "SOCKET_BACKLOG", backlog, 64 << 10..=1 << 30),
        queue: within(env, "SOCKET_QUEUE", queue, 100..=1_000_000),
    }
}

fn within<T>(env: &mut Env, name: &str, default: T, limits: RangeInclusive<T>) -> T
where
    T: FromStr<Err: Display> + PartialOrd + Display + Copy,
{
    let value = env.or(name, default);
    if limits.contains(&value) {
        return value;
    }
    env.problem(name, format!("must be {} to {}", limits.start(), limits.end()));
    default
}

fn read_origins(env: &mut Env) -> Vec<HeaderValue> {
    let text = env.optional::<String>("ORIGIN").unwrap_or_default();
    let mut origins = Vec::new();
    for origin in text.split(',').map(str::trim).filter(|origin| !origin.is_empty()) {
        let origin = origin.trim_end_matches('/');
        let has_scheme = origin == "*" || origin.starts_with("http://") || origin.starts_with("https://");
        match HeaderValue::from_str(origin) {
            Ok(value) if has_scheme => origins.push(value),
            _ => env.problem(
                "ORIGIN",
                "must be origins such as https://app.example.com, separated by commas",
            ),
        }
    }
    origins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let needed = [
            ("DATABASE_URL", "postgres://u@h/d"),
            ("AMQP_URL", "amqp://u@h"),
            ("KEY_ENCRYPTION_KEY", shared::testing::TEST_KEY),
        ];
        let pairs = needed.iter().chain(pairs);
        Settings::read(Env::new(
            pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        ))
    }

    #[test]
    fn defaults_serve_loopback_only() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(settings.reach, Reach::Public);
        assert!(settings.origins.is_empty());
    }

    #[test]
    fn a_weak_key_is_refused_when_others_can_reach_the_api() {
        for auth in ["", "short", "RANDOMNUMBERANDSTRINGFORSAFETY"] {
            let ConfigError(problems) = read(&[("HOST", "0.0.0.0"), ("AUTH", auth)]).unwrap_err();
            assert!(problems[0].starts_with("AUTH: "), "{problems:?}");
        }
        assert!(read(&[("HOST", "0.0.0.0"), ("AUTH", "0123456789abcdef")]).is_ok());
    }

    #[test]
    fn all_mistakes_come_at_once() {
        let ConfigError(problems) = read(&[
            ("PORT", "x"),
            ("ORIGIN", "example.com"),
            ("WEBHOOK_ALLOW_PRIVATE", "perhaps"),
            ("SOCKET_CLIENTS", "0"),
            ("SOCKET_BACKLOG", "12"),
            ("SOCKET_QUEUE", "x"),
            ("MIN", "x"),
        ])
        .unwrap_err();
        for name in [
            "PORT",
            "ORIGIN",
            "WEBHOOK_ALLOW_PRIVATE",
            "SOCKET_CLIENTS",
            "SOCKET_BACKLOG",
            "SOCKET_QUEUE",
            "MIN",
        ] {
            assert!(
                problems.iter().any(|problem| problem.starts_with(name)),
                "{name} in {problems:?}"
            );
        }
    }

    #[test]
    fn origins_are_a_list() {
        let settings = read(&[("ORIGIN", "http://localhost/, https://app.example.com")]).unwrap();
        assert_eq!(settings.origins, ["http://localhost", "https://app.example.com"]);
    }
}
