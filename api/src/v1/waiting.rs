//! Why a queue does not send at this moment: told from the rows, so that it is known even when no worker runs.

use serde::Serialize;
use shared::event::RestrictionKind;
use shared::store::queues::{QueueRecord, QueueState};
use shared::store::sessions::{SessionRecord, SessionState};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::closing;

/// What a queue waits for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct Waiting {
    /// For programs.
    pub reason: Reason,
    /// Until when, where that is known.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<OffsetDateTime>,
    /// For people: what it is, and what would end it.
    pub detail: &'static str,
}

/// The reasons there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Somebody paused the queue.
    Paused,
    /// It starts later.
    StartsAt,
    /// The broker has it, and its worker is about to store it.
    Accepting,
    /// No session worker holds the session's shard.
    NoWorker,
    /// The session is being deleted, and the queue with it.
    Deleting,
    /// The session has no account: it was never paired, or was logged out.
    NotPaired,
    /// The session was stopped.
    Stopped,
    /// WhatsApp refused the session: nobody connects it again until it is started.
    Refused,
    /// WhatsApp does not take this version of WhatsApp Web any more: the session comes back by itself with a newer one.
    ClientOutdated,
    /// The proxy that the session leaves by can't be reached, refuses it, or does not reach WhatsApp.
    Proxy,
    /// The session is connecting, or its connection broke.
    NotConnected,
    /// WhatsApp said that the session goes too fast.
    RateLimit,
    /// All that is left waits until the session may write to new contacts again.
    Restricted,
    /// All that is left goes to numbers that WhatsApp must be asked for first, and those questions have a pace.
    LookUp,
    /// The random gap after the session's last send.
    Pace,
}

/// A queue, and how many of its recipients wait until its session may write to new contacts again.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// The queue.
    pub queue: &'a QueueRecord,
    /// How many.
    pub held: u32,
}

impl Held<'_> {
    /// Whether nobody else is left.
    fn is_all(&self) -> bool {
        self.held > 0 && self.held >= self.queue.total.saturating_sub(self.queue.settled)
    }
}

/// Whether a live worker holds a shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Worker {
    /// One does.
    Running,
    /// None does.
    Absent,
}

/// Why `queue` does not send now; `None` if it has nothing left to send, or if nothing that is stored holds it back:
/// then it sends, or waits for a moment for what its worker alone knows. `worker` is
/// that of the session's shard.
pub fn waiting(
    held: &Held<'_>,
    session: &SessionRecord,
    worker: Worker,
    now: OffsetDateTime,
) -> Option<Waiting> {
    let queue = held.queue;
    if queue.state.is_final() {
        return None;
    }
    let starts_at = queue
        .start_at
        .filter(|at| *at > now && queue.state != QueueState::Paused);
    if starts_at.is_some() {
        return Some(Waiting {
            reason: Reason::StartsAt,
            until: starts_at,
            detail: "the queue starts later, as its startAt says",
        });
    }
    let stopped = if queue.state == QueueState::Paused {
        Some((Reason::Paused, "the queue is paused; resume it"))
    } else if worker == Worker::Absent {
        Some((Reason::NoWorker, NO_WORKER))
    } else {
        held_by(session)
    };
    if let Some((reason, detail)) = stopped {
        return Some(Waiting {
            reason,
            until: None,
            detail,
        });
    }
    if let Some(until) = session.rate_limited_until.filter(|until| *until > now) {
        return Some(Waiting {
            reason: Reason::RateLimit,
            until: Some(until),
            detail: "WhatsApp said that the session goes too fast; it goes on by itself",
        });
    }
    if let Some(restriction) = session.restriction.as_ref().filter(|_| held.is_all()) {
        return Some(Waiting {
            reason: Reason::Restricted,
            until: Some(restriction.until),
            detail: restricted(restriction.kind),
        });
    }
    if let Some(until) = session.look_up_at.filter(|until| *until > now) {
        return Some(Waiting {
            reason: Reason::LookUp,
            until: Some(until),
            detail: "the next number must be looked up first; LOOK_UP_GAP and LOOK_UPS_PER_DAY say how often that is done",
        });
    }
    let until = session.next_send_at.filter(|until| *until > now)?;
    Some(Waiting {
        reason: Reason::Pace,
        until: Some(until),
        detail: "the random gap after the session's last send",
    })
}

