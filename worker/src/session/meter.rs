//! What the session role counts. Every series is there once per worker, however many sessions it runs.

use std::time::Duration;

use shared::event::RestrictionKind;
use shared::metrics::labels::{
    Answered, Closing, Collection, DeviceRefusal, Dropped, FailureStatus, FileDelay, Misbehaviour, PutBack,
    SessionState as StateLabel, Standing as StandingLabel,
};
use shared::metrics::{Gauge, Labels, list};
use shared::store::sessions::SessionState;
use shared::waiting::Reason;
use tokio::time::Instant;
use whatsapp::connection::CloseReason;

use super::pacer::Waiting;

/// The server acknowledged a send, this long after its frame left.
pub(crate) fn acked(after: Duration) {
    list::MESSAGES_SENT.increment();
    list::SEND_ACK.record(after.as_secs_f64());
}

/// So many messages were encrypted in one step of the protocol, which took so long.
pub(crate) fn encrypted(messages: usize, took: Duration) {
    if let Ok(messages @ 1..) = u32::try_from(messages) {
        let each = (took / messages).as_secs_f64();
        (0..messages).for_each(|_| list::ENCRYPTION.record(each));
    }
}

/// A recipient can't be reached; `status` is one of a closed set, that of `send.message:ERROR`.
pub(crate) fn failed(status: u16) {
    list::MESSAGES_FAILED.of(failure_status(status)).increment(1);
}

/// Nobody knows whether a recipient got its message, and it is not sent again.
pub(crate) fn unknown() {
    list::MESSAGES_UNKNOWN.increment();
}

/// A message goes again under its stanza id.
pub(crate) fn repeated() {
    list::MESSAGES_REPEATED.increment();
}

/// A send that was begun goes back to its queue.
pub(crate) fn put_back(why: PutBack) {
    list::SENDS_PUT_BACK.of(why).increment(1);
}

/// WhatsApp said, after so long, whether a number is its own.
pub(crate) fn looked_up(came_to: Answered, after: Duration) {
    list::LOOK_UP.of(came_to).record(after.as_secs_f64());
}

/// A session can't write to new contacts any more.
pub(crate) fn restricted(kind: RestrictionKind) {
    list::SESSIONS_RESTRICTED.of(kind).increment(1);
}

/// The server said that a session goes too fast, and it pauses.
pub(crate) fn rate_limited() {
    list::SESSIONS_RATE_LIMITED.increment();
}

/// A connection is logged in.
pub(crate) fn opened() {
    list::SESSIONS_OPENED.increment();
}

/// A connection ended.
pub(crate) fn closed(reason: &CloseReason) {
    list::SESSIONS_CLOSED.of(closing(reason)).increment(1);
}

/// So many messages of the past were told.
pub(crate) fn recalled(messages: usize) {
    list::HISTORY_MESSAGES.add(messages as u64);
}

/// A piece of the past can't be read.
pub(crate) fn history_refused() {
    list::HISTORY_REFUSED.increment();
}

/// One message came in.
pub(crate) fn received() {
    list::MESSAGES_RECEIVED.increment();
}

/// A device was left out of a send, or what it sent was not believed; `reason` is one of a closed set.
pub(crate) fn device_refused(reason: &str) {
    let reason = DeviceRefusal::find(reason).unwrap_or(DeviceRefusal::Other);
    list::DEVICES_REFUSED.of(reason).increment(1);
}

/// A peer did what no app does, which harms its own message alone; `reason` is one of a closed set.
pub(crate) fn misbehaved(reason: &str) {
    let reason = Misbehaviour::find(reason).unwrap_or(Misbehaviour::Other);
    list::PEERS_MISBEHAVED.of(reason).increment(1);
}

/// A message that came in is given up: nobody could read it.
pub(crate) fn unreadable() {
    list::MESSAGES_UNREADABLE.increment();
}

/// A session gave something up, or left it to the next login; `what` is one of a closed set.
pub(crate) fn dropped(what: &str) {
    let what = Dropped::find(what).unwrap_or(Dropped::Other);
    list::DROPPED.of(what).increment(1);
}

