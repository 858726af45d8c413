//! Why a queue does not send at this moment: told from the rows, so that it is known even when no worker runs.

use serde::Serialize;
use shared::store::queues::{QueueRecord, QueueState};
use shared::store::sessions::{SessionRecord, SessionState};
use time::OffsetDateTime;
use utoipa::ToSchema;

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
    /// No session worker holds the session's shard.
    NoWorker,
    /// The session was stopped.
    Stopped,
    /// The session has no account.
    NotPaired,
    /// The session is connecting, or its connection broke.
    NotConnected,
    /// The random gap after the session's last send.
    Pace,
}

/// Why `queue` does not send now; `None` if it does, or has nothing left to send. `worked` says whether a live worker
/// holds the session's shard.
pub fn waiting(
    queue: &QueueRecord,
    session: &SessionRecord,
    worked: bool,
    now: OffsetDateTime,
) -> Option<Waiting> {
    let plain = |reason, detail| {
        Some(Waiting {
            reason,
            until: None,
            detail,
        })
    };
    if matches!(queue.state, QueueState::Completed | QueueState::Deleted) {
        return None;
    }
    if queue.state == QueueState::Paused {
        return plain(Reason::Paused, "the queue is paused; resume it");
    }
    if !worked {
        return plain(
            Reason::NoWorker,
            "no session worker runs, or one is being replaced",
        );
    }
    if !session.wanted {
        return plain(Reason::Stopped, "the session was stopped; start it");
    }
    match session.state {
        SessionState::Open => {}
        SessionState::New | SessionState::Pairing | SessionState::LoggedOut => {
            return plain(Reason::NotPaired, "the session has no account; scan its QR code");
        }
        SessionState::Connecting | SessionState::Closed => {
            return plain(
                Reason::NotConnected,
                "the session is not connected; it keeps trying",
            );
        }
    }
    let until = session.next_send_at.filter(|until| *until > now)?;
    Some(Waiting {
        reason: Reason::Pace,
        until: Some(until),
        detail: "the random gap after the session's last send",
    })
}

#[cfg(test)]
mod tests {
    use shared::id::{JobId, QueueId, SessionId, ShardId, Token};
    use shared::job::{Content, OnUnknown};
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
            close_reason: None,
            next_send_at: None,
            last_sequence: 0,
            created_at: NOW,
            updated_at: NOW,
            paired_at: None,
        }
    }

    fn queue(state: QueueState) -> QueueRecord {
        QueueRecord {
            id: QueueId::random(),
            session: SessionId::new(1),
            job: JobId::new("job").unwrap(),
            content: Content::Text {
                text: "hello".to_owned(),
            },
            delay: None,
            on_unknown: OnUnknown::Resend,
            state,
            total: 1,
            settled: 0,
            failed: 0,
            created_at: NOW,
            started_at: None,
            paused_at: None,
            finished_at: None,
        }
    }

    fn reason(state: QueueState, session: &SessionRecord, worked: bool) -> Option<Reason> {
        waiting(&queue(state), session, worked, NOW).map(|waiting| waiting.reason)
    }

    #[test]
    fn the_first_thing_in_the_way_is_told() {
        use QueueState::{Completed, Deleted, Paused, Running};
        let open = session(SessionState::Open);
        assert_eq!(reason(Running, &open, true), None);
        assert_eq!(reason(Completed, &open, false), None);
        assert_eq!(reason(Deleted, &open, false), None);
        assert_eq!(reason(Paused, &open, false), Some(Reason::Paused));
        assert_eq!(reason(Running, &open, false), Some(Reason::NoWorker));
        assert_eq!(
            reason(Running, &session(SessionState::Pairing), true),
            Some(Reason::NotPaired)
        );
        assert_eq!(
            reason(Running, &session(SessionState::Closed), true),
            Some(Reason::NotConnected)
        );
        assert_eq!(
            reason(
                Running,
                &SessionRecord {
                    wanted: false,
                    ..open
                },
                true
            ),
            Some(Reason::Stopped)
        );
    }

    #[test]
    fn the_gap_is_told_with_its_end() {
        let until = NOW + Duration::seconds(7);
        let paced = SessionRecord {
            next_send_at: Some(until),
            ..session(SessionState::Open)
        };
        let told = waiting(&queue(QueueState::Running), &paced, true, NOW).unwrap();
        assert_eq!((told.reason, told.until), (Reason::Pace, Some(until)));
        assert_eq!(waiting(&queue(QueueState::Running), &paced, true, until), None);
    }
}
