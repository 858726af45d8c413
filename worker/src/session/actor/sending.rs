//! From the next recipient to its settlement.
//!
//! A send is asked of the connection; its step comes back `Prepared` and is committed with the stanza id, the
//! state `sending` and the next gap; then its frame leaves; the server's answer settles the recipient. What
//! has no answer when the connection ends is sent again under the same stanza id, or held if the job says so.

use std::time::Duration;

use shared::event::{self, Event, MessageStatus};
use shared::id::{QueueId, StanzaId};
use shared::job::OnUnknown;
use shared::recipient::{Number, NumberKind};
use shared::store::commit::{QueueChange, RecipientChange, RecipientKey};
use shared::store::recipients::RecipientState;
use tokio::time::Instant;
use whatsapp::command::{Command, Outgoing, Recipient};
use whatsapp::event::SendError;
use whatsapp::jid::Jid;
use whatsapp::message_id::MessageId;

use super::super::content;
use super::super::gather::{After, millis};
use super::super::inbound::{Peer, stanza};
use super::super::keys::recipient_server;
use super::super::meter;
use super::super::pacer::{Claim, Pace, Waiting};
use super::super::queues::{Phase, Queue, Target, Then};
use super::Actor;

/// A send whose outcome is open.
#[derive(Debug)]
pub(super) struct InHand {
    queue: QueueId,
    target: Target,
    pace: Pace,
    claim: Claim,
    stage: Stage,
    /// When it was asked for; when its frame left, once it has.
    since: Instant,
}

/// How far a send is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The connection was asked; nothing of it is stored.
    Asked,
    /// It is stored, or about to be: its frame may have left.
    Prepared,
    /// Its frame has left.
    Left,
}

/// How a recipient is settled.
enum Outcome {
    Sent,
    Unknown,
    Failed {
        status: u16,
        error: &'static str,
        words: String,
    },
}

impl Actor {
    /// Starts all sends that may start now; answers why the next one may not.
    pub(super) fn pump(&mut self, now: Instant) -> Waiting {
        loop {
            if let Err(waiting) = self.start_one(now) {
                return waiting;
            }
        }
    }

    fn start_one(&mut self, now: Instant) -> Result<(), Waiting> {
        if self.queues.is_empty() || self.is_leaving() {
            return Err(Waiting::Idle);
        }
        if !self.link.is_open() {
            return Err(Waiting::Connection);
        }
        let Some((_, pace)) = self.queues.peek() else {
            return Err(if self.queues.is_reading() {
                Waiting::Recipients
            } else {
                Waiting::Idle
            });
        };
        self.may_start(pace, now)?;
        self.take_cap()?;
        let Some((queue, mut target)) = self.queues.take() else {
            return Err(Waiting::Idle);
        };
        if target.again
            && self
                .queues
                .get(queue)
                .is_some_and(|q| q.on_unknown == OnUnknown::Hold)
        {
            self.settle(queue, &target, Outcome::Unknown);
            return Ok(());
        }
        let id = match target.stanza.clone() {
            Some(id) => id,
            None => self.new_stanza(),
        };
        target.stanza = Some(id.clone());
        if !self.ask(queue, &id, &target) {
            self.queues.give_back(queue, target);
            return Err(Waiting::Connection);
        }
        self.cap_granted = false;
        let claim = self.pacer.claim(pace, &mut self.rng, now);
        self.newest = Some(id.clone());
        self.in_hand.insert(
            id,
            InHand {
                queue,
                target,
                pace,
                claim,
                stage: Stage::Asked,
                since: now,
            },
        );
        Ok(())
    }