/// A message's file is tried again later.
pub(crate) fn file_delayed(why: FileDelay) {
    list::FILES_DELAYED.of(why).increment(1);
}

/// A device turned out to have another identity than before.
pub(crate) fn identity_changed() {
    list::IDENTITIES_CHANGED.increment();
}

/// A collection of the app state did not check out; `collection` is one of a closed set.
pub(crate) fn app_state_refused(collection: &str) {
    let collection = Collection::find(collection).unwrap_or(Collection::Other);
    list::APP_STATE_REFUSED.of(collection).increment(1);
}

/// A message that a device asked for again was not taken from us.
pub(crate) fn resend_failed() {
    list::RESENDS_FAILED.increment();
}

/// WhatsApp refused a connection for its version.
pub(crate) fn outdated() {
    list::CLIENT_VERSION_REFUSALS.increment();
}

/// What was posted as a passkey's answer is none for what was asked.
pub(crate) fn passkey_refused() {
    list::PASSKEYS_REFUSED.increment();
}

/// One session's place in the gauges: it counts where the session stands and leaves with it.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    waiting: Option<(StandingLabel, Instant)>,
    state: Option<StateLabel>,
}

impl Standing {
    /// The session waits for this reason.
    pub(crate) fn wait(&mut self, reason: Waiting, now: Instant) {
        let reason = standing(reason);
        let before = self.waiting.map(|(before, _)| before);
        if before == Some(reason) {
            return;
        }
        // A session with nothing to send waits for nothing.
        if let Some((before, since)) = self.waiting
            && before != StandingLabel::Idle
        {
            let waited = now.saturating_duration_since(since);
            list::PACER_WAIT.of(before).record(waited.as_secs_f64());
        }
        step(&list::SESSIONS_WAITING, before, Some(reason));
        self.waiting = Some((reason, now));
    }

    /// The state of the session's connection.
    pub(crate) fn state(&mut self, state: SessionState) {
        let state = StateLabel::find(state.as_str());
        step(&list::SESSIONS, self.state, state);
        self.state = state;
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        step(
            &list::SESSIONS_WAITING,
            self.waiting.map(|(reason, _)| reason),
            None,
        );
        step(&list::SESSIONS, self.state, None);
    }
}

/// One queue's place in the gauge of those that stand still; it leaves with it.
#[derive(Debug, Default)]
pub(crate) struct QueueStanding(Option<Reason>);

impl QueueStanding {
    /// It stands still for this reason, or moves.
    pub(crate) fn wait(&mut self, reason: Option<Reason>) {
        step(&list::QUEUES_WAITING, self.0, reason);
        self.0 = reason;
    }
}

impl Drop for QueueStanding {
    fn drop(&mut self) {
        self.wait(None);
    }
}

fn step<L: Labels + PartialEq>(gauge: &'static Gauge<L>, from: Option<L>, to: Option<L>) {
    if from == to {
        return;
    }
    if let Some(label) = from {
        gauge.of(label).decrement(1.0);
    }
    if let Some(label) = to {
        gauge.of(label).increment(1.0);
    }
}

fn failure_status(status: u16) -> FailureStatus {
    let mut all = FailureStatus::ALL.into_iter();
    all.find(|one| one.as_str().parse() == Ok(status))
        .unwrap_or(FailureStatus::Other)
}

fn standing(reason: Waiting) -> StandingLabel {
    match reason {
        Waiting::Idle => StandingLabel::Idle,
        Waiting::Pace { .. } => StandingLabel::Pace,
        Waiting::Cap => StandingLabel::Cap,
        Waiting::Answer { .. } => StandingLabel::Ack,
        Waiting::Retry { .. } => StandingLabel::BackOff,
        Waiting::Attempt { .. } => StandingLabel::Attempt,
        Waiting::RateLimit { .. } => StandingLabel::RateLimit,
        Waiting::LookUp { .. } => StandingLabel::LookUp,
        Waiting::Restricted => StandingLabel::Restricted,
        Waiting::StartsAt => StandingLabel::StartsAt,
        Waiting::Connection => StandingLabel::NotConnected,
        Waiting::Recipients => StandingLabel::Reading,
    }
}