/// Why a session is not open: what is first in the way.
pub fn not_open(session: &SessionRecord, worker: Worker) -> Option<(Reason, &'static str)> {
    match worker {
        Worker::Absent if session.wanted => Some((Reason::NoWorker, NO_WORKER)),
        _ => held_by(session),
    }
}

/// What a send waits for that its worker has not stored yet.
pub fn unstored(worker: Worker) -> Waiting {
    let (reason, detail) = match worker {
        Worker::Running => (Reason::Accepting, "the session's worker is about to store it"),
        Worker::Absent => (Reason::NoWorker, NO_WORKER),
    };
    Waiting {
        reason,
        until: None,
        detail,
    }
}

/// What keeps a session that has a worker from sending. To start it is to create it again.
fn held_by(session: &SessionRecord) -> Option<(Reason, &'static str)> {
    if session.deleting_at.is_some() {
        return Some((Reason::Deleting, "the session is being deleted"));
    }
    if session.state == SessionState::Open {
        return (!session.wanted)
            .then_some((Reason::Stopped, "the session is being stopped; start it again"));
    }
    if is_outdated(session) {
        return Some((Reason::ClientOutdated, OUTDATED));
    }
    if is_away(session) && session.close_reason == Some(closing::PROXY_CODE) {
        return Some((Reason::Proxy, closing::PROXY));
    }
    // Before all else: without an account, starting it leads no further than to a QR code.
    if session.paired_at.is_none() {
        let detail = match (session.state, session.wanted) {
            (SessionState::LoggedOut, _) => {
                "WhatsApp logged the session out; start it again and scan its QR code"
            }
            (SessionState::Pairing, _) if session.passkey.as_ref().is_some_and(|stage| stage.is_open()) => {
                "the account must be proved with a passkey; the session's passkey says what is to be done"
            }
            (_, true) => "the session has no account; scan its QR code",
            (_, false) => "the session has no account; start it again and scan its QR code",
        };
        return Some((Reason::NotPaired, detail));
    }
    if !session.wanted {
        return Some((Reason::Stopped, "the session was stopped; start it again"));
    }
    if session.refused {
        return Some((Reason::Refused, refused(session.close_reason)));
    }
    let detail = "the session is not connected; it keeps trying";
    Some((Reason::NotConnected, detail))
}

/// Whether the session waits for a version of WhatsApp Web that WhatsApp still takes, to log in or to be paired.
pub fn is_outdated(session: &SessionRecord) -> bool {
    is_away(session) && session.close_reason == Some(OUTDATED_CODE)
}

/// Whether the session is not connected, and keeps trying to be.
fn is_away(session: &SessionRecord) -> bool {
    let is_away = matches!(session.state, SessionState::Closed | SessionState::Connecting);
    is_away && session.wanted && !session.refused
}

/// Why a session that is not connected closed and what would end that, where its number says too little.
pub fn close_detail(session: &SessionRecord) -> Option<&'static str> {
    if is_outdated(session) {
        return Some(OUTDATED);
    }
    if session.refused {
        return Some(refused(session.close_reason));
    }
    session.close_reason.map(closing::words)
}

const NO_WORKER: &str = "no session worker runs, or one is being replaced";

/// What to do about a version that is refused.
pub const OUTDATED: &str = "WhatsApp does not take this version of WhatsApp Web any more; the workers look for a newer one, \
     and the session comes back by itself when there is one";

/// The number of that refusal.
const OUTDATED_CODE: u16 = 405;

/// What keeps new contacts from being written to, and what follows.
fn restricted(kind: RestrictionKind) -> &'static str {
    match kind {
        RestrictionKind::TimeLock => {
            "WhatsApp lets the account write to nobody who has not written to it; then it is asked again"
        }
        RestrictionKind::Refused => {
            "WhatsApp refused a message to somebody who has not written to the account; then one is tried again"
        }
        RestrictionKind::Cap => {
            "the account has begun as many new chats as WhatsApp lets it; then it is asked again"
        }
    }
}

/// A refusal by its number, and what would end it.
fn refused(close_reason: Option<u16>) -> &'static str {
    match close_reason {
        Some(402) => "WhatsApp has banned the account for a time; start the session again when that is over",
        Some(405 | 409) => {
            "WhatsApp does not take this client as it is any more; update the workers, then start the session again"
        }
        Some(411) => {
            "the account is not set up for linked devices; mend that on its phone, then start the session again"
        }
        Some(440) => {
            "another connection took the session over; make sure that nobody else uses its credentials, then start it \
             again"
        }
        _ => "WhatsApp refused the session (its closeReason says how); start it again when that is mended",
    }
}

