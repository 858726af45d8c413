//! Which recipient a session sends to next.
//!
//! Owns the running queues of one session in memory: their pages of waiting recipients, their turns and their
//! phases. Knows neither the database nor WhatsApp: the actor brings pages and outcomes, and asks for the next.
//!
//! A queue with a single recipient overtakes the broadcasts; broadcasts take turns. Paused and ended queues
//! are not kept here.

use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::Arc;

use shared::content::Content;
use shared::event::QueueName;
use shared::id::QueueId;
use shared::job::{Duplicates, OnUnknown, Reference};
use shared::recipient::Number;
use shared::waiting::Standstill;
use time::OffsetDateTime;
use tokio::time::Instant;

use self::still::Still;
use super::accounts::{Accounts, Claim};
use super::attachment::Attachment;
use super::pacer::Pace;
use super::queue_trace::QueueTrace;
use super::target::Target;

/// Where a queue stands in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its recipients take turns.
    Running,
    /// Nothing of it starts any more; what is in hand is waited for, then this happens.
    Draining(Change),
    /// It has nothing in hand, and this is being written.
    Changing,
}

/// Which recipients one is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Those that may be sent to as they are, as far as is known.
    Known,
    /// Those whose numbers must be looked up first.
    Unknown,
    /// Those that were sent to in vain, and may be again by now.
    Late(Instant),
}

/// What becomes of a queue as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// All of it is settled: it is completed.
    Complete,
    /// It is kept as paused.
    Pause,
    Resume,
    /// It is kept as deleted.
    Delete,
    /// It is sent from the account of the session.
    Adopt,
}

#[derive(Debug)]
pub(crate) struct Queue {
    spec: Spec,
    phase: Phase,
    page: VecDeque<Target>,
    /// Those whose numbers must be looked up first; they go behind the others.
    unknown: VecDeque<Target>,
    /// Those that were sent to in vain, in the order of when they may be again; they go behind all others.
    late: VecDeque<(Option<Instant>, Target)>,
    read_to: Option<u32>,
    reading: Reading,
    in_hand: u32,
    /// Recipients of it wait in the store for the end of a restriction, or were passed over when it was read.
    is_held: bool,
    still: Still,
    /// By which accounts its recipients go, from when that matters.
    accounts: Option<Box<Accounts>>,
    attachment: Attachment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Wanted,
    UnderWay,
    Done,
}

/// What a queue is, and how much of it is done.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) id: QueueId,
    pub(crate) content: Arc<Content>,
    /// When it was accepted, which is the time of messages that name one.
    pub(crate) accepted_at: OffsetDateTime,
    pub(crate) pace: Pace,
    /// What to do about unknown outcomes.
    pub(crate) on_unknown: OnUnknown,
    /// What to do about recipients whose account is that of another.
    pub(crate) duplicates: Duplicates,
    /// What its caller calls it by.
    pub(crate) reference: Option<Reference>,
    /// How many recipients it has.
    pub(crate) total: u32,
    pub(crate) settled: u32,
    /// Its START event is out.
    pub(crate) started: bool,
    /// The phone number of the account that it belongs to, once it belongs to one.
    pub(crate) account: Option<String>,
    /// Why it stands still, as it is stored.
    pub(crate) waiting: Option<Standstill>,
    /// The trace that it belongs to.
    pub(crate) trace: QueueTrace,
}

impl Deref for Queue {
    type Target = Spec;

    fn deref(&self) -> &Spec {
        &self.spec
    }
}

impl Queue {
    /// A running queue whose recipients are not read yet.
    pub(crate) fn new(spec: Spec) -> Self {
        Self {
            attachment: Attachment::of(&spec.content),
            phase: if spec.settled >= spec.total {
                Phase::Draining(Change::Complete)
            } else {
                Phase::Running
            },
            spec,
            page: VecDeque::new(),
            unknown: VecDeque::new(),
            late: VecDeque::new(),
            read_to: None,
            reading: Reading::Wanted,
            in_hand: 0,
            is_held: false,
            still: Still::default(),
            accounts: None,
        }
    }

    /// How its events name it.
    pub(crate) fn name(&self) -> QueueName {
        QueueName {
            id: self.id,
            reference: self.reference.clone(),
        }
    }

    /// Whether it overtakes broadcasts.
    pub(crate) fn is_single(&self) -> bool {
        self.total == 1
    }

