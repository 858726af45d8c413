//! The writes of one session: gathered while one commit is in flight, then committed as one.
//!
//! Owns the session's event sequence and the order of its writes. What must not happen before a write is
//! durable ([`After`]) waits here with it. A session has at most one commit in flight, so its writes are
//! durable in the order in which they were gathered.

use crate::shard::committer::Committer;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use shared::event::{Event, Instance};
use shared::id::{EventId, QueueId, SessionId, StanzaId, Token};
use shared::job::Answer;
use shared::store::Fence;
use shared::store::commit::{CommitError, Write};
use shared::store::outbox::OutboxEvent;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use whatsapp::store::StoreError;

use super::errand::Errand;
use super::queues::Then;

/// What follows when a write is durable.
#[derive(Debug)]
pub(crate) enum After {
    /// The connection's step goes on: its frames leave.
    Step(oneshot::Sender<Result<(), StoreError>>),
    /// The frame of this send leaves now.
    Leaves(StanzaId),
    /// A job is done.
    Answer(Box<Errand>, Answer),
    /// Everything that a draining queue had in hand is written.
    Drained(QueueId, Then),
    /// The queue's end, or rest, is written.
    Rested(QueueId),
    /// The queue goes on.
    Resumed(QueueId),
    /// All there is to say of the session is said: its rows go.
    Erase,
}

/// The writes of one session.
pub(crate) struct Gather {
    fence: Fence,
    session: SessionId,
    instance: Instance,
    sequence: i64,
    committer: Committer,
    write: Write,
    after: Vec<After>,
    flying: Option<BoxFuture<'static, Result<(), CommitError>>>,
    flying_after: Vec<After>,
}

impl Gather {
    /// Nothing gathered; the next event gets `sequence` plus one.
    pub(crate) fn new(
        (fence, session): (Fence, SessionId),
        token: Token,
        owner: Option<String>,
        sequence: i64,
        committer: Committer,
    ) -> Self {
        Self {
            fence,
            session,
            instance: Instance { owner, name: token },
            sequence,
            committer,
            write: Write::new(fence, session),
            after: Vec::new(),
            flying: None,
            flying_after: Vec::new(),
        }
    }

    /// The write that gathers.
    pub(crate) fn write(&mut self) -> &mut Write {
        &mut self.write
    }

    /// The account that events name from now on.
    pub(crate) fn set_owner(&mut self, jid: Option<String>) {
        self.instance.owner = jid;
    }

    /// Adds an event behind those gathered.
    pub(crate) fn event(&mut self, event: Event, at: OffsetDateTime) {
        self.event_as(EventId::now_v7(), event, at);
    }

    /// Adds an event under this id.
    pub(crate) fn event_as(&mut self, id: EventId, event: Event, at: OffsetDateTime) {
        self.sequence += 1;
        let envelope = event.envelope(self.instance.clone(), id, millis(at), self.sequence);
        self.write.events.push(OutboxEvent::from(&envelope));
        self.write.last_sequence = Some(self.sequence);
    }

    /// Adds what follows when the write that gathers now is durable.
    pub(crate) fn after(&mut self, after: After) {
        self.after.push(after);
    }

    /// Adds what follows when all that was gathered so far is durable. Gives it back if it is already.
    pub(crate) fn after_all(&mut self, after: After) -> Option<After> {
        if !self.write.is_empty() || !self.after.is_empty() {
            self.after.push(after);
        } else if self.flying.is_some() {
            self.flying_after.push(after);
        } else {
            return Some(after);
        }
        None
    }

    /// Whether everything gathered is durable.
    pub(crate) fn is_idle(&self) -> bool {
        self.flying.is_none() && self.write.is_empty() && self.after.is_empty()
    }

    /// Commits what has gathered, unless a commit is in flight.
    pub(crate) fn launch(&mut self) {
        if self.flying.is_some() || (self.write.is_empty() && self.after.is_empty()) {
            return;
        }
        let write = std::mem::replace(&mut self.write, Write::new(self.fence, self.session));
        std::mem::swap(&mut self.after, &mut self.flying_after);
        let committer = self.committer.clone();
        self.flying = Some(async move { committer.commit(write).await }.boxed());
    }

    /// Waits until the commit in flight is durable; for ever if there is none. Dropping the wait loses nothing.
    ///
    /// # Errors
    /// [`CommitError`]: what is in memory of the session must go.
    pub(crate) async fn landed(&mut self) -> Result<Vec<After>, CommitError> {
        let Some(flying) = &mut self.flying else {
            return std::future::pending().await;
        };
        let result = flying.await;
        self.flying = None;
        result.map(|()| std::mem::take(&mut self.flying_after))
    }
}

/// Milliseconds since 1970.
pub(crate) fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
