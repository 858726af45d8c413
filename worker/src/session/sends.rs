//! From the next recipient to its settlement.
//!
//! A send is asked of the connection; its step comes back `Prepared` and is committed with the stanza id, the
//! state `sending` and the next gap; then its frame leaves; the server's answer settles the recipient. What
//! has no answer when the connection ends is sent again under the same stanza id, or held if the job says so.

pub(super) mod in_hand;

use std::collections::HashMap;
use std::time::Duration;

use shared::event::MessageStatus;
use shared::id::QueueId;
use shared::metrics::labels::{Answered, PutBack};
use shared::store::commit::RecipientChange;
use shared::trace;
use time::OffsetDateTime;
use tokio::time::Instant;
use whatsapp::command::{Command, Outgoing};
use whatsapp::event::{Event as ConnectionEvent, SendError};
use whatsapp::jid::Jid;
use whatsapp::message_id::MessageId;

use self::in_hand::{InHand, InTheWay, Stage, in_the_way, is_of_new_contact, is_too_fast};
use super::adapter::events::Failure;
use super::adapter::names::{known_recipient, message_id, recipient, stanza_id};
use super::attempts::Silence;
use super::cap::CapTurn;
use super::content::{self, Rendering};
use super::context::Context;
use super::link::Link;
use super::meter;
use super::pacer::{Claim, Pace, Pacer, Waiting};
use super::queues::{From, Queue};
use super::rate::{Pause, TRIES_MAX, TROUBLE};
use super::recipient::{
    Outcome, acked_late, end_of_attempts, goes_by, hold, outcome_unknown, server_has_it, settle, start_queue,
    tell_of,
};
use super::recorder::After;
use super::target::Target;
use super::traces;
use super::turn::next;

/// The sends of a session: those in hand, and when the next may start.
pub(super) struct Sends {
    pacer: Pacer,
    in_hand: HashMap<MessageId, InHand>,
    /// The send that was claimed last, while it is in hand.
    newest: Option<MessageId>,
    /// The queue of the send that was claimed last: the gap is drawn from its pace.
    paced_by: Option<QueueId>,
    /// That of the send before, whose gap holds again where the last comes to nothing.
    paced_before: Option<QueueId>,
    /// Frames that are ready before their time, and what else followed their commit.
    held: Option<(Instant, Vec<After>)>,
    pub(super) cap: CapTurn,
    /// After "too fast".
    rate_limit: Pause,
    /// After trouble of the server.
    trouble: Pause,
    /// How often a send went a step further.
    changes: u64,
}

impl Sends {
    /// None in hand; waits out what the last owner of the session stored of its gap.
    pub(super) fn new(cx: &Context) -> Self {
        let next = cx.record.next_send_at;
        let pacer = next.map_or_else(Pacer::default, |at| Pacer::resume(left(at, cx.wall()), cx.now()));
        Self {
            pacer,
            rate_limit: Pause::resume(cx.record.rate_limited_until, cx.wall(), cx.now()),
            in_hand: HashMap::new(),
            newest: None,
            paced_by: cx
                .record
                .paced_by
                .filter(|_| next.is_some_and(|at| at > cx.wall())),
            paced_before: None,
            held: None,
            cap: CapTurn::default(),
            trouble: Pause::default(),
            changes: 0,
        }
    }

    /// Whether none is in hand.
    pub(super) fn is_empty(&self) -> bool {
        self.in_hand.is_empty()
    }

    /// What is in hand of each queue for the longest time.
    pub(super) fn in_the_way(&self, cx: &Context) -> HashMap<QueueId, InTheWay> {
        in_the_way(self.in_hand.values(), cx.around.versions.config().timing.ack)
    }

