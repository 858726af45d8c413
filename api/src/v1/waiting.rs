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
            (SessionState::Pairing, true) => "the session has no account; scan its QR code",
            (_, true) => {
                "the session has no account, and a QR code to scan comes once WhatsApp is reached; it keeps trying"
            }
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
mod tests;
