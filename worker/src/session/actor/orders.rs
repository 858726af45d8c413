//! Commands on queues, and the ends and rests of queues.
//!
//! The commands of one queue are carried out one after the other, those of different queues side by side: a queue
//! that waits for an answer of WhatsApp holds up no command on another.
//!
//! Pause and delete first let the queue drain: what is in hand is answered or given back, and is durable. Only
//! then the change and its event are written, so that behind `paused.queue` nothing of the queue starts.
//! A change that is there already is done again without a trace; an illegal one is refused and changes nothing.

mod lines;

use shared::event::{self, Event, JobAccepted, QueueAction, QueueData};
use shared::id::{EventId, QueueId, StanzaId};
use shared::job::{Answer, FailureCode, Job};
use shared::recipient::Number;
use shared::store::StoreError;
use shared::store::commit::QueueChange;
use shared::store::queues::{QueueRecord, QueueState};
use tokio::time::Instant;
use uuid::Uuid;

use self::lines::Lines;
use super::super::errand::Errand;
use super::super::gather::{After, millis};
use super::super::mail::Refusal;
use super::super::meter::{self, JobOutcome};
use super::super::queues::{Phase, Then};
use super::{Actor, Fetched};

/// Commands that wait, and those that are being carried out.
#[derive(Debug, Default)]
pub(super) struct Orders {
    lines: Lines<Box<Errand>, Current>,
    /// Queues that came to their end while the store's were being read.
    ended: Vec<QueueId>,
}

/// The command that is being carried out on a queue.
#[derive(Debug)]
struct Current {
    action: QueueAction,
    /// Gone when its answer is on the way.
    errand: Option<Box<Errand>>,
    /// The queue as stored, when it is not in memory.
    record: Option<QueueRecord>,
}

impl Orders {
    /// Whether any command waits or is being carried out.
    pub(super) fn is_busy(&self) -> bool {
        !self.lines.is_empty()
    }

    /// When commands are to be put back.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lines.overdue_at()
    }

    /// Queues that ended while the store's were being read: what was read of them is old.
    pub(super) fn take_ended(&mut self) -> Vec<QueueId> {
        std::mem::take(&mut self.ended)
    }
}

/// What the event of a queue's end or rest lists, read back from the store.
pub(super) struct Rest {
    queue: QueueId,
    step: Step,
    lists: Result<(Vec<Number>, Vec<StanzaId>), StoreError>,
}

/// What is to be written of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Complete,
    Change(QueueAction),
}

impl From<Then> for Step {
    fn from(then: Then) -> Self {
        match then {
            Then::Complete => Self::Complete,
            Then::Pause => Self::Change(QueueAction::Pause),
            Then::Delete => Self::Change(QueueAction::Delete),
        }
    }
}

impl Actor {
    /// A command on a queue: it waits for those before it on the same queue.
    pub(super) fn order(&mut self, errand: Box<Errand>) {
        let Some((queue, _)) = command(&errand.job) else {
            return;
        };
        let turn = errand.turn().map(str::to_owned);
        let arrival = (errand, turn);
        if let Some((errand, turn)) = self.orders.lines.arrive(queue, arrival, Instant::now(), new_turn) {
            put_back(*errand, turn);
        }
    }

    /// Begins with the commands that nothing stands in the way of, and puts back what waits behind slow ones.
    pub(super) fn next_orders(&mut self, now: Instant) {
        while !self.reading_queues {
            let (queues, lines) = (&self.queues, &mut self.orders.lines);
            let rests = |queue: &super::Queue<_>| matches!(queue.phase, Phase::Resting(_));
            let Some(id) = lines.next_ready(|id| queues.get(id).is_some_and(rests)) else {
                break;
            };
            if lines.begin(id, now, Current::new) {
                self.begin_order(id);
            }
        }
        for (errand, turn) in self.orders.lines.overdue(now, new_turn) {
            put_back(*errand, turn);
        }
    }