#[cfg(test)]
mod tests {
    use shared::content::Text;
    use shared::id::{JobId, SessionId, ShardId, Token};
    use shared::job::{Duplicates, OnUnknown};
    use shared::store::sessions::Restriction;
    use time::Duration;

    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn session(state: SessionState) -> SessionRecord {
        SessionRecord {
            id: SessionId::new(1),
            token: Token::new("t").unwrap(),
            shard: ShardId::new(0).unwrap(),
            state,
            wanted: true,
            owner: None,
            qr: None,
            pairing_code: None,
            passkey: None,
            presence: None,
            proxy: None,
            close_reason: None,
            refused: false,
            deleting_at: None,
            next_send_at: None,
            restriction: None,
            restrictions: 0,
            rate_limited_until: None,
            look_ups: None,
            look_up_at: None,
            last_sequence: 0,
            created_at: NOW,
            updated_at: NOW,
            paired_at: Some(NOW),
        }
    }

    fn queue(state: QueueState) -> QueueRecord {
        QueueRecord {
            id: shared::testing::queue_id(),
            session: SessionId::new(1),
            job: JobId::new("job").unwrap(),
            content: Text::new("hello").into(),
            delay: None,
            duplicates: Duplicates::Drop,
            reference: None,
            label: None,
            on_unknown: OnUnknown::Resend,
            state,
            total: 1,
            settled: 0,
            failed: 0,
            created_at: NOW,
            started_at: None,
            paused_at: None,
            finished_at: None,
            start_at: None,
        }
    }

    fn told(held: u32, session: &SessionRecord) -> Option<Waiting> {
        let queue = queue(QueueState::Running);
        let held = Held { queue: &queue, held };
        waiting(&held, session, Worker::Running, NOW)
    }

    fn reason(state: QueueState, session: &SessionRecord, worker: Worker) -> Option<Reason> {
        waiting(
            &Held {
                queue: &queue(state),
                held: 0,
            },
            session,
            worker,
            NOW,
        )
        .map(|waiting| waiting.reason)
    }

    #[test]
    fn the_first_thing_in_the_way_is_told() {
        use QueueState::{Completed, Deleted, Paused, Running};
        let open = session(SessionState::Open);
        assert_eq!(reason(Running, &open, Worker::Running), None);
        assert_eq!(reason(Completed, &open, Worker::Absent), None);
        assert_eq!(reason(Deleted, &open, Worker::Absent), None);
        assert_eq!(reason(Paused, &open, Worker::Absent), Some(Reason::Paused));
        assert_eq!(reason(Running, &open, Worker::Absent), Some(Reason::NoWorker));
        assert_eq!(
            reason(Running, &session(SessionState::Closed), Worker::Running),
            Some(Reason::NotConnected)
        );
        let stopped = SessionRecord {
            wanted: false,
            ..session(SessionState::Closed)
        };
        assert_eq!(reason(Running, &stopped, Worker::Running), Some(Reason::Stopped));
        let deleting = SessionRecord {
            deleting_at: Some(NOW),
            ..open
        };
        assert_eq!(
            reason(Running, &deleting, Worker::Running),
            Some(Reason::Deleting)
        );
    }

    #[test]
    fn without_an_account_there_is_something_to_scan_whoever_ended_the_session() {
        use SessionState::{Closed, Connecting, LoggedOut, New, Pairing};
        for (state, wanted, word) in [
            (New, true, "scan"),
            (Connecting, true, "scan"),
            (Pairing, true, "scan"),
            // Nobody scanned in time.
            (Closed, false, "start it again and scan"),
            (
                LoggedOut,
                false,
                "logged the session out; start it again and scan",
            ),
        ] {
            let session = SessionRecord {
                wanted,
                paired_at: None,
                ..session(state)
            };
            let told = told(0, &session).unwrap();
            assert_eq!(told.reason, Reason::NotPaired, "{state:?}");
            assert!(told.detail.contains(word), "{state:?}: {}", told.detail);
        }
    }

