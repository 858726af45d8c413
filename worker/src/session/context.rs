//! What the parts of a session are lent for as long as they deal with one input.
//!
//! Owns what is nobody's alone: the session's record, its queues in memory, what is written of it, reads that are under
//! way, time and randomness, and how the session ends. Knows none of the parts.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use rand::rngs::StdRng;
use shared::clock::unix_millis;
use shared::event::{Event, JobAccepted, JobRejected};
use shared::id::{EventId, QueueId};
use shared::job::{self, Answer, FailureCode};
use shared::recipient::Number;
use shared::store::StoreError;
use shared::store::chats::ChatRecord;
use shared::store::chats::deletion::Forgotten;
use shared::store::chats::oldest::Oldest;
use shared::store::chats::people::ToldPerson;
use shared::store::commit::SendRejection;
use shared::store::polls::SealedVote;
use shared::store::previews::Preview;
use shared::store::queues::QueueRecord;
use shared::store::received::ReceivedMedia;
use shared::store::recipients::{Lists, Pending};
use shared::store::requests::Rejection;
use shared::store::schedules::Added;
use shared::store::sessions::{Owner, SessionRecord};
use shared::store::uploads::Upload;
use shared::trace;
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use whatsapp::client::UploadError;
use whatsapp::command::Presence;
use whatsapp::device::Device;

use super::adapter::events::Failure;
use super::adapter::presence::presence;
use super::look_up::LookUpTurns;
use super::queue_trace::QueueTrace;
use super::queues::{Change, Queue, Queues, Spec};
use super::recorder::{After, Recorder};
use super::surroundings::Surroundings;
use crate::job::outcome::{self, JobOutcome};
use crate::job::pending::{PendingJob, accepted_as, done, failed};
use crate::lease::Lease;
use crate::media::{FileError, Prepared};

/// How a session's actor ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything is written down; somebody else may take over.
    HandedOver,
    /// There is no such session, or not in this shard.
    Gone,
    /// The session does not exist any more.
    Deleted,
    /// The shard has another owner.
    Fenced,
    /// What is in memory can't be trusted any more: begin again from what is stored.
    Lost(String),
}

/// What was read from the database.
pub(crate) enum Fetched {
    Active(Result<Vec<QueueRecord>, StoreError>),
    /// Recipients of a queue; those that wait for the end of this restriction were passed over.
    Page(QueueId, Option<u32>, Result<Vec<Pending>, StoreError>),
    /// By which accounts the recipients of a queue go, with their places.
    Accounts(QueueId, Result<Vec<(u32, Number)>, StoreError>),
    Device(Result<Option<Box<Device>>, whatsapp::store::StoreError>),
    /// The queue of a command, which is not in memory.
    OfCommand(QueueId, Result<Option<Box<QueueRecord>>, StoreError>),
    /// What the event of a queue's change lists.
    Lists(QueueId, Change, Result<Lists, StoreError>),
    /// The queue belongs to the present account.
    Adopted(QueueId, Result<(), StoreError>),
    /// The jobs that delete the session's queues are published, or why some are not.
    Dropped(Result<(), String>),
    /// The session's rows are gone.
    Erased(Result<(), StoreError>),
    /// What became of the request to send a queue again to those who failed.
    Retried(Retried),
    /// The file of a queue has come a stage further.
    Transfer(QueueId, Transferred),
    /// The file that our phone is to upload again, if there is one.
    Received(u64, Result<Option<Box<ReceivedMedia>>, StoreError>),
    /// The oldest message of the chat of which our phone is asked for more.
    Oldest(u64, Result<Option<Oldest>, StoreError>),
    /// It is written down where that file is now.
    Moved(u64, Result<(), StoreError>),
    /// What became of a job on the session's schedules; nothing to tell of one that deletes.
    Scheduled(Result<Option<Added>, StoreError>),
    /// What events have told of people who wrote.
    Told(Result<Vec<ToldPerson>, StoreError>),
    /// A question was answered from the store.
    Answered,
    /// What is kept of the chat that a job is about.
    Chat(u64, Result<Option<Box<ChatRecord>>, StoreError>),
    /// How far a job has come that forgets.
    Forgetting(Result<Forgetting, StoreError>),
}

