//! What a process tells the service manager that started it (systemd, with `Type=notify`): that it is ready, how it is, that
//! it lives, and that it stops. It says what `/readyz` and `/healthz` say.
//!
//! Without `NOTIFY_SOCKET` nobody listens, and nothing is told.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

use crate::lifecycle::Lifecycle;
use crate::telemetry::Health;

/// Longest and shortest time between two looks at the health.
const LOOK_MAX: Duration = Duration::from_secs(5);
const LOOK_MIN: Duration = Duration::from_millis(100);
/// A manager that wants a sign of life within some time is given so many.
const SIGNS: u32 = 3;
/// Most bytes of what is told of the state; a manager shows one line of it.
const STATUS_BYTES_MAX: usize = 512;

/// Tells, for as long as the process lives.
pub(super) async fn run(health: Health, life: Lifecycle) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let watchdog = sd_notify::watchdog_enabled();
    let mut looks = interval(pause(watchdog));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::default();
    let mut stopping = false;
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = life.draining().cancelled(), if !stopping => {
                stopping = true;
                tell(&[NotifyState::Stopping]);
            }
        }
        if watchdog.is_some() && health.stuck().is_empty() {
            tell(&[NotifyState::Watchdog]);
        }
        told.look(&health).await;
    }
}

/// Tells that the process stops, for one that ends before [`run`] comes to it; twice is once.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn pause(watchdog: Option<Duration>) -> Duration {
    watchdog.map_or(LOOK_MAX, |within| (within / SIGNS).clamp(LOOK_MIN, LOOK_MAX))
}

/// What was told already.
#[derive(Default)]
struct Told {
    ready: bool,
    status: String,
}

impl Told {
    async fn look(&mut self, health: &Health) {
        let problems = health.not_ready().await;
        if problems.is_empty() && !self.ready {
            self.ready = true;
            tell(&[NotifyState::Ready]);
        }
        let status = status(&problems, &health.degradations().await);
        if status != self.status {
            tell(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }
}

/// One line.
fn status(problems: &[String], degraded: &[String]) -> String {
    let mut line = match (problems, degraded) {
        ([], []) => "ready".to_owned(),
        ([], degraded) => format!("ready; {}", degraded.join("; ")),
        (problems, _) => format!("not ready: {}", problems.join("; ")),
    };
    line.truncate(line.floor_char_boundary(STATUS_BYTES_MAX));
    line.replace('\n', " ")
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager can't be told how the process is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_life_come_well_within_the_time_that_is_given() {
        assert_eq!(pause(None), LOOK_MAX);
        assert_eq!(pause(Some(Duration::from_secs(3))), Duration::from_secs(1));
        assert_eq!(pause(Some(Duration::from_secs(300))), LOOK_MAX);
        assert_eq!(pause(Some(Duration::ZERO)), LOOK_MIN);
    }

    #[test]
    fn a_state_is_one_short_line() {
        let problems = ["database: away\nfor now".to_owned(), "broker: é".repeat(200)];
        let line = status(&problems, &[]);
        assert!(
            line.starts_with("not ready: database: away for now; broker: é"),
            "{line}"
        );
        assert!(line.len() <= STATUS_BYTES_MAX, "{line}");
        assert_eq!(status(&[], &["version: old".to_owned()]), "ready; version: old");
        assert_eq!(status(&[], &[]), "ready");
    }
}