    #[test]
    fn a_refused_session_does_not_keep_trying() {
        for (code, word) in [
            (402, "banned"),
            (409, "update"),
            (411, "linked devices"),
            (440, "another connection"),
            (418, "closeReason"),
        ] {
            let refused = SessionRecord {
                close_reason: Some(code),
                refused: true,
                ..session(SessionState::Closed)
            };
            let told = told(0, &refused).unwrap();
            assert_eq!(told.reason, Reason::Refused);
            assert!(
                told.detail.contains(word) && told.detail.contains("again"),
                "{}",
                told.detail
            );
        }
    }

    #[test]
    fn a_proxy_that_is_away_is_told_apart_from_a_server_that_is() {
        for (code, expected) in [(407, Reason::Proxy), (408, Reason::NotConnected)] {
            let session = SessionRecord {
                close_reason: Some(code),
                ..session(SessionState::Closed)
            };
            assert_eq!(told(0, &session).unwrap().reason, expected);
        }
    }

    #[test]
    fn a_version_that_is_refused_is_waited_out_paired_or_not() {
        let outdated = |state, paired_at| SessionRecord {
            close_reason: Some(405),
            paired_at,
            ..session(state)
        };
        for paired_at in [Some(NOW), None] {
            for state in [SessionState::Closed, SessionState::Connecting] {
                let outdated = outdated(state, paired_at);
                let told = told(0, &outdated).unwrap();
                assert_eq!((told.reason, told.detail), (Reason::ClientOutdated, OUTDATED));
                assert_eq!(close_detail(&outdated), Some(OUTDATED));
            }
        }
        // It is over when there is something to scan, or the session is open; and nobody waits who does not want to.
        for state in [SessionState::Pairing, SessionState::Open] {
            assert!(!is_outdated(&outdated(state, None)), "{state:?}");
        }
        let stopped = SessionRecord {
            wanted: false,
            ..outdated(SessionState::Closed, Some(NOW))
        };
        assert_eq!(
            reason(QueueState::Running, &stopped, Worker::Running),
            Some(Reason::Stopped)
        );
        assert_eq!(close_detail(&session(SessionState::Closed)), None);
    }

    #[test]
    fn a_queue_that_starts_later_says_when_whatever_else_there_is() {
        let until = NOW + Duration::hours(7);
        let later = QueueRecord {
            start_at: Some(until),
            ..queue(QueueState::Queued)
        };
        let told = |queue: &QueueRecord, now| {
            waiting(
                &Held { queue, held: 0 },
                &session(SessionState::Closed),
                Worker::Absent,
                now,
            )
        };
        let first = told(&later, NOW).unwrap();
        assert_eq!((first.reason, first.until), (Reason::StartsAt, Some(until)));
        assert_eq!(told(&later, until).unwrap().reason, Reason::NoWorker);
        let paused = QueueRecord {
            start_at: Some(until),
            ..queue(QueueState::Paused)
        };
        assert_eq!(told(&paused, NOW).unwrap().reason, Reason::Paused);
    }

    #[test]
    fn the_gap_is_told_with_its_end() {
        let until = NOW + Duration::seconds(7);
        let paced = SessionRecord {
            next_send_at: Some(until),
            ..session(SessionState::Open)
        };
        let told = told(0, &paced).unwrap();
        assert_eq!((told.reason, told.until), (Reason::Pace, Some(until)));
        let queue = queue(QueueState::Running);
        let queue = Held {
            queue: &queue,
            held: 0,
        };
        assert_eq!(waiting(&queue, &paced, Worker::Running, until), None);
    }

    #[test]
    fn a_restriction_is_told_when_nobody_else_is_left() {
        let until = NOW + Duration::days(6);
        let restriction = Restriction {
            kind: RestrictionKind::TimeLock,
            since: NOW,
            until,
            why: None,
            number: 1,
        };
        let restricted = SessionRecord {
            restriction: Some(restriction),
            restrictions: 1,
            ..session(SessionState::Open)
        };
        assert_eq!(told(0, &restricted), None, "it sends to those who are known");
        let held = told(1, &restricted).unwrap();
        assert_eq!((held.reason, held.until), (Reason::Restricted, Some(until)));
    }

    #[test]
    fn a_session_that_went_too_fast_says_until_when_it_pauses() {
        let until = NOW + Duration::seconds(40);
        let slowed = SessionRecord {
            rate_limited_until: Some(until),
            ..session(SessionState::Open)
        };
        let told = told(0, &slowed).unwrap();
        assert_eq!((told.reason, told.until), (Reason::RateLimit, Some(until)));
    }
}
