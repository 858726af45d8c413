//! Commands on queues, and what becomes of queues as a whole.
//!
//! The commands of one queue are carried out one after the other, those of different queues side by side: a queue
//! that waits for an answer of WhatsApp holds up no command on another.
//!
//! Pause and delete first let the queue drain: what is in hand is answered or given back, and is durable. Only
//! then the change and its event are written, so that behind `paused.queue` nothing of the queue starts.
//! A change that is there already is done again without a trace; an illegal one is refused and changes nothing.

mod lines;

use rand::RngExt;
use rand::rngs::StdRng;
use shared::clock::unix_millis;
use shared::event::{self, Event, QueueAction, QueueData, QueueName};
use shared::id::QueueId;
use shared::job::{Delay, FailureCode, Job};
use shared::recipient::Number;
use shared::store::commit::QueueChange;
use shared::store::queues::{self as store, QueueRecord, QueueState};
use shared::store::recipients::{self, Lists};
use shared::trace::{self, TraceContext};
use tokio::time::Instant;

use self::lines::Lines;
use super::context::{Context, Fetched, sends_for};
use super::queues::Change;
use super::reader::Reader;
use super::recorder::After;
use super::traces::{Whole, end_queue};
use crate::job::outcome::JobOutcome;
use crate::job::pending::{PendingJob, Stage, done};

/// Commands that wait, and those that are being carried out.
#[derive(Debug, Default)]
pub(super) struct Commands {
    lines: Lines<Box<PendingJob>, Current>,
}

/// The command that is being carried out on a queue.
#[derive(Debug)]
struct Current {
    wanted: Wanted,
    /// Gone when its answer is on the way.
    job: Option<Box<PendingJob>>,
    /// The queue as stored, when it is not in memory.
    record: Option<QueueRecord>,
}

/// What a command wants of its queue.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Change(Change),
    /// Another gap between its sends. Nothing of it need drain for that.
    Pace(Delay),
}

impl Commands {
    /// Whether any command waits or is being carried out.
    pub(super) fn is_busy(&self) -> bool {
        !self.lines.is_empty()
    }