fn closing(reason: &CloseReason) -> Closing {
    match reason {
        CloseReason::RestartRequired => Closing::Restart,
        CloseReason::LoggedOut { .. } => Closing::LoggedOut,
        CloseReason::LogoutRequested => Closing::LogoutRequested,
        CloseReason::Replaced => Closing::Replaced,
        CloseReason::TemporaryBan { .. } => Closing::Banned,
        CloseReason::ClientOutdated { .. } => Closing::ClientOutdated,
        CloseReason::BadUserAgent | CloseReason::LoginRefused { .. } | CloseReason::MultideviceMismatch => {
            Closing::Refused
        }
        CloseReason::ServerError { .. } => Closing::ServerError,
        CloseReason::Throttled => Closing::Throttled,
        CloseReason::AckMissing | CloseReason::StreamError { .. } | CloseReason::StreamEnd => Closing::Stream,
        CloseReason::SocketClosed
        | CloseReason::ConnectFailed(_)
        | CloseReason::KeepAliveTimeout
        | CloseReason::HandshakeTimeout
        | CloseReason::LoginTimeout => Closing::Network,
        CloseReason::ProxyFailed(_) => Closing::Proxy,
        CloseReason::BadCertificate(_) | CloseReason::BadHandshake(_) | CloseReason::BadFrame(_) => {
            Closing::Protocol
        }
        CloseReason::PairingRefused(_)
        | CloseReason::PairingTimedOut
        | CloseReason::PasskeyRequired
        | CloseReason::PasskeyFailed(_) => Closing::Pairing,
        CloseReason::Stopped => Closing::Stopped,
        _ => Closing::Other,
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use whatsapp::event::{DeviceRefusal as Refusal, Dropped as Lost, Misbehaviour as Behaviour};

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

    #[test]
    fn a_wait_is_measured_when_its_reason_ends_and_idling_is_none() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let told = recorder.handle();
        let begun = Instant::now();
        let later = |seconds| begun + Duration::from_secs(seconds);
        metrics::with_local_recorder(&recorder, || {
            let mut standing = Standing::default();
            standing.wait(Waiting::Idle, begun);
            standing.wait(Waiting::Cap, later(60));
            standing.wait(Waiting::Cap, later(61));
            standing.wait(Waiting::Idle, later(63));
        });
        let text = told.render();
        assert!(
            text.contains("fanfare_pacer_wait_seconds_sum{reason=\"cap\"} 3\n"),
            "{text}"
        );
        assert!(
            text.contains("fanfare_pacer_wait_seconds_count{reason=\"cap\"} 1\n"),
            "{text}"
        );
        assert!(!text.contains("reason=\"idle\",le="), "{text}");
        assert!(
            text.contains("fanfare_sessions_waiting{reason=\"idle\"} 0\n"),
            "{text}"
        );
    }

    #[test]
    fn each_word_of_others_is_a_label() {
        for how in Behaviour::ALL {
            assert!(Misbehaviour::find(how.as_str()).is_some(), "{}", how.as_str());
        }
        for what in Lost::ALL {
            assert!(Dropped::find(what.as_str()).is_some(), "{}", what.as_str());
        }
        for reason in [
            Refusal::NoProof,
            Refusal::BadProof,
            Refusal::OtherAccount,
            Refusal::UnknownAccount,
            Refusal::BadKeys,
        ] {
            assert!(DeviceRefusal::find(reason.as_str()).is_some(), "{reason}");
        }
        for state in SessionState::ALL {
            assert!(StateLabel::find(state.as_str()).is_some(), "{}", state.as_str());
        }
        assert_eq!(failure_status(404), FailureStatus::NotFound);
        assert_eq!(failure_status(479), FailureStatus::Other);
    }
}
