//! What is written of one session: gathered while one commit is in flight, then committed as one.
//!
//! Owns the session's event sequence and the order of its writes. What must not happen before a write is
//! durable ([`After`]) waits here with it. A session has at most one commit in flight, so its writes are
//! durable in the order in which they were gathered.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rand::rngs::StdRng;
use shared::clock::{Clock, unix_millis};
use shared::event::{Event, Instance};
use shared::id::{EventId, QueueId, SessionId};
use shared::job::Answer;
use shared::store::Fence;
use shared::store::commit::{CommitError, Write};
use shared::store::outbox::OutboxEvent;
use shared::store::sessions::SessionRecord;
use shared::trace;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use whatsapp::message_id::MessageId;
use whatsapp::store::StoreError;

use super::queues::Change;
use super::surroundings::Surroundings;
use crate::committer::Committer;
use crate::job::pending::PendingJob;

/// What follows when a write is durable.
#[derive(Debug)]
pub(crate) enum After {
    /// The connection's step goes on: its frames leave.
    Step(oneshot::Sender<Result<(), StoreError>>),
    /// The frame of this send leaves now.
    Leaves(MessageId),
    /// A job is done, or refused.
    Answer(Box<PendingJob>, Answer),
    /// Everything that a draining queue had in hand is written.
    Drained(QueueId, Change),
    /// The queue is completed, paused or deleted.
    Stopped(QueueId),
    Resumed(QueueId),
    /// All that is left of the queue, of so many recipients in all, waits in the store: for the end of this restriction,
    /// or to be read again.
    Held {
        queue: QueueId,
        total: u32,
        restriction: Option<u32>,
    },
    /// All there is to say of the session is said: its rows go.
    Erase,
}

/// The writes of one session.
pub(crate) struct Recorder {
    fence: Fence,
    session: SessionId,
    instance: Instance,
    sequence: i64,
    clock: Clock,
    rng: StdRng,
    committer: Committer,
    /// The write that gathers.
    pub(super) write: Write,
    after: Vec<After>,
    in_flight: Option<BoxFuture<'static, Result<(), CommitError>>>,
    after_flight: Vec<After>,
}

impl Recorder {
    /// Nothing gathered; events go on behind the last of the record.
    pub(super) fn new(around: &Surroundings, fence: Fence, record: &SessionRecord) -> Self {
        let owner = record.owner.as_ref().map(|owner| owner.jid.clone());
        Self {
            fence,
            session: record.id,
            instance: Instance {
                owner,
                name: record.token.clone(),
            },
            sequence: record.last_sequence,
            clock: around.clock,
            rng: around.randomness.fork(),
            committer: around.committer.clone(),
            write: Write::new(fence, record.id),
            after: Vec::new(),
            in_flight: None,
            after_flight: Vec::new(),
        }
    }

    /// The account that events name from now on.
    pub(super) fn set_owner(&mut self, jid: Option<String>) {
        self.instance.owner = jid;
    }

    /// Adds an event of now behind those gathered, as a part of the trace that is current.
    pub(super) fn event(&mut self, event: Event) {
        let now = self.clock.wall();
        let id = EventId::fresh(now, &mut self.rng);
        self.event_at(id, event, now);
    }

    /// Adds an event of now under this id.
    pub(super) fn event_as(&mut self, id: EventId, event: Event) {
        self.event_at(id, event, self.clock.wall());
    }

    fn event_at(&mut self, id: EventId, event: Event, at: OffsetDateTime) {
        self.sequence += 1;
        let envelope = event.envelope(self.instance.clone(), id, unix_millis(at), self.sequence);
        self.write.events.push(OutboxEvent {
            trace: trace::current(),
            ..OutboxEvent::from(&envelope)
        });
        self.write.last_sequence = Some(self.sequence);
    }

    /// Adds what follows when the write that gathers now is durable.
    pub(super) fn after(&mut self, after: After) {
        self.after.push(after);
    }

    /// Adds what follows when all that was gathered so far is durable. Gives it back if it is already.
    pub(super) fn after_all(&mut self, after: After) -> Option<After> {
        if !self.write.is_empty() || !self.after.is_empty() {
            self.after.push(after);
        } else if self.in_flight.is_some() {
            self.after_flight.push(after);
        } else {
            return Some(after);
        }
        None
    }

    /// Whether everything gathered is durable.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.write.is_empty() && self.after.is_empty()
    }

    /// Commits what has gathered, unless a commit is in flight.
    pub(super) fn launch(&mut self) {
        if self.in_flight.is_some() || (self.write.is_empty() && self.after.is_empty()) {
            return;
        }
        let write = std::mem::replace(&mut self.write, Write::new(self.fence, self.session));
        std::mem::swap(&mut self.after, &mut self.after_flight);
        let committer = self.committer.clone();
        self.in_flight = Some(async move { committer.commit(write).await }.boxed());
    }

    /// Waits until the commit in flight is durable; for ever if there is none. Dropping the wait loses nothing.
    ///
    /// # Errors
    /// [`CommitError`]: what is in memory of the session must go.
    pub(super) async fn landed(&mut self) -> Result<Vec<After>, CommitError> {
        let Some(commit) = &mut self.in_flight else {
            return std::future::pending().await;
        };
        let result = commit.await;
        self.in_flight = None;
        result.map(|()| std::mem::take(&mut self.after_flight))
    }
}