    /// When commands are to be put back.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lines.overdue_at()
    }

    /// A command on a queue: it waits for those before it on the same queue.
    pub(super) fn take(&mut self, cx: &mut Context, queue: QueueId, job: Box<PendingJob>) {
        let (turn, now) = (job.turn().map(str::to_owned), cx.now());
        let back = self.lines.arrive(queue, job, turn, now, || new_turn(&mut cx.rng));
        if let Some((job, turn)) = back {
            job.put_back(turn);
        }
    }

    /// Begins with the commands that nothing stands in the way of, and puts back what waits behind slow ones.
    pub(super) fn advance(&mut self, cx: &mut Context, reader: &Reader) {
        let now = cx.now();
        // While the session's queues are being read, nobody knows which of them are in memory.
        while let Some(id) = self
            .lines
            .next_ready(|id| reader.is_reading || cx.queues.is_changing(id))
        {
            if self.lines.begin(id, now, Current::new) {
                self.begin(cx, id);
            }
        }
        for (job, turn) in self.lines.overdue(now, || new_turn(&mut cx.rng)) {
            job.put_back(turn);
        }
    }

    fn begin(&mut self, cx: &mut Context, id: QueueId) {
        let Some(wanted) = self.lines.current(id).map(|current| current.wanted) else {
            return;
        };
        if cx.queues.get(id).is_none() {
            let (store, session) = (cx.around.store.clone(), cx.record.id);
            return cx.fetch(async move {
                let found = store::find(&store, session, id).await;
                Fetched::OfCommand(id, found.map(|queue| queue.map(Box::new)))
            });
        }
        match wanted {
            Wanted::Pace(delay) => self.pace(cx, id, delay),
            Wanted::Change(Change::Resume | Change::Adopt) => self.finish_unchanged(id),
            // One that is being completed goes on with that: the command is judged when it is written.
            Wanted::Change(change) => cx.queues.drain(id, change),
        }
    }

    /// The queue of the command, which is not in memory, as stored.
    pub(super) fn on_queue(&mut self, cx: &mut Context, id: QueueId, record: Option<Box<QueueRecord>>) {
        use Change::{Adopt, Complete, Delete, Pause, Resume};
        use QueueState::{Completed, Deleted, Paused, Queued, Running};
        let Some(record) = record else {
            let words = "no queue of this session has this id";
            return self.refuse(cx, id, FailureCode::UnknownQueue, words);
        };
        if record.id != id {
            // It was named by the identity of its job.
            let job = self.lines.finish(id).and_then(|current| current.job);
            return job.map_or((), |job| self.take(cx, record.id, job));
        }
        let Some(current) = self.lines.current(id) else {
            return;
        };
        let (wanted, state) = (current.wanted, record.state);
        let is_ours = sends_for(cx.account(), record.account.as_deref());
        current.record = Some(*record);
        let change = match wanted {
            Wanted::Change(change) => change,
            Wanted::Pace(delay) if !state.is_final() => return self.pace(cx, id, delay),
            // To be refused like any other.
            Wanted::Pace(_) => Change::Pause,
        };
        match (state, change) {
            (Paused, Pause) | (Deleted, Delete) | (Queued | Running, Resume) => self.finish_unchanged(id),
            (Paused, Resume | Delete) | (Queued | Running, Pause | Delete) => read_lists(cx, id, change),
            (Completed, _) => self.refuse(cx, id, FailureCode::Conflict, "the queue is completed"),
            (Deleted, _) => self.refuse(cx, id, FailureCode::Conflict, "the queue is deleted"),
            (_, Adopt) if cx.account().is_none() => {
                let words = "the session has no account to adopt it";
                self.refuse(cx, id, FailureCode::Conflict, words);
            }
            (_, Adopt) if is_ours => self.finish_unchanged(id),
            (_, Adopt) => adopt(cx, id),
            // No command completes a queue.
            (Queued | Running | Paused, Complete) => {}
        }
    }

    /// The queue goes at this pace from its next gap on, whether it is in memory or not.
    fn pace(&mut self, cx: &mut Context, id: QueueId, delay: Delay) {
        if let Some(pace) = cx.around.pace_of(delay) {
            cx.queues.set_pace(id, pace);
        }
        cx.recorder.write.queues.push(QueueChange::Pace(id, delay));
        if let Some(job) = self.lines.finish(id).and_then(|current| current.job) {
            cx.answer_when_durable(job, Some(id));
        }
    }

    /// What the event of a change lists is read: writes the change.
    pub(super) fn on_lists(&mut self, cx: &mut Context, id: QueueId, change: Change, lists: Lists) {
        let trace = self.end_span(cx, id, change);
        let jids = lists.numbers.iter().map(Number::jid).collect();
        let current = self.lines.current(id);
        let record = current.and_then(|current| current.record.as_ref());
        let (data, progress, reference) = match (cx.queues.get(id), record) {
            (Some(queue), _) => (
                QueueData::new(&queue.content, jids, lists.stanzas, queue.total),
                event::progress(queue.settled, queue.total),
                queue.reference.clone(),
            ),
            (None, Some(record)) => (
                QueueData::new(&record.content, jids, lists.stanzas, record.total),
                record.progress(),
                record.reference.clone(),
            ),
            (None, None) => return,
        };
        let data = data.found_at(&cx.record.token, id);
        let at = unix_millis(cx.wall());
        let (row, action) = match change {
            Change::Complete => (QueueChange::Complete(id), None),
            Change::Pause => (QueueChange::Pause(id), Some(QueueAction::Pause)),
            Change::Resume => (QueueChange::Resume(id), Some(QueueAction::Resume)),
            Change::Delete => (QueueChange::Delete(id), Some(QueueAction::Delete)),
            // It changes nothing that an event lists.
            Change::Adopt => return,
        };
        let name = QueueName { id, reference };
        let event = match action {
            Some(action) => Event::queue(action, name, progress, data, at),
            None => Event::send_completed(name, data, at),
        };
        cx.recorder.write.queues.push(row);
        trace::within(trace, || cx.recorder.event(event));
        if change != Change::Complete {
            let current = self.lines.current(id);
            if let Some(job) = current.and_then(|current| current.job.take()) {
                cx.answer_when_durable(job, Some(id));
            }
        }
        cx.recorder.after(match change {
            Change::Resume => After::Resumed(id),
            Change::Complete | Change::Pause | Change::Delete | Change::Adopt => After::Stopped(id),
        });
    }

    /// The trace in which a change of a queue is told. The queue's span ends with the queue.
    fn end_span(&mut self, cx: &Context, id: QueueId, change: Change) -> Option<TraceContext> {
        let record = self.lines.current(id).and_then(|current| current.record.as_ref());
        let whole = match (cx.queues.get(id), record) {
            (Some(queue), _) => Whole::from(queue),
            (None, Some(record)) => Whole::stored(record, &cx.around.tracer),
            (None, None) => return None,
        };
        if matches!(change, Change::Complete | Change::Delete) {
            end_queue(cx, id, change, &whole);
        }
        whole.trace.own
    }

    /// A queue is completed, paused or deleted, durably: it leaves the memory.
    pub(super) fn on_stopped(&mut self, cx: &mut Context, reader: &mut Reader, id: QueueId) {
        cx.queues.remove(id);
        reader.on_stopped(id);
        match self.lines.current(id) {
            None => {}
            Some(Current { job: None, .. }) => drop(self.lines.finish(id)),
            // It was completed while the command waited for it to drain: now it is judged by what is stored.
            Some(_) => self.begin(cx, id),
        }
    }

    /// A queue goes on, durably: its recipients take turns again.
    pub(super) fn on_resumed(&mut self, cx: &mut Context, id: QueueId) {
        if let Some(record) = self.lines.finish(id).and_then(|current| current.record) {
            cx.take_in(record);
        }
    }

    /// A queue belongs to the present account, durably: it is read with the others.
    pub(super) fn on_adopted(&mut self, cx: &mut Context, id: QueueId) {
        let total = self.lines.current(id).and_then(|current| current.record.as_ref());
        if let Some(total) = total.map(|record| record.total) {
            cx.queues.more_in_store(total);
        }
        self.finish_unchanged(id);
    }

    /// The command changes nothing: the queue is as it wants it.
    fn finish_unchanged(&mut self, id: QueueId) {
        if let Some(job) = self.lines.finish(id).and_then(|current| current.job) {
            job.count(JobOutcome::Done);
            job.finish(done(Some(id)));
        }
    }

    fn refuse(&mut self, cx: &mut Context, id: QueueId, code: FailureCode, message: &str) {
        if let Some(job) = self.lines.finish(id).and_then(|current| current.job) {
            cx.refuse(job, code, message);
        }
    }
}