    /// Whether its recipients take turns.
    pub(crate) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    fn drained(&self) -> Option<Change> {
        match self.phase {
            Phase::Draining(change) if self.in_hand == 0 => Some(change),
            _ => None,
        }
    }

    fn is_ready(&self, from: From) -> bool {
        let has_room = self.late.len() < LATE_MAX;
        let is_there = match from {
            From::Known => has_room && !self.page.is_empty(),
            From::Unknown => has_room && !self.unknown.is_empty(),
            From::Late(now) => self.late.front().is_some_and(|(at, _)| *at <= Some(now)),
        };
        self.phase == Phase::Running && is_there && self.attachment.is_at_hand()
    }

    /// Whether all that is left of it waits in the store.
    fn is_exhausted(&self) -> bool {
        let is_empty = self.page.is_empty()
            && self.unknown.is_empty()
            && self.late.is_empty()
            && self.in_hand == 0
            && self.reading == Reading::Done;
        self.is_held && is_empty && self.phase == Phase::Running
    }

    fn wants_page(&self) -> bool {
        let has_room = self.page.len() <= PAGE / 2 && self.unknown.len() < PAGE && self.late.len() < LATE_MAX;
        self.phase == Phase::Running && self.reading == Reading::Wanted && has_room
    }
}

/// The running queues of one session.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    all: HashMap<QueueId, Queue>,
    singles: Turns,
    bulk: Turns,
    /// Those of which all that is left waits in the store.
    exhausted: Vec<QueueId>,
    /// Those whose messages carry a file.
    with_files: Vec<QueueId>,
    /// How often any of them moved.
    moves: u64,
}

/// The order of the queues of one kind.
#[derive(Debug, Default)]
struct Turns {
    ids: VecDeque<QueueId>,
    /// There are more of them in the store than there was room for.
    more_in_store: bool,
}

impl Queues {
    /// Takes a queue in. Answers false, and remembers that the store holds more, when [`QUEUES_MAX`] of its
    /// kind are in memory. A queue that is here already stays as it is.
    pub(crate) fn insert(&mut self, queue: Queue) -> bool {
        if self.all.contains_key(&queue.id) {
            return true;
        }
        let turns = self.turns(queue.total);
        if turns.ids.len() >= QUEUES_MAX {
            turns.more_in_store = true;
            return false;
        }
        turns.ids.push_back(queue.id);
        if !matches!(queue.attachment, Attachment::None) {
            self.with_files.push(queue.id);
        }
        self.all.insert(queue.id, queue);
        self.moves += 1;
        true
    }

    /// Whether queues wait in the store for which there is room now. Asking clears it.
    pub(crate) fn take_room(&mut self) -> bool {
        let mut room = false;
        for turns in [&mut self.singles, &mut self.bulk] {
            if turns.more_in_store && turns.ids.len() <= QUEUES_MAX / 2 {
                turns.more_in_store = false;
                room = true;
            }
        }
        room
    }

    /// The store holds a queue of so many recipients that is not here.
    pub(crate) fn more_in_store(&mut self, total: u32) {
        self.turns(total).more_in_store = true;
    }

    /// The store holds queues that are not here, and nobody knows of what kind.
    pub(crate) fn all_in_store(&mut self) {
        (self.singles.more_in_store, self.bulk.more_in_store) = (true, true);
    }

    fn turns(&mut self, total: u32) -> &mut Turns {
        match total {
            1 => &mut self.singles,
            _ => &mut self.bulk,
        }
    }

    pub(crate) fn get(&self, id: QueueId) -> Option<&Queue> {
        self.all.get(&id)
    }

    /// Whether there is no queue.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Lets a queue go (it ended, or is kept as paused or deleted).
    pub(crate) fn remove(&mut self, id: QueueId) {
        let Some(queue) = self.all.remove(&id) else { return };
        self.turns(queue.total).ids.retain(|other| *other != id);
        self.with_files.retain(|other| *other != id);
    }

    /// Whose turn it is, and how fast it may go.
    pub(crate) fn peek(&self, from: From) -> Option<(QueueId, Pace)> {
        self.turn(from).map(|queue| (queue.id, queue.pace))
    }