    fn begin_order(&mut self, id: QueueId) {
        let Some(action) = self.orders.lines.current(id).map(|current| current.action) else {
            return;
        };
        match (self.queues.get_mut(id), action) {
            (Some(queue), QueueAction::Pause) if queue.phase == Phase::Running => {
                queue.phase = Phase::Draining(Then::Pause);
            }
            (Some(queue), QueueAction::Delete) if queue.phase == Phase::Running => {
                queue.phase = Phase::Draining(Then::Delete);
            }
            (Some(_), QueueAction::Resume) => self.order_done(id),
            // It is being completed: the order is judged when that is written.
            (Some(_), _) => {}
            (None, _) => {
                let (store, session) = (self.around.store.clone(), self.record.id);
                self.fetch(async move {
                    Fetched::Ordered(id, shared::store::queues::find(&store, session, id).await)
                });
            }
        }
    }

    /// The queue of the command, which is not in memory, as stored.
    pub(super) fn on_ordered(&mut self, id: QueueId, record: Option<QueueRecord>) {
        use QueueAction::{Delete, Pause, Resume};
        use QueueState::{Completed, Deleted, Paused, Queued, Running};
        let Some(record) = record else {
            let words = "no queue of this session has this id";
            return self.order_refused(id, FailureCode::UnknownQueue, words);
        };
        let Some(current) = self.orders.lines.current(id) else {
            return;
        };
        let (action, state) = (current.action, record.state);
        current.record = Some(record);
        match (state, action) {
            (Paused, Pause) | (Deleted, Delete) | (Queued | Running, Resume) => self.order_done(id),
            (Paused, Resume | Delete) | (Queued | Running, Pause | Delete) => {
                self.read_rest(id, Step::Change(action))
            }
            (Completed, _) => self.order_refused(id, FailureCode::Conflict, "the queue is completed"),
            (Deleted, _) => self.order_refused(id, FailureCode::Conflict, "the queue is deleted"),
        }
    }

    /// Everything the queue had in hand is durable.
    pub(super) fn write_rest(&mut self, queue: QueueId, then: Then) {
        self.read_rest(queue, then.into());
    }

    fn read_rest(&mut self, queue: QueueId, step: Step) {
        let store = self.around.store.clone();
        self.fetch(async move {
            let lists = shared::store::recipients::lists(&store, queue, event::LIST_MAX).await;
            Fetched::Rest(Box::new(Rest { queue, step, lists }))
        });
    }

    pub(super) fn on_rest(&mut self, rest: Rest) {
        let Rest {
            queue: id,
            step,
            lists,
        } = rest;
        let (numbers, stanzas) = match lists {
            Ok(lists) => lists,
            Err(error) => return self.lose_store(&error),
        };
        let jids = numbers.iter().map(Number::jid).collect();
        let of_order = self
            .orders
            .lines
            .current(id)
            .and_then(|current| current.record.as_ref());
        let (data, progress) = if let Some(queue) = self.queues.get(id) {
            let data = QueueData::new(&queue.content, jids, stanzas, queue.total);
            (data, event::progress(queue.settled, queue.total))
        } else if let Some(record) = of_order {
            (
                QueueData::new(&record.content, jids, stanzas, record.total),
                record.progress(),
            )
        } else {
            return;
        };
        let wall = self.wall();
        let (change, event) = match step {
            Step::Complete => (
                QueueChange::Complete(id),
                Event::send_completed(id, data, millis(wall)),
            ),
            Step::Change(action) => (
                change(action, id),
                Event::queue(action, id, progress, data, millis(wall)),
            ),
        };
        self.gather.write().queues.push(change);
        self.gather.event(event, wall);
        if let Step::Change(_) = step {
            self.answer_order(id);
        }
        let after = if step == Step::Change(QueueAction::Resume) {
            After::Resumed(id)
        } else {
            After::Rested(id)
        };
        self.gather.after(after);
    }

    /// A queue's end or rest is durable: it leaves the memory.
    pub(super) fn rested(&mut self, id: QueueId) {
        self.queues.remove(id);
        if self.reading_queues {
            self.orders.ended.push(id);
        }
        match self.orders.lines.current(id) {
            None => {}
            Some(Current { errand: None, .. }) => drop(self.orders.lines.finish(id)),
            // It was completed while the command waited for it to drain: now it is judged by what is stored.
            Some(_) => self.begin_order(id),
        }
    }