    /// How often a send went a step further.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// When frames that are held may leave.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held.as_ref().map(|(until, _)| *until)
    }

    /// What failed for now is tried again at once: the connection is new.
    pub(super) fn forget_retry(&mut self) {
        self.trouble.forget();
    }

    /// Starts all sends that may start now; answers why the next one may not.
    pub(super) fn pump(&mut self, cx: &mut Context, link: &Link) -> Waiting {
        let now = cx.now();
        for (queue, target, why) in cx.queues.take_failed() {
            // Of one that may have left before nobody knows.
            let outcome = if target.again {
                Outcome::Unknown
            } else {
                Outcome::Failed
            };
            settle(cx, queue, &target, outcome(why));
        }
        loop {
            match self.start_one(cx, link, now) {
                Ok(()) => {}
                Err(Waiting::Idle) => return self.idle(cx, now),
                Err(waiting) => return waiting,
            }
        }
    }

    /// Nothing can be started, for what there is: it is in hand, or waits.
    fn idle(&self, cx: &Context, now: Instant) -> Waiting {
        if let Some(until) = self.unanswered(now).min() {
            return Waiting::Answer { until };
        }
        match cx.held() {
            Some(_) => Waiting::Restricted,
            None => Waiting::Idle,
        }
    }

    /// Until when each send in hand has its time to be answered.
    fn unanswered(&self, now: Instant) -> impl Iterator<Item = Instant> + Clone {
        let until = self.in_hand.values().map(|hand| hand.since + ANSWER_WAIT);
        until.filter(move |until| *until > now)
    }

    fn start_one(&mut self, cx: &mut Context, link: &Link, now: Instant) -> Result<(), Waiting> {
        if cx.queues.is_empty() || cx.is_leaving() {
            return Err(Waiting::Idle);
        }
        if !link.is_open() {
            return Err(Waiting::Connection);
        }
        let (from, pace) = next(cx, now)?;
        self.may_join(from, now)?;
        self.may_start(pace, now)?;
        if !self.cap.is_granted(&cx.around.cap) {
            return Err(Waiting::Cap);
        }
        let Some((queue, mut target)) = cx.queues.take(from) else {
            return Err(Waiting::Idle);
        };
        if let Some(why) = end_of_attempts(cx, queue, &target) {
            settle(cx, queue, &target, Outcome::Unknown(why));
            return Ok(());
        }
        let id = match &target.stanza {
            Some(id) => message_id(id),
            None => new_id(cx),
        };
        target.stanza.get_or_insert_with(|| stanza_id(&id));
        if !ask(cx, queue, &id, (&target, from), link) {
            cx.queues.give_back(queue, target);
            return Err(Waiting::Connection);
        }
        if from == From::Unknown {
            cx.take_look_up();
        }
        self.cap.use_up();
        let traced = traces::asked(cx, queue, &id, &mut target);
        let hand = InHand {
            queue,
            target,
            from,
            pace,
            claim: self.pacer.claim(pace, &mut cx.rng, now),
            stage: Stage::Asked,
            since: now,
            traced,
        };
        self.newest = Some(id.clone());
        self.paced_before = self.paced_by.replace(queue);
        self.in_hand.insert(id, hand);
        Ok(())
    }

    /// What was sent to in vain before goes alone, so that nothing else is cut off with it.
    fn may_join(&self, from: From, now: Instant) -> Result<(), Waiting> {
        let newest = self.newest.as_ref().and_then(|id| self.in_hand.get(id));
        let is_late = matches!(from, From::Late(_));
        let is_kept = newest.is_some_and(|hand| hand.is_alone()) || is_late && !self.in_hand.is_empty();
        if !is_kept {
            return Ok(());
        }
        match self.unanswered(now).min() {
            Some(until) => Err(Waiting::Answer { until }),
            None => Ok(()),
        }
    }

    /// The session's own rules: answers to earlier sends, retries, the gap.
    fn may_start(&self, pace: Pace, now: Instant) -> Result<(), Waiting> {
        if self.is_crowded(pace) {
            return Err(Waiting::Answer {
                until: now + ANSWER_WAIT,
            });
        }
        let unanswered = self.unanswered(now);
        let window = if pace.min().is_zero() { WINDOW } else { 1 };
        // No more are unanswered than are in hand, and counting them at each send would cost more than sending.
        let is_full = self.in_hand.len() >= window && unanswered.clone().count() >= window;
        if is_full || self.in_hand.len() >= IN_HAND_MAX {
            return Err(Waiting::Answer {
                until: unanswered.min().unwrap_or(now + ANSWER_WAIT),
            });
        }
        if let Some(until) = self.rate_limit.until(now) {
            return Err(Waiting::RateLimit { until });
        }
        if let Some(until) = self.trouble.until(now) {
            return Err(Waiting::Retry { until });
        }
        match self.pacer.start(pace).filter(|until| *until > now) {
            Some(until) => Err(Waiting::Pace { until }),
            None => Ok(()),
        }
    }

    /// Whether a send that has not left stands in the way, however long it takes. When it leaves is when its gap
    /// starts: a send with a MIN that was claimed behind one whose look-up hangs would leave right behind it.
    fn is_crowded(&self, pace: Pace) -> bool {
        let waits = |hand: &InHand| hand.stage != Stage::Left;
        if pace.min().is_zero() {
            // Behind one that has a MIN nothing is claimed until it leaves, so it is the newest.
            let newest = self.newest.as_ref().and_then(|id| self.in_hand.get(id));
            return newest.is_some_and(|hand| waits(hand) && !hand.pace.min().is_zero());
        }
        self.in_hand.values().any(waits)
    }

    /// Whether a send that is about to leave is not in hand any more.
    pub(super) fn has_given_up(&self, events: &[ConnectionEvent]) -> bool {
        let given_up = |event: &ConnectionEvent| {
            matches!(event, ConnectionEvent::MessagePrepared { id, .. }
                if !self.in_hand.contains_key(id))
        };
        events.iter().any(given_up)
    }

    /// The send is encrypted: with its keys go its id, its state and the gap behind it.
    pub(super) fn on_prepared(&mut self, cx: &mut Context, id: MessageId) {
        let (wall, now) = (cx.wall(), cx.now());
        let Some(hand) = self.in_hand.get_mut(&id) else {
            return;
        };
        hand.stage = Stage::Prepared;
        hand.traced.describe(|span| span.happened("encrypted"));
        self.changes += 1;
        hand.target.attempts = hand.target.attempts.saturating_add(1);
        if hand.target.attempts > 1 {
            meter::repeated();
        }
        if hand.from == From::Unknown {
            meter::looked_up(Answered::Found, now.saturating_duration_since(hand.since));
        }
        let claim = hand.claim;
        let held = claim.not_before.map(|at| at.saturating_duration_since(now));
        start_queue(cx, hand.queue);
        let write = &mut cx.recorder.write;
        // Whatever else holds, no frame leaves without its row.
        let stanza = hand.target.stanza.clone().unwrap_or_else(|| stanza_id(&id));
        let change = RecipientChange::sending(hand.queue, hand.target.seq, stanza, wall);
        let change = change.attempt(hand.target.attempts);
        write.recipients.push(change.to(hand.target.addressee.clone()));
        let next = wall + held.unwrap_or_default() + claim.gap;
        write.next_send_at = Some(next);
        cx.record.next_send_at = Some(next);
        // Without a gap there is nothing to be let go.
        let queue = Some(hand.queue);
        if !claim.gap.is_zero() && cx.record.paced_by != queue {
            (write.paced_by, cx.record.paced_by) = (queue, queue);
        }
        cx.recorder.after(After::Leaves(id));
    }

    /// A write is durable; answers what follows now. If a send in it is ready before its time, its step waits; the
    /// library commits one step at a time, so that no other can be behind it.
    pub(super) fn on_landed(&mut self, cx: &Context, after: Vec<After>) -> Vec<After> {
        let Some(until) = self.not_before(cx.now(), &after) else {
            return after;
        };
        let of_step = |after: &After| matches!(after, After::Leaves(_) | After::Step(_));
        let (held, now): (Vec<_>, Vec<_>) = after.into_iter().partition(of_step);
        self.held = Some((until, held));
        now
    }

    /// When what is durable now may leave: not before the time of the sends among it.
    fn not_before(&mut self, now: Instant, after: &[After]) -> Option<Instant> {
        let hands = after.iter().filter_map(|after| match after {
            After::Leaves(id) => self.in_hand.get(id),
            _ => None,
        });
        let mut until = None;
        for hand in hands {
            self.pacer.ready_after(now.saturating_duration_since(hand.since));
            until = until.max(hand.claim.not_before);
        }
        until.filter(|until| *until > now)
    }

    /// What was held until its time, which has come.
    pub(super) fn release(&mut self, now: Instant) -> Vec<After> {
        let released = self.held.take_if(|(until, _)| *until <= now);
        released.map_or_else(Vec::new, |(_, held)| held)
    }

    /// A queue is being deleted: the gap behind its last send holds nobody else, from the write of the deletion on.
    pub(super) fn on_deleting(&mut self, cx: &mut Context, queue: QueueId) {
        if self.paced_by != Some(queue) {
            return;
        }
        let (pace, now) = (cx.around.pace, cx.now());
        if let Some(due) = self.pacer.release(pace, &mut cx.rng) {
            let next = cx.wall() + due.saturating_duration_since(now);
            cx.recorder.write.next_send_at = Some(next);
            cx.record.next_send_at = Some(next);
        }
    }

    /// A claimed send came to nothing before anything left.
    fn unclaim(&mut self, claim: Claim) {
        if self.pacer.unclaim(claim) {
            self.paced_by = self.paced_before;
        }
    }

    /// The frame leaves now: the gap starts.
    pub(super) fn left(&mut self, id: &MessageId, now: Instant) {
        if let Some(hand) = self.in_hand.get_mut(id) {
            self.pacer.left(hand.claim, now);
            hand.stage = Stage::Left;
            hand.traced.describe(|span| span.happened("left"));
            self.changes += 1;
            hand.since = now;
        }
    }

    /// The server has it.
    pub(super) fn on_acked(&mut self, cx: &mut Context, link: &Link, id: &MessageId, chat: &Jid) {
        let Some(mut hand) = self.in_hand.remove(id) else {
            return acked_late(cx, id, chat);
        };
        let traced = std::mem::take(&mut hand.traced);
        trace::within(traced.context(), || hand.log_sent(cx, id));
        let now = cx.now();
        if hand.stage == Stage::Asked {
            // The answer to the try before: this one need not leave any more.
            self.unclaim(hand.claim);
            link.tell(Command::Cancel(id.clone()));
        }
        self.pacer.answered(hand.pace, now);
        self.rate_limit.went_through(now);
        self.trouble.went_through(now);
        meter::acked(now.saturating_duration_since(hand.since));
        start_queue(cx, hand.queue);
        // In a broadcast send.message:PROCESSING says the same, and there are many.
        if cx.queues.get(hand.queue).is_some_and(Queue::is_single) {
            let given = Some(&hand.target.number);
            trace::within(traced.context(), || server_has_it(cx, id, chat, given));
        }
        settle(cx, hand.queue, &hand.target, Outcome::Sent);
        traced.end();
    }

    /// Whether a message is in hand of which a receipt says as much as the server's answer, which may come behind it.
    pub(super) fn awaits_answer(&self, id: &MessageId) -> bool {
        let hand = self.in_hand.get(id);
        hand.is_some_and(|hand| hand.stage != Stage::Asked)
    }

    /// A send came to nothing, or nobody knows what it came to.
    pub(super) fn on_failed(&mut self, cx: &mut Context, id: &MessageId, reason: &SendError) {
        let Some(mut hand) = self.in_hand.remove(id) else {
            return;
        };
        trace::within(hand.traced.context(), || hand.log_failed(cx, id, reason));
        // One that is to be looked up first has not begun: its span is that of the next time.
        if matches!(reason, SendError::NeedsLookUp) {
            hand.target.trace = None;
        } else {
            hand.end_failed(reason);
        }
        if hand.stage == Stage::Asked {
            self.unclaim(hand.claim);
            self.give_turns_back(cx, &hand, reason);
        }
        if hand.stage != Stage::Asked {
            if let Some(silence) = hand.silence(cx, reason) {
                return outcome_unknown(cx, hand.queue, hand.lost(silence), silence);
            }
            // The server has answered: this attempt does not count.
            hand.target.attempts = hand.target.attempts.saturating_sub(1);
        }
        match reason {
            SendError::NotConnected | SendError::Cancelled | SendError::Unconfirmed => {
                meter::put_back(PutBack::Connection);
                cx.queues.give_back(hand.queue, hand.target);
            }
            SendError::NeedsLookUp => {
                meter::put_back(PutBack::LookUp);
                cx.queues.give_back_unknown(hand.queue, hand.target);
            }
            SendError::Renumbered { present } => {
                meter::put_back(PutBack::Renumbered);
                goes_by(cx, hand.queue, hand.target, present);
            }
            reason if is_of_new_contact(reason) => {
                meter::put_back(PutBack::NewContact);
                hold(cx, hand.queue, hand.target);
            }
            reason if is_too_fast(reason) => {
                meter::put_back(PutBack::RateLimit);
                self.slow_down(cx);
                cx.queues.give_back(hand.queue, hand.target);
            }
            reason if reason.is_retryable() && hand.target.tries < TRIES_MAX => {
                meter::put_back(PutBack::Trouble);
                self.trouble.begin(TROUBLE, cx.now());
                hand.target.tries += 1;
                // It may be the trouble of this one alone: the others go first.
                cx.queues.give_back_last(hand.queue, hand.target);
            }
            // This try came to nothing, and nobody knows of the one before.
            _ if hand.target.again => {
                let why = Failure::of_repeat(reason);
                settle(cx, hand.queue, &hand.target, Outcome::Unknown(why));
            }
            reason => {
                let failure = Failure::from(reason);
                if hand.stage != Stage::Asked {
                    tell_of(cx, &hand.target, MessageStatus::Error);
                }
                settle(cx, hand.queue, &hand.target, Outcome::Failed(failure));
            }
        }
    }

    /// What was found out from what is stored alone costs no turn: neither of the worker's cap, nor to look numbers up.
    fn give_turns_back(&mut self, cx: &mut Context, hand: &InHand, reason: &SendError) {
        if !matches!(reason, SendError::NeedsLookUp | SendError::NewContact) {
            return;
        }
        self.cap.give_back();
        if hand.from == From::Unknown {
            cx.give_back_look_up();
        }
    }

    /// The server says that it goes too fast: the session pauses, for longer each time, and nobody fails for it.
    fn slow_down(&mut self, cx: &mut Context) {
        if let Some(pause) = self.rate_limit.begin(cx.around.rate_limit, cx.now()) {
            meter::rate_limited();
            let until = cx.wall() + pause;
            cx.recorder.write.session_row().rate_limited_until = Some(until);
        }
    }

    /// The connection is gone, and with it all answers.
    pub(super) fn on_disconnected(&mut self, cx: &mut Context) {
        let mut open: Vec<_> = self.in_hand.drain().map(|(_, hand)| hand).collect();
        // The last of a queue goes back first, so that the first is next again.
        open.sort_by_key(|hand| std::cmp::Reverse((hand.queue, hand.target.seq)));
        for hand in open {
            give_up(cx, hand);
        }
    }

    /// Gives back what a draining queue has in hand for longer than an answer may take: it goes out again under its id
    /// when the queue goes on. Answers when to look again.
    pub(super) fn drain(&mut self, cx: &mut Context, link: &Link) -> Option<Instant> {
        let now = cx.now();
        let of_draining = |hand: &&InHand| cx.queues.is_draining(hand.queue);
        let overdue: Vec<_> = self
            .in_hand
            .iter()
            .filter(|(_, hand)| of_draining(hand) && hand.since + ANSWER_WAIT <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in overdue {
            if let Some(hand) = self.in_hand.remove(&id) {
                link.tell(Command::Cancel(id));
                // What of it is not stored is refused if its step still comes.
                give_up(cx, hand);
            }
        }
        let open = self
            .in_hand
            .values()
            .filter(|hand| cx.queues.is_draining(hand.queue));
        open.map(|hand| hand.since + ANSWER_WAIT).min()
    }
}