    /// Takes the recipient whose turn it is. It is in hand until [`Queues::settle`] or [`Queues::give_back`].
    pub(crate) fn take(&mut self, from: From) -> Option<(QueueId, Target)> {
        let id = self.turn(from)?.id;
        let queue = self.all.get_mut(&id)?;
        let target = match from {
            From::Known => queue.page.pop_front()?,
            From::Unknown => queue.unknown.pop_front()?,
            From::Late(_) => queue.late.pop_front()?.1,
        };
        queue.in_hand += 1;
        queue.still.note_move();
        self.moves += 1;
        if let Some(turn) = self.bulk.ids.iter().position(|other| *other == id) {
            self.bulk.ids.remove(turn);
            self.bulk.ids.push_back(id);
        }
        Some((id, target))
    }

    /// The next page to read, if one is wanted: of which queue, and behind which place. It is under way
    /// from now on.
    pub(crate) fn want_page(&mut self) -> Option<(QueueId, Option<u32>)> {
        let id = self
            .singles
            .ids
            .iter()
            .chain(&self.bulk.ids)
            .find(|id| self.all[id].wants_page())
            .copied()?;
        let queue = self.all.get_mut(&id)?;
        queue.reading = Reading::UnderWay;
        Some((id, queue.read_to))
    }

    /// A page came: at most [`PAGE`] recipients in order of place. Fewer means that there are no more, but for those that
    /// were passed over because they wait for the end of a restriction.
    pub(crate) fn page(&mut self, id: QueueId, targets: Vec<Target>, passed_over: Option<u32>) {
        let Some(queue) = self.all.get_mut(&id) else {
            return;
        };
        queue.reading = if targets.len() < PAGE {
            Reading::Done
        } else {
            Reading::Wanted
        };
        queue.read_to = targets.last().map(|target| target.seq).or(queue.read_to);
        for target in targets {
            match target.is_late() {
                true => queue.put_late(None, target),
                false => queue.page.push_back(target),
            }
        }
        queue.is_held |= passed_over.is_some();
        self.note_exhausted(id);
    }

    /// The recipients of a queue that was just accepted, so that they need not be read back.
    pub(crate) fn page_at_hand(&mut self, id: QueueId, targets: Vec<Target>) {
        if self
            .all
            .get(&id)
            .is_some_and(|queue| queue.reading == Reading::Wanted && queue.read_to.is_none())
        {
            self.page(id, targets, None);
        }
    }

    /// A recipient in hand is settled; answers the queue. When it was the last, the queue drains to its end.
    pub(crate) fn settle(&mut self, id: QueueId) -> Option<&Queue> {
        let queue = self.all.get_mut(&id)?;
        queue.in_hand = queue.in_hand.saturating_sub(1);
        queue.still.note_move();
        self.moves += 1;
        queue.spec.settled += 1;
        if queue.settled >= queue.total {
            queue.phase = Phase::Draining(Change::Complete);
        }
        self.note_exhausted(id);
        self.get(id)
    }

    /// A recipient in hand goes by the account of its addressee, unless another does. It stays in hand. `None` if the queue is
    /// not here.
    pub(crate) fn claim(&mut self, id: QueueId, target: Target) -> Option<Claim> {
        let queue = self.all.get_mut(&id)?;
        if queue.duplicates == Duplicates::Allow {
            return Some(Claim::Free(target));
        }
        Some(queue.accounts.get_or_insert_default().claim(target))
    }

    /// By which accounts the recipients of a queue go; answers who waited for that.
    pub(crate) fn learn_accounts(&mut self, id: QueueId, known: Vec<(u32, Number)>) -> Vec<Target> {
        let queue = self.all.get_mut(&id);
        queue.map_or_else(Vec::new, |queue| {
            queue.accounts.get_or_insert_default().learn(known)
        })
    }

    /// A recipient in hand waits in the store for the end of a restriction.
    pub(crate) fn hold(&mut self, id: QueueId) {
        if let Some(queue) = self.all.get_mut(&id) {
            queue.in_hand = queue.in_hand.saturating_sub(1);
            queue.is_held = true;
            self.note_exhausted(id);
        }
    }

    fn note_exhausted(&mut self, id: QueueId) {
        if let Some(queue) = self.all.get_mut(&id).filter(|queue| queue.is_exhausted()) {
            queue.phase = Phase::Changing;
            self.exhausted.push(id);
        }
    }

    /// The queues of which all that is left waits in the store: they leave the memory now.
    pub(crate) fn take_exhausted(&mut self) -> Vec<QueueId> {
        std::mem::take(&mut self.exhausted)
    }

