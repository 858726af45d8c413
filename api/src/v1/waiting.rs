//! Why a queue does not send at this moment: told from the rows, so that it is known even when no worker runs.
//!
//! What the rows of session and queue tell by themselves comes first, then what the queue's worker stored of it.

use std::time::Duration;

use serde::Serialize;
use shared::event::RestrictionKind;
use shared::store::queues::{QueueRecord, QueueState};
use shared::store::sessions::{Owner, SessionRecord, SessionState};
use shared::waiting::{NextAttempt, Reason};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::closing;
use crate::schema;

/// What a queue waits for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct Waiting {
    /// For programs.
    #[schema(schema_with = schema::reference::<Reason>)]
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
    /// Which attempt comes next, with the reason `attempt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

/// An attempt at recipients for whom no earlier one was acknowledged.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct Attempt {
    /// Its number.
    pub number: u16,
    /// How many there are at most (`SEND_ATTEMPTS`).
    pub most: u16,
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

/// Why a queue does not send now; `None` if it has nothing left to send, or has sent a moment ago and nothing keeps it
/// from going on. `worker` is that of the session's shard.
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
    starts_later(queue, now)
        .or_else(|| stopped(queue, session, worker))
        .or_else(|| paused(held, session, now))
        .or_else(|| stands_still(queue, now))
        .or_else(|| paced(session, now))
        .or_else(|| not_taken_up(queue, session, now))
}

/// A queue that starts later says so whatever else there is, unless somebody paused it.
fn starts_later(queue: &QueueRecord, now: OffsetDateTime) -> Option<Waiting> {
    let at = queue.start_at.filter(|at| *at > now)?;
    (queue.state != QueueState::Paused).then(|| Waiting::of(Reason::StartsAt, Some(at)))
}

/// What keeps a queue from sending until somebody does something.
fn stopped(queue: &QueueRecord, session: &SessionRecord, worker: Worker) -> Option<Waiting> {
    if queue.state == QueueState::Paused {
        return Some(Waiting::of(Reason::Paused, None));
    }
    if worker == Worker::Absent {
        return Some(Waiting::of(Reason::NoWorker, None));
    }
    if let Some((reason, detail)) = held_by(session) {
        return Some(Waiting {
            detail,
            ..Waiting::of(reason, None)
        });
    }
    let account = session.owner.as_ref().map(Owner::number);
    let is_others = queue.account.is_some() && queue.account.as_deref() != account;
    is_others.then(|| Waiting::of(Reason::OtherAccount, None))
}

/// What keeps the session from sending until a time.
fn paused(held: &Held<'_>, session: &SessionRecord, now: OffsetDateTime) -> Option<Waiting> {
    if let Some(until) = session.rate_limited_until.filter(|until| *until > now) {
        return Some(Waiting::of(Reason::RateLimit, Some(until)));
    }
    let restriction = session.restriction.as_ref().filter(|_| held.is_all())?;
    Some(Waiting {
        detail: restricted(restriction.kind),
        ..Waiting::of(Reason::Restricted, Some(restriction.until))
    })
}

/// Why a session is not open: what is first in the way.
pub fn not_open(session: &SessionRecord, worker: Worker) -> Option<(Reason, &'static str)> {
    match worker {
        Worker::Absent if session.wanted => Some((Reason::NoWorker, Reason::NoWorker.detail())),
        _ => held_by(session),
    }
}

/// What a send waits for that its worker has not stored yet.
pub fn unstored(worker: Worker) -> Waiting {
    Waiting::of(
        match worker {
            Worker::Running => Reason::Accepting,
            Worker::Absent => Reason::NoWorker,
        },
        None,
    )
}

/// What the queue's worker stored of its standstill.
fn stands_still(queue: &QueueRecord, now: OffsetDateTime) -> Option<Waiting> {
    let still = queue.waiting?;
    let attempt = still
        .attempt
        .map(|NextAttempt { number, most }| Attempt { number, most });
    Some(Waiting {
        attempt,
        ..Waiting::of(still.reason, still.until.filter(|until| *until > now))
    })
}