    /// The session's own rules: answers to earlier sends, retries, the gap.
    fn may_start(&self, pace: Pace, now: Instant) -> Result<(), Waiting> {
        if self.is_crowded(pace) {
            return Err(Waiting::Answer {
                until: now + ANSWER_WAIT,
            });
        }
        let unanswered = self
            .in_hand
            .values()
            .map(|hand| hand.since + ANSWER_WAIT)
            .filter(|until| *until > now);
        let window = if pace.min().is_zero() { WINDOW } else { 1 };
        // No more are unanswered than are in hand, and counting them at each send would cost more than sending.
        let is_full = self.in_hand.len() >= window && unanswered.clone().count() >= window;
        if is_full || self.in_hand.len() >= IN_HAND_MAX {
            return Err(Waiting::Answer {
                until: unanswered.min().unwrap_or(now + ANSWER_WAIT),
            });
        }
        if let Some(until) = self.retry_at.filter(|until| *until > now) {
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

    /// The worker's cap: at once if nobody waits, else behind the others.
    fn take_cap(&mut self) -> Result<(), Waiting> {
        if self.cap_granted {
            return Ok(());
        }
        if self.cap_turn.is_none() {
            if self.around.cap.try_acquire() {
                self.cap_granted = true;
                return Ok(());
            }
            let cap = std::sync::Arc::clone(&self.around.cap);
            self.cap_turn = Some(Box::pin(async move { cap.acquire().await }));
        }
        Err(Waiting::Cap)
    }

    fn new_stanza(&mut self) -> StanzaId {
        let seconds = u64::try_from(self.wall().unix_timestamp()).unwrap_or_default();
        let owner = self.record.owner.as_ref().map_or("", |owner| owner.jid.as_str());
        let user = owner.split('@').next().unwrap_or_default().to_owned();
        loop {
            // An id of the library's making is printable and short: the first try is good.
            if let Some(id) = stanza(&MessageId::generate(seconds, &user, &mut self.rng)) {
                return id;
            }
        }
    }

    fn ask(&mut self, queue: QueueId, id: &StanzaId, target: &Target) -> bool {
        let (Some(queue), Ok(id)) = (self.queues.get(queue), id.as_str().parse::<MessageId>()) else {
            return false;
        };
        let message = content::render(&queue.content);
        let outgoing = Outgoing {
            id,
            to: recipient(&target.number),
            message,
        };
        self.link.tell(Command::Send(Box::new(outgoing)))
    }

    /// The send is encrypted: with its keys go its id, its state and the gap behind it.
    pub(super) fn on_prepared(&mut self, id: StanzaId) {
        let wall = self.wall();
        let Some(hand) = self.in_hand.get_mut(&id) else {
            return;
        };
        hand.stage = Stage::Prepared;
        let (queue, seq, claim) = (hand.queue, hand.target.seq, hand.claim);
        let held = claim
            .not_before
            .map(|at| at.saturating_duration_since(Instant::now()));
        self.start_queue(queue);
        let write = self.gather.write();
        write
            .recipients
            .push(RecipientChange::sending(queue, seq, id.clone(), wall));
        write.next_send_at = Some(wall + held.unwrap_or_default() + claim.gap);
        self.gather.after(After::Leaves(id));
    }

    /// What is durable now, and when its frames may leave: not before the time of the sends among them.
    pub(super) fn held_until(&mut self, after: &[After]) -> Option<Instant> {
        let now = Instant::now();
        let ids = after.iter().filter_map(|after| match after {
            After::Leaves(id) => self.in_hand.get(id),
            _ => None,
        });
        let mut until = None;
        for hand in ids {
            self.pacer.ready_after(now.saturating_duration_since(hand.since));
            until = until.max(hand.claim.not_before);
        }
        until.filter(|until| *until > now)
    }

    /// The frame leaves now: the gap starts.
    pub(super) fn left(&mut self, id: &StanzaId) {
        let now = Instant::now();
        if let Some(hand) = self.in_hand.get_mut(id) {
            self.pacer.left(hand.claim, now);
            hand.stage = Stage::Left;
            hand.since = now;
        }
    }

    /// The server has it.
    pub(super) fn on_acked(&mut self, id: &StanzaId, chat: &Peer) {
        let Some(hand) = self.in_hand.remove(id) else {
            return;
        };
        let now = Instant::now();
        if hand.stage == Stage::Asked {
            // The answer to the try before: this one need not leave any more.
            self.pacer.unclaim(hand.claim);
            self.cancel(id);
        }
        self.pacer.answered(hand.pace, now);
        meter::acked(now.saturating_duration_since(hand.since));
        let mut header = chat.header(id.clone());
        if hand.target.number.kind() == NumberKind::Phone {
            header.phone_number = Some(hand.target.number.user().to_owned());
        }
        let wall = self.wall();
        self.start_queue(hand.queue);
        // In a broadcast send.message:PROCESSING says the same, and there are many.
        if self.queues.get(hand.queue).is_some_and(Queue::is_single) {
            let status = Event::message_status(MessageStatus::ServerAck, header, millis(wall));
            self.gather.event(status, wall);
        }
        self.settle(hand.queue, &hand.target, Outcome::Sent);
    }

    /// Tells the connection to forget a send that has not left.
    fn cancel(&self, id: &StanzaId) {
        if let Ok(id) = id.as_str().parse() {
            self.link.tell(Command::Cancel(id));
        }
    }

    /// A receipt of the recipient says as much as the server's answer, which may come behind it.
    pub(super) fn on_proof_of_arrival(&mut self, id: &StanzaId, chat: &Peer) {
        if self
            .in_hand
            .get(id)
            .is_some_and(|hand| hand.stage != Stage::Asked)
        {
            self.on_acked(id, chat);
        }
    }

    pub(super) fn on_failed(&mut self, id: &StanzaId, reason: &SendError) {
        let Some(mut hand) = self.in_hand.remove(id) else {
            return;
        };
        if hand.stage == Stage::Asked {
            self.pacer.unclaim(hand.claim);
        }
        match reason {
            SendError::NotConnected | SendError::Cancelled if hand.stage == Stage::Asked => {
                self.give_back(hand)
            }
            SendError::NotConnected | SendError::Cancelled | SendError::Unconfirmed => {
                self.outcome_unknown(hand);
            }
            reason if reason.is_retryable() && hand.target.tries < TRIES_MAX => {
                let wait = RETRY_BASE * 2_u32.pow(u32::from(hand.target.tries));
                self.retry_at = Some(Instant::now() + wait);
                hand.target.tries += 1;
                self.give_back(hand);
            }
            // This try came to nothing, and nobody knows of the one before.
            _ if hand.target.again => self.settle(hand.queue, &hand.target, Outcome::Unknown),
            reason => {
                let (status, error) = status(reason);
                meter::failed(error);
                self.settle(
                    hand.queue,
                    &hand.target,
                    Outcome::Failed {
                        status,
                        error,
                        words: words(reason),
                    },
                );
            }
        }
    }

    /// The connection is gone, and with it all answers.
    pub(super) fn on_disconnected(&mut self) {
        let mut open: Vec<_> = self.in_hand.drain().map(|(_, hand)| hand).collect();
        // The last of a queue goes back first, so that the first is next again.
        open.sort_by_key(|hand| std::cmp::Reverse((hand.queue, hand.target.seq)));
        for hand in open {
            match hand.stage {
                Stage::Asked => self.give_back(hand),
                Stage::Prepared | Stage::Left => self.outcome_unknown(hand),
            }
        }
    }

    fn outcome_unknown(&mut self, mut hand: InHand) {
        hand.target.again = true;
        match self.queues.get(hand.queue).map(|queue| queue.on_unknown) {
            Some(OnUnknown::Hold) => self.settle(hand.queue, &hand.target, Outcome::Unknown),
            _ => self.give_back(hand),
        }
    }

    fn give_back(&mut self, hand: InHand) {
        self.queues.give_back(hand.queue, hand.target);
    }

    /// A recipient is past sending: its row, its events, the queue's counters, all in one write.
    fn settle(&mut self, id: QueueId, target: &Target, outcome: Outcome) {
        let wall = self.wall();
        self.start_queue(id);
        let Some(queue) = self.queues.settle(id) else {
            return;
        };
        let progress = event::progress(queue.settled, queue.total);
        if queue.is_complete() {
            queue.phase = Phase::Draining(Then::Complete);
        }
        let key = RecipientKey::Seq(id, target.seq);
        let change = match &outcome {
            Outcome::Sent => RecipientChange::state(key, RecipientState::Sent, wall),
            Outcome::Unknown => RecipientChange::state(key, RecipientState::Unknown, wall),
            Outcome::Failed { status, words, .. } => {
                RecipientChange::failed(key, *status, words.clone(), wall)
            }
        };
        self.gather.write().recipients.push(change);
        let stanza = match outcome {
            Outcome::Failed { status, error, words } => {
                let failed = Event::send_error(id, target.number.jid(), status, error, words);
                self.gather.event(failed, wall);
                None
            }
            Outcome::Sent | Outcome::Unknown => target.stanza.clone(),
        };
        self.gather
            .event(Event::send_processing(id, stanza, progress, millis(wall)), wall);
    }

    /// send.message:START comes before every other event of its queue.
    fn start_queue(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(id).filter(|queue| !queue.started) else {
            return;
        };
        queue.started = true;
        let wall = self.wall();
        self.gather.write().queues.push(QueueChange::Start(id));
        self.gather.event(Event::send_start(id), wall);
    }

    /// Walks draining queues on. What is in hand for longer than an answer may take is given back: it goes out
    /// again under its id when the queue goes on. Answers when to look again.
    pub(super) fn drain(&mut self, now: Instant) -> Option<Instant> {
        if !self.queues.is_any_draining() {
            // Nearly always, and what is in hand is much to look through at each turn.
            return None;
        }
        let of_draining = |hand: &InHand| self.queues.is_draining(hand.queue);
        let overdue: Vec<_> = self
            .in_hand
            .iter()
            .filter(|(_, hand)| of_draining(hand) && hand.since + ANSWER_WAIT <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in overdue {
            if let Some(hand) = self.in_hand.remove(&id) {
                self.cancel(&id);
                match hand.stage {
                    // Nothing of it is stored, and its step is refused if it still comes.
                    Stage::Asked => self.give_back(hand),
                    Stage::Prepared | Stage::Left => self.outcome_unknown(hand),
                }
            }
        }
        for (id, then) in self.queues.drained() {
            if let Some(queue) = self.queues.get_mut(id) {
                queue.phase = Phase::Resting(then);
            }
            if self.gather.after_all(After::Drained(id, then)).is_some() {
                self.write_rest(id, then);
            }
        }
        let open = self
            .in_hand
            .values()
            .filter(|hand| self.queues.is_draining(hand.queue));
        open.map(|hand| hand.since + ANSWER_WAIT).min()
    }
}

fn recipient(number: &Number) -> Recipient {
    match number.kind() {
        NumberKind::Phone => Recipient::Phone(number.user().to_owned()),
        kind => Recipient::Jid(Jid::new(number.user(), recipient_server(kind))),
    }
}

/// A failure in the manner of HTTP.
fn status(reason: &SendError) -> (u16, &'static str) {
    match reason {
        SendError::NotOnWhatsApp => (404, "Not Found"),
        SendError::NoDevices => (410, "Gone"),
        SendError::Unsupported(_) => (400, "Bad Request"),
        SendError::Nack { code: 429 } => (429, "Too Many Requests"),
        SendError::Nack { .. } => (502, "Bad Gateway"),
        SendError::Query(_) | SendError::Unconfirmed => (504, "Gateway Timeout"),
        _ => (503, "Service Unavailable"),
    }
}

fn words(reason: &SendError) -> String {
    match reason {
        SendError::NotOnWhatsApp => "The number entered is not a valid whatsapp contact".to_owned(),
        other => other.to_string(),
    }
}

/// Sends of a session without an answer yet, when its pace allows them to overlap (MIN is 0).
const WINDOW: usize = 240;
/// Sends of a session that nobody answers, before no more start.
const IN_HAND_MAX: usize = 256;
/// How long the next send waits for the answer to the last.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// How often a send that fails for now is tried again.
const TRIES_MAX: u8 = 5;
/// The wait before the first of those, doubled with each.
const RETRY_BASE: Duration = Duration::from_secs(1);