    /// A queue's START event is put out now, and it belongs to this account if to none yet; false if it was before.
    pub(crate) fn start(&mut self, id: QueueId, account: Option<&str>) -> bool {
        let Some(queue) = self.all.get_mut(&id).filter(|queue| !queue.started) else {
            return false;
        };
        queue.spec.started = true;
        if queue.account.is_none() {
            queue.spec.account = account.map(str::to_owned);
        }
        true
    }

    /// Those that run and belong to another account than this one.
    pub(crate) fn of_other_accounts(&self, account: &str) -> Vec<QueueId> {
        let is_other = |queue: &&Queue| queue.account.as_deref().is_some_and(|owner| owner != account);
        let running = self.all.values().filter(|queue| queue.is_running());
        running.filter(is_other).map(|queue| queue.id).collect()
    }

    /// The pace of a queue is this from its next gap on.
    pub(crate) fn set_pace(&mut self, id: QueueId, pace: Pace) {
        if let Some(queue) = self.all.get_mut(&id) {
            queue.spec.pace = pace;
        }
    }

    /// Nothing of a running queue starts any more: this happens when nothing of it is in hand.
    pub(crate) fn drain(&mut self, id: QueueId, change: Change) {
        if let Some(queue) = self.all.get_mut(&id).filter(|queue| queue.is_running()) {
            queue.phase = Phase::Draining(change);
        }
    }

    /// Whether a queue's end, or change, is being written.
    pub(crate) fn is_changing(&self, id: QueueId) -> bool {
        self.get(id).is_some_and(|queue| queue.phase == Phase::Changing)
    }

    /// A recipient in hand was not sent, or nobody knows: it is the next of its queue.
    pub(crate) fn give_back(&mut self, id: QueueId, target: Target) {
        if let Some(queue) = self.all.get_mut(&id) {
            queue.in_hand = queue.in_hand.saturating_sub(1);
            queue.page.push_front(target);
        }
    }

    /// A recipient in hand was not sent to: its number must be looked up first.
    pub(crate) fn give_back_unknown(&mut self, id: QueueId, target: Target) {
        if let Some(queue) = self.all.get_mut(&id) {
            queue.in_hand = queue.in_hand.saturating_sub(1);
            queue.unknown.push_back(target);
        }
    }

    /// Like [`Self::give_back`], but behind those that wait in memory.
    pub(crate) fn give_back_last(&mut self, id: QueueId, target: Target) {
        if let Some(queue) = self.all.get_mut(&id) {
            queue.in_hand = queue.in_hand.saturating_sub(1);
            queue.page.push_back(target);
        }
    }

    pub(crate) fn is_draining(&self, id: QueueId) -> bool {
        self.all
            .get(&id)
            .is_some_and(|queue| matches!(queue.phase, Phase::Draining(_)))
    }

    pub(crate) fn is_any_draining(&self) -> bool {
        self.all
            .values()
            .any(|queue| matches!(queue.phase, Phase::Draining(_)))
    }

    /// The queues that drain and have nothing in hand: what is to be written of each begins now.
    pub(crate) fn take_drained(&mut self) -> Vec<(QueueId, Change)> {
        let mut drained = Vec::new();
        for queue in self.all.values_mut() {
            if let Some(change) = queue.drained() {
                queue.phase = Phase::Changing;
                drained.push((queue.id, change));
            }
        }
        drained
    }

    /// Whether pages are being read, or are wanted.
    pub(crate) fn is_reading(&self) -> bool {
        self.all
            .values()
            .any(|queue| queue.is_running() && queue.reading != Reading::Done && queue.late.len() < LATE_MAX)
    }

    fn turn(&self, from: From) -> Option<&Queue> {
        self.singles
            .ids
            .iter()
            .chain(&self.bulk.ids)
            .map(|id| &self.all[id])
            .find(|queue| queue.is_ready(from))
    }
}

/// Recipients per page: the bound of the look-ahead of one queue is one page and a half.
pub(crate) const PAGE: usize = 256;
/// Recipients of one queue that wait for another attempt, before no others of it are sent to.
const LATE_MAX: usize = PAGE;
/// Running queues of one kind (singles, broadcasts) of one session in memory; more wait in the store.
pub(crate) const QUEUES_MAX: usize = 128;
/// Queues of one kind per read: those in memory may be among them, and the rest shows whether there are more.
pub(crate) const QUEUES_READ: u32 = 2 * QUEUES_MAX as u32;

mod files;
mod late;
pub(super) mod look;
mod still;
#[cfg(test)]
mod tests;
