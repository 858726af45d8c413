//! Why queues stand still, told when they have for about a second.
//!
//! Looks at a session's queues at most twice a second, and only after something has changed. What the rows of the session
//! tell already (its gap, its look-ups, its pauses) is counted and not stored again; the rest is stored beside the queue,
//! and goes when it moves.

use std::collections::HashMap;
use std::time::Duration;

use shared::id::QueueId;
use shared::store::commit::QueueChange;
use shared::waiting::{NextAttempt, Reason, Standstill};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::context::Context;
use super::pacer::Waiting;
use super::queues::look::{Stock, attempt_after};
use super::queues::{From, Queue};
use super::sends::Sends;
use super::sends::in_hand::{InTheWay, first_of};

/// Watches the queues of one session.
#[derive(Debug, Default)]
pub(super) struct Standstills {
    /// How often something changed, and why nothing was sent, when that was last asked for.
    seen: (u64, &'static str),
    look_at: Option<Instant>,
}

/// What is the same for all queues of a session.
struct View<'a> {
    waiting: Waiting,
    /// What stands in the way of the next send, or is in hand of a queue.
    in_hand: &'a HashMap<QueueId, InTheWay>,
    first: Option<InTheWay>,
    /// Whose turn it is, of those whose numbers are known.
    next: Option<QueueId>,
    /// When the next number may be looked up, if not at once.
    look_up: Option<Instant>,
    /// A single message that goes before all broadcasts.
    overtakes: Option<QueueId>,
    is_gap_stored: bool,
    most: u16,
    now: Instant,
}

/// Why a queue stands still.
#[derive(Clone, Copy)]
struct Found {
    reason: Reason,
    until: Option<Instant>,
    attempt: Option<NextAttempt>,
    /// The rows of the session tell it.
    is_told: bool,
}

impl Standstills {
    /// Looks at the queues if it is time; answers when to look again.
    pub(super) fn look(&mut self, cx: &mut Context, sends: &Sends, waiting: Waiting) -> Option<Instant> {
        let now = cx.now();
        let seen = (cx.queues.moves().wrapping_add(sends.changes()), waiting.label());
        if std::mem::replace(&mut self.seen, seen) != seen {
            self.look_at.get_or_insert(now + LOOK_GAP);
        }
        if cx.queues.is_empty() {
            self.look_at = None;
        }
        let at = self.look_at?;
        if at > now {
            return Some(at);
        }
        self.look_at = judge_all(cx, sends, waiting).then_some(now + LOOK_GAP);
        self.look_at
    }
}

/// Finds out why each queue stands still that does, and stores what no row tells. Answers whether any has moved.
fn judge_all(cx: &mut Context, sends: &Sends, waiting: Waiting) -> bool {
    let (now, wall) = (cx.now(), cx.wall());
    let in_hand = sends.in_the_way(cx);
    let next = cx.queues.peek(From::Known).map(|(id, _)| id);
    let view = View {
        waiting,
        first: first_of(&in_hand),
        in_hand: &in_hand,
        next,
        look_up: cx.look_up_until(),
        overtakes: next.filter(|id| cx.queues.get(*id).is_some_and(Queue::is_single)),
        is_gap_stored: cx.record.next_send_at.is_some_and(|at| at > wall),
        most: cx.around.attempts.most,
        now,
    };
    let mut found = Vec::new();
    let has_moved = cx.queues.look(|queue| {
        let why = view.judge(queue);
        found.push((queue.id, (!why.is_told).then(|| why.stored(now, wall))));
        why.reason
    });
    for (id, why) in found {
        if cx.queues.tell(id, why) {
            cx.recorder.write.queues.push(QueueChange::StandStill(id, why));
        }
    }
    has_moved
}

impl View<'_> {
    /// Why this queue, which has not moved, stands still: there is always a reason.
    fn judge(&self, queue: &Queue) -> Found {
        if matches!(self.waiting, Waiting::Connection) {
            return Found::told(Reason::NotConnected);
        }
        if queue.awaits_file() && queue.is_running() {
            return Found::new(Reason::Upload, None);
        }
        let is_overtaken = self.overtakes.is_some_and(|other| other != queue.id) && !queue.is_single();
        match queue.stock(self.now) {
            Stock::Ready if is_overtaken => Found::new(Reason::OtherQueue, None),
            Stock::Ready => self.of_session(),
            Stock::Unknown => match (self.waiting, self.look_up) {
                (Waiting::LookUp { .. }, _) => Found::told(Reason::LookUp),
                (_, Some(until)) => Found::new(Reason::LookUp, Some(until)),
                _ if self.next.is_some() => Found::new(Reason::OtherQueue, None),
                _ => self.of_session(),
            },
            Stock::InHand => match self.in_hand.get(&queue.id) {
                Some(one) => Found::new(one.reason, one.until),
                // Its accounts are being read.
                None if queue.is_running() => Found::new(Reason::Reading, None),
                // The last of it, or its end, is being written.
                None => Found::new(Reason::Storing, None),
            },
            Stock::Late(until, made) => Found {
                attempt: Some(attempt_after(made, self.most)),
                ..Found::new(Reason::Attempt, Some(until))
            },
            Stock::Unread => Found::new(Reason::Reading, None),
            Stock::Held => Found::told(Reason::Restricted),
        }
    }

    /// Why the session sends nothing of what could be sent.
    fn of_session(&self) -> Found {
        match self.waiting {
            Waiting::Pace { until } => Found {
                is_told: self.is_gap_stored,
                ..Found::new(Reason::Pace, Some(until))
            },
            Waiting::RateLimit { .. } => Found::told(Reason::RateLimit),
            Waiting::Cap => Found::new(Reason::Cap, None),
            Waiting::Retry { until } => Found::new(Reason::BackOff, Some(until)),
            Waiting::Answer { until } => match self.first {
                Some(first) => Found::new(first.reason, first.until),
                None => Found::new(Reason::Ack, Some(until)),
            },
            Waiting::Recipients => Found::new(Reason::Reading, None),
            Waiting::Connection => Found::told(Reason::NotConnected),
            // Another of its queues has the turn.
            Waiting::LookUp { .. } | Waiting::Attempt { .. } => Found::new(Reason::OtherQueue, None),
            // Nothing could be sent a moment ago: this one has its turn next.
            Waiting::Restricted | Waiting::StartsAt | Waiting::Idle => Found::told(Reason::TakingUp),
        }
    }
}