    /// A queue goes on, durably: its recipients take turns again.
    pub(super) fn resumed(&mut self, id: QueueId) {
        if let Some(record) = self.orders.lines.finish(id).and_then(|current| current.record) {
            let queue = self.queue(record);
            self.queues.insert(queue);
        }
    }

    fn answer_order(&mut self, id: QueueId) {
        if let Some(errand) = self
            .orders
            .lines
            .current(id)
            .and_then(|current| current.errand.take())
        {
            meter::job(errand.job.kind(), JobOutcome::Done);
            self.gather
                .after(After::Answer(errand, Answer::Done { queue_id: Some(id) }));
        }
    }

    /// The command changes nothing: the queue is as it wants it.
    fn order_done(&mut self, id: QueueId) {
        if let Some(errand) = self.orders.lines.finish(id).and_then(|current| current.errand) {
            meter::job(errand.job.kind(), JobOutcome::Done);
            errand.finish(Answer::Done { queue_id: Some(id) });
        }
    }

    fn order_refused(&mut self, id: QueueId, code: FailureCode, message: &str) {
        if let Some(errand) = self.orders.lines.finish(id).and_then(|current| current.errand) {
            let refusal = Refusal::new(&errand, code, message);
            self.refuse(errand, refusal);
        }
    }

    /// Tells the world and the publisher that a job is refused.
    pub(super) fn refuse(&mut self, errand: Box<Errand>, refusal: Refusal) {
        let answer = refusal.answer();
        self.tell_rejected(refusal);
        self.gather.after(After::Answer(errand, answer));
    }

    /// What the job wants, or brought, goes with the session.
    pub(super) fn refuse_deleting(&mut self, errand: Box<Errand>) {
        let refusal = Refusal::new(&errand, FailureCode::Conflict, "the session is being deleted");
        self.refuse(errand, refusal);
    }

    /// Tells the world that a job is refused.
    pub(super) fn tell_rejected(&mut self, refusal: Refusal) {
        let (wall, kind) = (self.wall(), refusal.kind.clone());
        self.gather.event(refusal.into_event(), wall);
        meter::job_named(kind.as_deref(), JobOutcome::Rejected);
    }

    /// Tells the world and the publisher that a job is accepted; each time under the same id.
    pub(super) fn tell_accepted(&mut self, queue: &QueueRecord, errand: Box<Errand>) {
        let accepted = JobAccepted {
            job_id: queue.job.clone(),
            queue_id: queue.id,
            total: queue.total,
        };
        let at = u64::try_from(millis(queue.created_at)).unwrap_or_default();
        let (id, wall) = (EventId::of_queue(queue.id, at), self.wall());
        self.gather.event_as(id, Event::JobAccepted(accepted), wall);
        let answer = Answer::Done {
            queue_id: Some(queue.id),
        };
        self.gather.after(After::Answer(errand, answer));
    }
}

impl Current {
    fn new(errand: Box<Errand>) -> Self {
        // Nothing but commands on queues is put into a line.
        let action = command(&errand.job).map_or(QueueAction::Pause, |(_, action)| action);
        Self {
            action,
            errand: Some(errand),
            record: None,
        }
    }
}

fn put_back(errand: Errand, turn: String) {
    meter::job(errand.job.kind(), JobOutcome::PutBack);
    errand.put_back(turn);
}

/// A name for a turn that nobody else uses.
fn new_turn() -> String {
    Uuid::new_v4().simple().to_string()
}

fn command(job: &Job) -> Option<(QueueId, QueueAction)> {
    match job {
        Job::Pause(command) => Some((command.queue_id, QueueAction::Pause)),
        Job::Resume(command) => Some((command.queue_id, QueueAction::Resume)),
        Job::Delete(command) => Some((command.queue_id, QueueAction::Delete)),
        _ => None,
    }
}

fn change(action: QueueAction, id: QueueId) -> QueueChange {
    match action {
        QueueAction::Pause => QueueChange::Pause(id),
        QueueAction::Resume => QueueChange::Resume(id),
        QueueAction::Delete => QueueChange::Delete(id),
    }
}
