//! What the session role counts. Every series is there once per worker, however many sessions it runs.

use metrics::{counter, gauge, histogram};
use std::time::Duration;

use super::pacer::Waiting;

/// Sends that were made durable and handed to the socket.
pub const SENDS: &str = "fanfare_sends_total";
/// Recipients that are settled, by outcome.
pub const SETTLED: &str = "fanfare_recipients_settled_total";
/// Sessions of this worker by why they send nothing just now.
pub const WAITING: &str = "fanfare_sessions_waiting";
/// Sessions of this worker by state of their connection.
pub const SESSIONS: &str = "fanfare_sessions";
/// Jobs taken from the shard queues, by what became of them.
pub const JOBS: &str = "fanfare_jobs_total";
/// From the frame's commit to the server's answer, in seconds.
pub const ANSWER_SECONDS: &str = "fanfare_send_answer_seconds";
/// Messages that came in.
pub const RECEIVED: &str = "fanfare_messages_received_total";

/// One send left.
pub(crate) fn sent() {
    counter!(SENDS).increment(1);
}

/// The server answered a send after this long.
pub(crate) fn answered(after: Duration) {
    histogram!(ANSWER_SECONDS).record(after.as_secs_f64());
}

/// One message came in.
pub(crate) fn received() {
    counter!(RECEIVED).increment(1);
}

/// A recipient is settled.
pub(crate) fn settled(outcome: &'static str) {
    counter!(SETTLED, "outcome" => outcome).increment(1);
}

/// What became of a job.
pub(crate) fn job(outcome: JobOutcome) {
    counter!(JOBS, "outcome" => outcome.label()).increment(1);
}

/// What can become of a job.
#[derive(Clone, Copy, Debug)]
pub(crate) enum JobOutcome {
    Accepted,
    Duplicate,
    Rejected,
    Command,
    Dead,
    Retried,
}

impl JobOutcome {
    fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
            Self::Command => "command",
            Self::Dead => "dead",
            Self::Retried => "retried",
        }
    }
}

/// One session's place in the gauges: it counts where the session stands and leaves with it.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    waiting: Option<usize>,
    state: Option<&'static str>,
}

impl Standing {
    /// The session waits for this reason, or sends (`None`).
    pub(crate) fn wait(&mut self, reason: Option<Waiting>) {
        let index = reason.map(|reason| reason.index());
        if index == self.waiting {
            return;
        }
        Self::step(WAITING, "reason", self.waiting.map(|i| Waiting::LABELS[i]), -1.0);
        Self::step(WAITING, "reason", index.map(|i| Waiting::LABELS[i]), 1.0);
        self.waiting = index;
    }

    /// The state of the session's connection (one of a closed set).
    pub(crate) fn state(&mut self, state: &'static str) {
        if self.state != Some(state) {
            Self::step(SESSIONS, "state", self.state, -1.0);
            Self::step(SESSIONS, "state", Some(state), 1.0);
            self.state = Some(state);
        }
    }

    fn step(name: &'static str, key: &'static str, label: Option<&'static str>, by: f64) {
        if let Some(label) = label {
            gauge!(name, key => label).increment(by);
        }
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.wait(None);
        Self::step(SESSIONS, "state", self.state.take(), -1.0);
    }
}