impl Found {
    fn new(reason: Reason, until: Option<Instant>) -> Self {
        Self {
            reason,
            until,
            attempt: None,
            is_told: false,
        }
    }

    fn told(reason: Reason) -> Self {
        Self {
            is_told: true,
            ..Self::new(reason, None)
        }
    }

    fn stored(self, now: Instant, wall: OffsetDateTime) -> Standstill {
        let until = self
            .until
            .map(|until| wall + until.saturating_duration_since(now));
        Standstill {
            reason: self.reason,
            until,
            attempt: self.attempt,
        }
    }
}

/// The least time between two looks: what has not moved for it stands still.
const LOOK_GAP: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shared::job::{Duplicates, OnUnknown};
    use shared::recipient::Number;

    use super::*;
    use crate::session::pacer::Pace;
    use crate::session::queue_trace::QueueTrace;
    use crate::session::queues::{Queues, Spec};
    use crate::session::target::Target;

    /// A queue in memory with these to be sent to.
    fn queue(targets: Vec<Target>) -> (Queues, QueueId) {
        let (mut queues, id) = (Queues::default(), shared::testing::queue_id());
        queues.insert(Queue::new(Spec {
            id,
            content: Arc::new(shared::content::Text::new("hi").into()),
            accepted_at: time::OffsetDateTime::UNIX_EPOCH,
            pace: Pace::default(),
            on_unknown: OnUnknown::Resend,
            duplicates: Duplicates::Drop,
            reference: None,
            total: 10,
            settled: 0,
            started: false,
            account: None,
            waiting: None,
            trace: QueueTrace::default(),
        }));
        queues.page(id, targets, None);
        (queues, id)
    }

    fn target(seq: u32) -> Target {
        Target::new(seq, Number::new(&format!("55319{seq:08}")).unwrap(), None)
    }

    fn judge(queues: &Queues, id: QueueId, waiting: Waiting, now: Instant) -> Found {
        let view = View {
            waiting,
            in_hand: &HashMap::new(),
            first: None,
            next: Some(id),
            look_up: None,
            overtakes: None,
            is_gap_stored: false,
            most: 5,
            now,
        };
        view.judge(queues.get(id).unwrap())
    }

    #[test]
    fn whatever_a_session_waits_for_a_queue_that_could_send_has_a_reason_and_its_end() {
        let (queues, id) = queue(vec![target(0)]);
        let now = Instant::now();
        let until = now + Duration::from_secs(9);
        let (known, unknown) = (Some(until), None);
        for (waiting, reason, ends) in [
            (Waiting::Pace { until }, Reason::Pace, known),
            (Waiting::Answer { until }, Reason::Ack, known),
            (Waiting::Retry { until }, Reason::BackOff, known),
            (Waiting::Attempt { until }, Reason::OtherQueue, unknown),
            (Waiting::LookUp { until }, Reason::OtherQueue, unknown),
            (Waiting::Cap, Reason::Cap, unknown),
            (Waiting::Recipients, Reason::Reading, unknown),
            // The session's row says until when.
            (Waiting::RateLimit { until }, Reason::RateLimit, unknown),
            (Waiting::Connection, Reason::NotConnected, unknown),
            (Waiting::Restricted, Reason::TakingUp, unknown),
            (Waiting::StartsAt, Reason::TakingUp, unknown),
            (Waiting::Idle, Reason::TakingUp, unknown),
        ] {
            let found = judge(&queues, id, waiting, now);
            assert_eq!((found.reason, found.until), (reason, ends), "{waiting:?}");
        }
    }

    #[test]
    fn a_queue_that_has_nothing_to_send_has_a_reason_of_its_own() {
        let now = Instant::now();
        let until = now + Duration::from_secs(9);
        let reason = |queues: &Queues, id| judge(queues, id, Waiting::Idle, now).reason;
        let (mut queues, id) = queue(vec![target(0)]);
        let (_, taken) = queues.take(From::Known).unwrap();
        assert_eq!(reason(&queues, id), Reason::Reading, "in hand, and no send of it");
        let late = Target {
            again: true,
            attempts: 2,
            ..taken
        };
        queues.give_back_late(id, late, until);
        let found = judge(&queues, id, Waiting::Attempt { until }, now);
        assert_eq!((found.reason, found.until), (Reason::Attempt, Some(until)));
        let attempt = found.attempt.map(|attempt| (attempt.number, attempt.most));
        assert_eq!(attempt, Some((3, 5)));
        let (queues, id) = queue(Vec::new());
        assert_eq!(
            reason(&queues, id),
            Reason::Restricted,
            "the rest is held in the store"
        );
    }
}
