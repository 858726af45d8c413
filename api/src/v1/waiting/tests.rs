use shared::content::Text;
use shared::id::{JobId, SessionId, ShardId, Token};
use shared::job::{Calls, Duplicates, OnUnknown};
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
        proxy: None,
        calls: Calls::Ring,
        close_reason: None,
        refused: false,
        deleting_at: None,
        next_send_at: None,
        paced_by: None,
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
        trace: None,
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
        (New, true, "once WhatsApp is reached"),
        (Connecting, true, "once WhatsApp is reached"),
        (Pairing, true, "; scan its QR code"),
        // WhatsApp is away, or the last code ran out and the next connection is a moment away.
        (Closed, true, "once WhatsApp is reached"),
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

/// What a reason is told of.
struct Cause {
    queue: QueueRecord,
    session: SessionRecord,
    worker: Worker,
    /// When it ends, where that is known.
    until: Option<OffsetDateTime>,
}

impl Cause {
    fn of_session(state: SessionState, change: impl FnOnce(&mut SessionRecord)) -> Self {
        let mut session = session(state);
        change(&mut session);
        Self {
            queue: queue(QueueState::Running),
            session,
            worker: Worker::Running,
            until: None,
        }
    }

    /// In a session that is open.
    fn open(change: impl FnOnce(&mut SessionRecord)) -> Self {
        Self::of_session(SessionState::Open, change)
    }

    /// In a session that is not connected.
    fn closed(change: impl FnOnce(&mut SessionRecord)) -> Self {
        Self::of_session(SessionState::Closed, change)
    }

    fn of_queue(queue: QueueRecord) -> Self {
        Self {
            queue,
            ..Self::open(|_| {})
        }
    }

    fn ends(self) -> Self {
        Self {
            until: Some(END),
            ..self
        }
    }

    fn of(reason: Reason) -> Self {
        let running = queue(QueueState::Running);
        match reason {
            Reason::Paused => Self::of_queue(queue(QueueState::Paused)),
            Reason::StartsAt => Self::of_queue(QueueRecord {
                start_at: Some(END),
                ..running
            })
            .ends(),
            // Told by `unstored`: the queue has no row yet.
            Reason::Accepting => unreachable!(),
            Reason::NoWorker => Self {
                worker: Worker::Absent,
                ..Self::of_queue(running)
            },
            Reason::Deleting => Self::open(|session| session.deleting_at = Some(NOW)),
            Reason::NotPaired => Self::closed(|session| session.paired_at = None),
            Reason::Stopped => Self::closed(|session| session.wanted = false),
            Reason::Refused => Self::closed(|session| session.refused = true),
            Reason::ClientOutdated => Self::closed(|session| session.close_reason = Some(OUTDATED_CODE)),
            Reason::Proxy => Self::closed(|session| session.close_reason = Some(closing::PROXY_CODE)),
            Reason::NotConnected => Self::closed(|_| {}),
            Reason::OtherAccount => Self::of_queue(QueueRecord {
                account: Some("5531900000002".to_owned()),
                ..running
            }),
            Reason::RateLimit => Self::open(|session| session.rate_limited_until = Some(END)).ends(),
            Reason::Restricted => Self::open(|session| session.restriction = Some(restriction())).ends(),
            Reason::LookUp => Self::open(|session| session.look_up_at = Some(END)).ends(),
            Reason::Pace => Self::open(|session| session.next_send_at = Some(END)).ends(),
            Reason::TakingUp => Self::of_queue(running),
            Reason::Ack | Reason::Attempt | Reason::BackOff => {
                Self::of_queue(standing(reason, Some(END))).ends()
            }
            Reason::Cap
            | Reason::Keys
            | Reason::Storing
            | Reason::Upload
            | Reason::OtherQueue
            | Reason::Reading => Self::of_queue(standing(reason, None)),
        }
    }
}

/// A queue of which its worker stored this.
fn standing(reason: Reason, until: Option<OffsetDateTime>) -> QueueRecord {
    let attempt = (reason == Reason::Attempt).then_some(NextAttempt { number: 2, most: 5 });
    QueueRecord {
        waiting: Some(Standstill {
            reason,
            until,
            attempt,
        }),
        ..queue(QueueState::Running)
    }
}

fn restriction() -> Restriction {
    Restriction {
        kind: RestrictionKind::TimeLock,
        since: NOW,
        until: END,
        why: None,
        number: 1,
    }
}

/// When it is looked at, long after anything moved; and the end of what ends by itself.
const LATER: OffsetDateTime = NOW.saturating_add(Duration::minutes(5));
const END: OffsetDateTime = NOW.saturating_add(Duration::minutes(6));

#[test]
fn each_reason_is_told_with_its_end_where_that_is_known() {
    for reason in Reason::ALL {
        if reason == Reason::Accepting {
            continue;
        }
        let cause = Cause::of(reason);
        let held = Held {
            queue: &cause.queue,
            held: u32::from(cause.session.restriction.is_some()),
        };
        let told = waiting(&held, &cause.session, cause.worker, LATER);
        let told = told.unwrap_or_else(|| panic!("nothing is told of {reason:?}"));
        assert_eq!((told.reason, told.until), (reason, cause.until));
        assert_eq!(told.attempt.is_some(), reason == Reason::Attempt);
        assert!(!told.detail.is_empty());
        let shown = serde_json::to_value(&told).unwrap();
        assert_eq!(shown["reason"], reason.as_str());
        assert_eq!(shown["until"].is_string(), cause.until.is_some(), "{shown}");
    }
    assert_eq!(unstored(Worker::Running).reason, Reason::Accepting);
    assert_eq!(unstored(Worker::Absent).reason, Reason::NoWorker);
}

/// However a session stands, and whatever its worker wrote or did not.
#[test]
fn a_queue_that_has_not_moved_for_a_second_is_never_without_a_reason() {
    let mut queues = vec![
        queue(QueueState::Queued),
        queue(QueueState::Running),
        queue(QueueState::Paused),
    ];
    queues.extend(Reason::ALL.map(|reason| standing(reason, None)));
    for state in SessionState::ALL {
        for (wanted, refused, paired_at) in [
            (true, false, Some(NOW)),
            (true, true, Some(NOW)),
            (false, false, None),
        ] {
            let session = SessionRecord {
                wanted,
                refused,
                paired_at,
                ..session(state)
            };
            for queue in &queues {
                for worker in [Worker::Running, Worker::Absent] {
                    let held = Held { queue, held: 0 };
                    let told = waiting(&held, &session, worker, NOW + Duration::milliseconds(1_001));
                    assert!(told.is_some(), "{session:?} {queue:?}");
                }
            }
        }
    }
}
