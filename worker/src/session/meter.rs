//! What the session role counts. Every series is there once per worker, however many sessions it runs.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use shared::event::RestrictionKind;
use shared::store::sessions::SessionState;
use shared::waiting::Reason;

use super::pacer::Waiting;

/// The server acknowledged a send, this long after its frame left.
pub(crate) fn acked(after: Duration) {
    counter!("fanfare_messages_sent_total").increment(1);
    histogram!("fanfare_send_ack_seconds").record(after.as_secs_f64());
}

/// A recipient can't be reached; `status` is one of a closed set, that of `send.message:ERROR`.
pub(crate) fn failed(status: u16) {
    counter!("fanfare_messages_failed_total", "status" => status.to_string()).increment(1);
}

/// Nobody knows whether a recipient got its message, and it is not sent again.
pub(crate) fn unknown() {
    counter!("fanfare_messages_unknown_total").increment(1);
}

/// A session can't write to new contacts any more.
pub(crate) fn restricted(kind: RestrictionKind) {
    counter!("fanfare_sessions_restricted_total", "kind" => kind.as_str()).increment(1);
}

/// The server said that a session goes too fast, and it pauses.
pub(crate) fn rate_limited() {
    counter!("fanfare_sessions_rate_limited_total").increment(1);
}

/// So many messages of the past were told.
pub(crate) fn recalled(messages: usize) {
    counter!("fanfare_history_messages_total").increment(messages as u64);
}

/// A piece of the past can't be read.
pub(crate) fn history_refused() {
    counter!("fanfare_history_refused_total").increment(1);
}

/// One message came in.
pub(crate) fn received() {
    counter!("fanfare_messages_received_total").increment(1);
}

/// A device was left out of a send, or what it sent was not believed; `reason` is one of a closed set.
pub(crate) fn device_refused(reason: &'static str) {
    counter!("fanfare_devices_refused_total", "reason" => reason).increment(1);
}

/// A peer did what no app does, which harms its own message alone; `reason` is one of a closed set.
pub(crate) fn misbehaved(reason: &'static str) {
    counter!("fanfare_peers_misbehaved_total", "reason" => reason).increment(1);
}

/// A device turned out to have another identity than before.
pub(crate) fn identity_changed() {
    counter!("fanfare_identities_changed_total").increment(1);
}

/// A collection of the app state did not check out; `collection` is one of a closed set.
pub(crate) fn app_state_refused(collection: &'static str) {
    counter!("fanfare_app_state_refused_total", "collection" => collection).increment(1);
}

/// A message that a device asked for again was not taken from us.
pub(crate) fn resend_failed() {
    counter!("fanfare_resends_failed_total").increment(1);
}

/// WhatsApp refused a connection for its version.
pub(crate) fn outdated() {
    counter!("fanfare_client_version_refusals_total").increment(1);
}

/// What was posted as a passkey's answer is none for what was asked.
pub(crate) fn passkey_refused() {
    counter!("fanfare_passkey_answers_refused_total").increment(1);
}

/// One session's place in the gauges: it counts where the session stands and leaves with it. Labels are of closed sets.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    waiting: Option<&'static str>,
    state: Option<&'static str>,
}

impl Standing {
    /// The session waits for this reason.
    pub(crate) fn wait(&mut self, reason: Waiting) {
        step(WAITING, "reason", &mut self.waiting, Some(reason.label()));
    }

    /// The state of the session's connection.
    pub(crate) fn state(&mut self, state: SessionState) {
        step(SESSIONS, "state", &mut self.state, Some(state.as_str()));
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        step(WAITING, "reason", &mut self.waiting, None);
        step(SESSIONS, "state", &mut self.state, None);
    }
}

/// One queue's place in the gauge of those that stand still; it leaves with it.
#[derive(Debug, Default)]
pub(crate) struct QueueStanding(Option<&'static str>);

impl QueueStanding {
    /// It stands still for this reason, or moves.
    pub(crate) fn wait(&mut self, reason: Option<Reason>) {
        step(QUEUES, "reason", &mut self.0, reason.map(Reason::as_str));
    }
}

impl Drop for QueueStanding {
    fn drop(&mut self) {
        self.wait(None);
    }
}

fn step(name: &'static str, key: &'static str, from: &mut Option<&'static str>, to: Option<&'static str>) {
    if *from == to {
        return;
    }
    if let Some(label) = std::mem::replace(from, to) {
        gauge!(name, key => label).decrement(1.0);
    }
    if let Some(label) = to {
        gauge!(name, key => label).increment(1.0);
    }
}

/// Sessions by why they send nothing just now.
const WAITING: &str = "fanfare_sessions_waiting";
/// Queues in memory that have stood still for about a second, by why.
const QUEUES: &str = "fanfare_queues_waiting";
/// Sessions by state of their connection.
const SESSIONS: &str = "fanfare_sessions";

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_queue_that_stands_still_is_counted_under_its_reason_and_leaves_with_it() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let told = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            for reason in Reason::ALL {
                let counted = |count| {
                    format!(
                        "fanfare_queues_waiting{{reason=\"{}\"}} {count}\n",
                        reason.as_str()
                    )
                };
                let mut standing = QueueStanding::default();
                standing.wait(Some(reason));
                assert!(told.render().contains(&counted(1)), "{}", told.render());
                drop(standing);
                assert!(told.render().contains(&counted(0)), "{}", told.render());
            }
        });
    }
}