/// How far a file has come.
pub(crate) enum Transferred {
    /// It is not uploaded yet.
    Missing,
    /// It can't be had.
    NoFile(FileError),
    /// It is uploaded, and that is durable.
    Stored(Box<Upload>),
    /// This is shown of its page, and that is durable.
    Previewed(Option<Box<Preview>>),
    /// It is a vote, which is sealed, and that is durable.
    Voted(Box<SealedVote>),
    /// It is a vote in a poll that is not there, or that does not take it.
    NoVote(Box<Failure>),
    /// WhatsApp did not take it, and this is kept of it.
    NotUploaded(Option<Box<Prepared>>, UploadError),
    /// The database failed.
    Lost(StoreError),
}

/// How far a job has come that forgets.
pub(crate) enum Forgetting {
    /// The person has these names, and no queue waits for them.
    Names(Vec<String>),
    /// A queue that is not finished has the person among its recipients.
    Awaited(String),
    /// It is forgotten.
    Done(Forgotten),
}

/// What became of a request to send again.
pub(crate) enum Retried {
    /// It is a send now, which the broker has.
    Published,
    /// It was asked for before, and is this queue.
    Known(QueueId),
    Refused(FailureCode, &'static str),
    /// The database or the broker is away.
    Later(String),
}

/// What the parts of a session are lent.
pub(crate) struct Context {
    pub(super) around: Arc<Surroundings>,
    pub(super) lease: Lease,
    pub(super) record: Box<SessionRecord>,
    pub(super) recorder: Recorder,
    /// The running queues in memory.
    pub(super) queues: Queues,
    /// When an unknown number may be asked for next.
    pub(super) look_ups: LookUpTurns,
    pub(super) rng: StdRng,
    pub(super) fetches: FuturesUnordered<BoxFuture<'static, Fetched>>,
    /// How many of these are files on their way, which take far longer than the others.
    pub(super) transfers: usize,
    /// How the session ends, if it does.
    pub(super) exit: Option<Exit>,
    /// By when the session is to be handed over, if it is.
    pub(super) leaves_by: Option<Instant>,
    /// When the first of the queues that start later does. They stay in the store until then.
    pub(super) starts_at: Option<OffsetDateTime>,
}

impl Context {
    pub(super) fn new(around: Arc<Surroundings>, lease: Lease, record: SessionRecord) -> Self {
        Self {
            recorder: Recorder::new(&around, lease.fence(), &record),
            rng: around.randomness.fork(),
            look_ups: LookUpTurns::new(around.look_ups, record.look_ups, around.clock.wall()),
            around,
            lease,
            record: Box::new(record),
            queues: Queues::default(),
            fetches: FuturesUnordered::new(),
            transfers: 0,
            exit: None,
            leaves_by: None,
            starts_at: None,
        }
    }

    /// The clock that timers run on.
    pub(super) fn now(&self) -> Instant {
        self.around.clock.now()
    }

    /// The wall clock, for what is stored and told.
    pub(super) fn wall(&self) -> OffsetDateTime {
        self.around.clock.wall()
    }

    /// The number of the restriction that keeps the session from writing to new contacts.
    pub(super) fn held(&self) -> Option<u32> {
        self.record
            .restriction
            .as_ref()
            .map(|restriction| restriction.number)
    }

    /// The phone number of the account that the session is paired with.
    pub(super) fn account(&self) -> Option<&str> {
        self.record.owner.as_ref().map(Owner::number)
    }

    /// Takes in a queue as stored, unless it belongs to another account, or starts later: then that is noted.
    pub(super) fn take_in(&mut self, queue: QueueRecord) {
        if !sends_for(self.account(), queue.account.as_deref()) {
            return;
        }
        match queue.start_at.filter(|at| *at > self.wall()) {
            Some(at) => self.starts_at = Some(self.starts_at.map_or(at, |first| first.min(at))),
            None => {
                let queue = queue_of(queue, &self.around);
                self.queues.insert(queue);
            }
        }
    }