/// The pace of look-ups, and that of the session.
fn paced(session: &SessionRecord, now: OffsetDateTime) -> Option<Waiting> {
    if let Some(until) = session.look_up_at.filter(|until| *until > now) {
        return Some(Waiting::of(Reason::LookUp, Some(until)));
    }
    let until = session.next_send_at.filter(|until| *until > now)?;
    Some(Waiting::of(Reason::Pace, Some(until)))
}

/// Its worker has not come to a queue that nothing has kept for a while.
fn not_taken_up(queue: &QueueRecord, session: &SessionRecord, now: OffsetDateTime) -> Option<Waiting> {
    let kept = [
        queue.moved_at,
        queue.start_at,
        queue.started_at,
        Some(queue.created_at),
        session.next_send_at,
        session.look_up_at,
        session.rate_limited_until,
        // Since when it is open.
        Some(session.updated_at),
    ];
    let free_since = kept.into_iter().flatten().max()?;
    (now - free_since > MOMENT).then(|| Waiting::of(Reason::TakingUp, None))
}

impl Waiting {
    /// For this reason, in its own words.
    pub fn of(reason: Reason, until: Option<OffsetDateTime>) -> Self {
        Self {
            reason,
            until,
            detail: reason.detail(),
            attempt: None,
        }
    }
}

/// How long a queue that nothing holds back may take to move.
const MOMENT: Duration = Duration::from_secs(1);

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

/// What to do about a version that is refused.
pub const OUTDATED: &str = Reason::ClientOutdated.detail();

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
    use shared::waiting::Standstill;
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
            account: None,
            waiting: None,
            moved_at: Some(NOW),
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

    #[test]
    fn what_its_worker_stored_is_told_before_the_session_s_pace() {
        let until = NOW + Duration::seconds(20);
        let paced = SessionRecord {
            next_send_at: Some(NOW + Duration::seconds(3)),
            ..session(SessionState::Open)
        };
        for (reason, attempt) in [
            (Reason::Ack, None),
            (Reason::Attempt, Some(NextAttempt { number: 2, most: 5 })),
        ] {
            let still = QueueRecord {
                waiting: Some(Standstill {
                    reason,
                    until: Some(until),
                    attempt,
                }),
                ..queue(QueueState::Running)
            };
            let told = |now| {
                let held = Held {
                    queue: &still,
                    held: 0,
                };
                waiting(&held, &paced, Worker::Running, now).unwrap()
            };
            assert_eq!((told(NOW).reason, told(NOW).until), (reason, Some(until)));
            assert_eq!(
                told(NOW).attempt.map(|attempt| attempt.number),
                attempt.map(|_| 2)
            );
            assert_eq!(told(until).until, None, "an end that is past says nothing");
        }
    }

    #[test]
    fn a_queue_of_another_account_says_so_and_one_of_none_goes_with_any() {
        let owner = |number: &str| Owner {
            jid: format!("{number}@s.whatsapp.net"),
            lid: None,
            push_name: None,
            platform: None,
        };
        let of = |account: Option<&str>| QueueRecord {
            account: account.map(str::to_owned),
            ..queue(QueueState::Running)
        };
        let session = SessionRecord {
            owner: Some(owner("5531900000001")),
            ..session(SessionState::Open)
        };
        for (account, expected) in [
            (None, None),
            (Some("5531900000001"), None),
            (Some("5531900000002"), Some(Reason::OtherAccount)),
        ] {
            let queue = of(account);
            let held = Held {
                queue: &queue,
                held: 0,
            };
            let told = waiting(&held, &session, Worker::Running, NOW);
            assert_eq!(told.map(|told| told.reason), expected, "{account:?}");
        }
    }

    #[test]
    fn a_queue_that_nobody_took_up_says_so_after_a_second() {
        let (open, queue) = (session(SessionState::Open), queue(QueueState::Queued));
        let held = Held {
            queue: &queue,
            held: 0,
        };
        let after = |ms| waiting(&held, &open, Worker::Running, NOW + Duration::milliseconds(ms));
        assert_eq!(after(900), None);
        assert_eq!(after(1_100).map(|told| told.reason), Some(Reason::TakingUp));
    }
}