fn new_id(cx: &mut Context) -> MessageId {
    let seconds = u64::try_from(cx.wall().unix_timestamp()).unwrap_or_default();
    let owner = cx.record.owner.as_ref().map_or("", |owner| owner.jid.as_str());
    let user = owner.split('@').next().unwrap_or_default();
    MessageId::generate(seconds, user, &mut cx.rng)
}

fn ask(cx: &Context, queue: QueueId, id: &MessageId, to: (&Target, From), link: &Link) -> bool {
    let Some(queue) = cx.queues.get(queue) else {
        return false;
    };
    let own = to.0.variables.as_ref();
    let own = own.map(|variables| queue.content.filled(variables));
    let outgoing = Outgoing {
        id: id.clone(),
        to: match (to.1, to.0.addressee.as_ref().unwrap_or(&to.0.number)) {
            (From::Known | From::Late(_), number) => known_recipient(number),
            (From::Unknown, number) => recipient(number),
        },
        message: content::render(&Rendering {
            content: own.as_ref().unwrap_or(&queue.content),
            upload: queue.upload().map(AsRef::as_ref),
            preview: queue.preview(),
            vote: queue.vote(),
            chat: &to.0.number,
            own: cx.record.owner.as_ref().map(|owner| owner.jid.as_str()),
            at: queue.accepted_at,
        }),
    };
    let outgoing = Box::new(outgoing);
    link.tell(match cx.held() {
        Some(_) => Command::SendToKnown(outgoing),
        None => Command::Send(outgoing),
    })
}

/// No answer to it will come any more.
fn give_up(cx: &mut Context, mut hand: InHand) {
    hand.end_failed("no answer came");
    match hand.stage {
        // Nothing of it is stored.
        Stage::Asked => cx.queues.give_back(hand.queue, hand.target),
        Stage::Prepared | Stage::Left => {
            let silence = hand
                .silence(cx, &SendError::Unconfirmed)
                .unwrap_or(Silence::CutOff);
            outcome_unknown(cx, hand.queue, hand.lost(silence), silence);
        }
    }
}

/// What is left until a stored time; never more than the longest gap there is.
fn left(at: OffsetDateTime, wall: OffsetDateTime) -> Duration {
    let left = Duration::try_from(at - wall).unwrap_or_default();
    left.min(Duration::from_secs_f64(shared::job::DELAY_MAX_SECONDS))
}

/// Sends of a session without an answer yet, when its pace allows them to overlap (MIN is 0).
const WINDOW: usize = 240;
/// Sends of a session that nobody answers, before no more start.
const IN_HAND_MAX: usize = 256;
/// How long the next send waits for the answer to the last.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