    /// The account may be another than before: its queues wait in the store from now on, and those of this one are read.
    pub(super) fn leave_other_accounts(&mut self) -> Vec<QueueId> {
        let Some(account) = self.account().map(str::to_owned) else {
            return Vec::new();
        };
        let others = self.queues.of_other_accounts(&account);
        for id in &others {
            self.queues.remove(*id);
        }
        self.starts_at = None;
        self.queues.all_in_store();
        others
    }

    /// Until when no unknown number may be asked for; `None` if one may be now.
    pub(super) fn look_up_until(&self) -> Option<Instant> {
        self.look_ups.until(self.now(), self.wall())
    }

    /// An unknown number is asked for.
    pub(super) fn take_look_up(&mut self) {
        self.take_look_ups(1);
    }

    /// Until when so many unknown numbers may not be asked for together; `None` if they may be now.
    pub(super) fn look_ups_until(&self, count: u32) -> Option<Instant> {
        self.look_ups.until_for(count, self.now(), self.wall())
    }

    /// So many unknown numbers are asked for together.
    pub(super) fn take_look_ups(&mut self, count: u32) {
        let day = self.look_ups.take_for(count, self.now(), self.wall());
        self.recorder.write.session_row().look_ups = Some(day);
    }

    /// The last one that was taken was not asked for.
    pub(super) fn give_back_look_up(&mut self) {
        self.recorder.write.session_row().look_ups = Some(self.look_ups.give_back());
    }

    /// Reads beside the loop; the answer comes back as an input.
    pub(super) fn fetch(&mut self, read: impl Future<Output = Fetched> + Send + 'static) {
        self.fetches.push(Box::pin(read));
    }

    /// Transfers the file of a queue beside the loop, on a task that ends with the session; what comes of it comes back as
    /// an input.
    pub(super) fn transfer(&mut self, id: QueueId, work: impl Future<Output = Transferred> + Send + 'static) {
        self.transfers += 1;
        self.fetch(async move {
            let done = AbortOnDropHandle::new(tokio::spawn(work)).await;
            let done = done.unwrap_or_else(|error| Transferred::NoFile(FileError::Later(error.to_string())));
            Fetched::Transfer(id, done)
        });
    }

    /// The session ends like this.
    pub(super) fn end(&mut self, exit: Exit) {
        self.exit = Some(exit);
    }

    /// The database failed: what is in memory can't be trusted.
    pub(super) fn lose(&mut self, error: &StoreError) {
        self.end(match error {
            StoreError::Fenced => Exit::Fenced,
            other => Exit::Lost(other.to_string()),
        });
    }

    /// Whether the session is handed over, so that nothing new begins.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaves_by.is_some()
    }

    /// The session is to be connected from now on.
    pub(super) fn want(&mut self) {
        if !std::mem::replace(&mut self.record.wanted, true) {
            self.recorder.write.session_row().wanted = Some(true);
        }
    }

    /// The session is not to be connected any more.
    pub(super) fn stop_wanting(&mut self) {
        if std::mem::replace(&mut self.record.wanted, false) {
            self.recorder.write.session_row().wanted = Some(false);
        }
    }

    /// What the session says of itself: what it is set to, else what the deployment says.
    pub(super) fn presence(&self) -> Presence {
        let own = self.record.presence.map(presence);
        own.or_else(|| self.around.versions.config().presence)
            .unwrap_or(Presence::Unavailable)
    }

    /// The session says this of itself from now on.
    pub(super) fn set_presence(&mut self, presence: Option<job::Presence>) {
        if std::mem::replace(&mut self.record.presence, presence) != presence {
            self.recorder.write.session_row().presence = Some(presence);
        }
    }