/// The queue is given to the present account, beside the loop: nothing of it is in memory.
fn adopt(cx: &mut Context, queue: QueueId) {
    let (store, fence, session) = (cx.around.store.clone(), cx.lease.fence(), cx.record.id);
    cx.fetch(async move { Fetched::Adopted(queue, store::adopt(&store, fence, session, queue).await) });
}

/// Everything the queue had in hand is durable: reads what the event of its change lists.
pub(super) fn read_lists(cx: &mut Context, queue: QueueId, change: Change) {
    let store = cx.around.store.clone();
    cx.fetch(async move {
        let lists = recipients::lists(&store, queue, event::LIST_MAX).await;
        Fetched::Lists(queue, change, lists)
    });
}

impl Current {
    fn new(job: Box<PendingJob>) -> Self {
        let wanted = match &job.stage {
            Stage::Read(Job::Pace(pace)) => Wanted::Pace(pace.delay),
            Stage::Read(Job::Resume(_)) => Wanted::Change(Change::Resume),
            Stage::Read(Job::Delete(_)) => Wanted::Change(Change::Delete),
            Stage::Read(Job::Adopt(_)) => Wanted::Change(Change::Adopt),
            // Nothing but commands on queues is put into a line.
            _ => Wanted::Change(Change::Pause),
        };
        Self {
            wanted,
            job: Some(job),
            record: None,
        }
    }
}

/// A name for a turn that nobody else uses.
fn new_turn(rng: &mut StdRng) -> String {
    let id = uuid::Builder::from_random_bytes(rng.random()).into_uuid();
    id.simple().to_string()
}