    /// The session does this with calls from now on.
    pub(super) fn set_calls(&mut self, calls: job::Calls) {
        if std::mem::replace(&mut self.record.calls, calls) != calls {
            self.recorder.write.session_row().calls = Some(calls);
        }
    }

    /// The job is done once what was written so far is durable.
    pub(super) fn answer_when_durable(&mut self, job: Box<PendingJob>, queue: Option<QueueId>) {
        job.count(JobOutcome::Done);
        self.recorder.after(After::Answer(job, done(queue)));
    }

    /// Tells the world and the publisher that a job is accepted; each time under the same id.
    pub(super) fn tell_accepted(&mut self, queue: &QueueRecord, mut job: Box<PendingJob>) {
        let reading = job.reading.take();
        let accepted = JobAccepted {
            job_id: queue.job.clone(),
            queue_id: queue.id,
            total: queue.total,
            raised_delay: queue.delay.and_then(|delay| self.around.limits.raised(delay)),
            reference: queue.reference.clone(),
            label: queue.label.clone(),
            reading: reading.clone(),
        };
        if accepted.raised_delay.is_some() {
            tracing::debug!(session.id = %queue.session, queue.id = %queue.id, "a job asked for a gap below MIN_FLOOR, which is kept");
        }
        let at = u64::try_from(unix_millis(queue.created_at)).unwrap_or_default();
        trace::within(job.trace(), || {
            let id = EventId::of_queue(queue.id, at);
            self.recorder.event_as(id, Event::JobAccepted(accepted));
        });
        self.recorder
            .after(After::Answer(job, accepted_as(queue.id, reading)));
    }

    pub(super) fn refuse(&mut self, job: Box<PendingJob>, code: FailureCode, message: &str) {
        let refusal = job.refusal(code, message);
        self.tell_refused(job, refusal);
    }

    /// What the job wants, or brought, goes with the session.
    pub(super) fn refuse_deleting(&mut self, job: Box<PendingJob>) {
        self.refuse(job, FailureCode::Conflict, "the session is being deleted");
    }

    /// Tells the world and the publisher that a job is refused.
    pub(super) fn tell_refused(&mut self, job: Box<PendingJob>, refusal: JobRejected) {
        outcome::count_named(JobOutcome::Rejected, refusal.kind.as_deref());
        let answer = failed(refusal.code, &refusal.message);
        self.recorder.write.rejections.extend(rejection(&refusal));
        trace::within(job.trace(), || self.recorder.event(Event::JobRejected(refusal)));
        self.recorder.after(After::Answer(job, answer));
    }
}

/// Whether an account sends a queue that belongs to this one: a queue of nobody goes with the first that sends for it.
pub(super) fn sends_for(account: Option<&str>, queue: Option<&str>) -> bool {
    account.is_none() || queue.is_none() || account == queue
}

/// A queue as stored, in memory.
fn queue_of(record: QueueRecord, around: &Surroundings) -> Queue {
    let own = record.delay.and_then(|delay| around.pace_of(delay));
    Queue::new(Spec {
        trace: QueueTrace::of(&record, &around.tracer),
        id: record.id,
        content: Arc::new(record.content),
        accepted_at: record.created_at,
        pace: own.unwrap_or(around.pace),
        on_unknown: record.on_unknown,
        duplicates: record.duplicates,
        reference: record.reference,
        total: record.total,
        settled: record.settled,
        started: record.started_at.is_some(),
        account: record.account,
        waiting: record.waiting,
    })
}

/// What is stored of a send that is refused, so that it is found under the ids that it asked for.
fn rejection(refusal: &JobRejected) -> Option<SendRejection> {
    Some(SendRejection {
        queue: refusal.queue_id?,
        job: refusal.job_id.clone()?,
        message: refusal.message_id.clone(),
        why: Rejection {
            code: refusal.code.as_str().to_owned(),
            field: refusal.field.clone(),
            reason: refusal.message.clone(),
        },
    })
}

/// The session is not there to be asked.
pub(super) fn not_connected() -> Answer {
    failed(FailureCode::NotConnected, "the session is not connected")
}
