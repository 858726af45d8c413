//! The jobs of one shard, on their way from the broker to their sessions.
//!
//! Each session has a backlog: its jobs keep their order, and no session's wait for another's. Sends are stored first,
//! small ones of all sessions together: as many as come while the transaction before is under way. A large one has a
//! transaction of its own. Nothing waits in the shard's loop: what the database must answer comes back as [`Done`].
//!
//! A delivery stays unacknowledged until its job is stored and its session has settled it. What a lost session leaves
//! comes back here, to its old place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use rand::rngs::StdRng;
use shared::broker::Delivery;
use shared::clock::Clock;
use shared::id::{JobId, SessionId, StanzaIds, Token};
use shared::metrics::labels::JobLoss;
use shared::metrics::list;
use shared::store::StoreError;
use shared::store::queues::accepting::{self, Acceptance, Offer};
use shared::store::sessions::{self, SessionRecord};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use super::backlog::{Backlog, Size};
use super::stray::Strays;
use super::supervisor::Supervisor;
use super::worker::Worker;
use crate::job::outcome::{self, JobOutcome};
use crate::job::pending::{Held, PendingJob, Unread};
use crate::job::settlement::{Returned, Settlement};
use crate::lease::{Fenced, Lease};
use crate::session::actor::Mail;

/// Takes in the jobs of one shard.
pub(crate) struct Intake {
    settlement: Arc<Settlement>,
    strays: Strays,
    worker: Worker,
    lease: Lease,
    backlogs: HashMap<Token, Backlog>,
    /// Small sends for the next transaction, in the order they came in.
    gathered: Vec<Offered>,
    /// A transaction of gathered sends is under way.
    is_storing: bool,
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
    returned: mpsc::Receiver<Returned>,
    /// To be put aside, in this order, when those before are.
    aside: Vec<Aside>,
    is_putting_aside: bool,
    held: Held,
    rng: StdRng,
}

/// What the database answered, or a session left.
pub(crate) enum Done {
    Found(Token, Option<Box<SessionRecord>>),
    Stored(Stored),
    /// This comes back from a session.
    Returned(Box<Returned>),
    PutAside,
    Fenced,
}

/// What became of sends of one size, in their order.
pub(crate) struct Stored {
    sends: Vec<Offered>,
    accepted: Vec<Result<Acceptance, String>>,
    size: Size,
}

/// A send that is to be stored for a session.
struct Offered {
    session: SessionId,
    job: PendingJob,
}

/// A delivery that goes elsewhere.
enum Aside {
    /// Put back for a moment, under a turn.
    Later(Delivery, String),
    /// Kept as a dead letter, for a reason.
    Dead(Delivery, String),
}

impl Intake {
    /// Nothing taken yet. A shard has at most so many jobs on their way.
    pub(crate) fn new(worker: &Worker, lease: Lease, on_their_way: u16) -> Self {
        let (publisher, leaving) = (worker.broker.publisher(), CancellationToken::new());
        let tracer = worker.around.tracer.clone();
        let (settlement, returned) = Settlement::new(publisher, leaving, on_their_way, tracer);
        Self {
            strays: Strays::new(worker, Arc::clone(&settlement)),
            settlement,
            worker: worker.clone(),
            lease,
            backlogs: HashMap::new(),
            gathered: Vec::new(),
            is_storing: false,
            under_way: FuturesUnordered::new(),
            returned,
            aside: Vec::new(),
            is_putting_aside: false,
            held: Held::default(),
            rng: worker.around.randomness.fork(),
        }
    }

    /// Whether the next delivery may be taken: the bodies that are held here have a bound.
    pub(crate) fn has_room(&self) -> bool {
        self.held.bytes() < HELD_BYTES_MAX
    }

    pub(crate) fn settlement(&self) -> &Arc<Settlement> {
        &self.settlement
    }

    /// Takes a delivery into the backlog of its session.
    pub(crate) fn take(&mut self, supervisor: &mut Supervisor, delivery: Delivery) {
        if let Some(token) = self.queue_up(Unread { delivery, losses: 0 }) {
            self.advance(supervisor, &token);
        }
        self.store_gathered();
        self.put_aside();
    }

    /// Puts a delivery into its backlog, at its place.
    fn queue_up(&mut self, unread: Unread) -> Option<Token> {
        let Ok(token) = Token::new(&unread.delivery.routing_key) else {
            let reason = "the routing key is not a token".to_owned();
            self.aside.push(Aside::Dead(unread.delivery, reason));
            return None;
        };
        let weight = self.held.add(unread.delivery.body.len());
        let ids = StanzaIds::fresh(&mut self.rng);
        let mut job = PendingJob::read(token.clone(), unread, ids, weight, &self.settlement);
        let around = &self.worker.around;
        job.keep_within(&around.limits, around.clock.wall());
        self.backlogs.entry(token.clone()).or_default().insert(job);
        Some(token)
    }

    /// A session was lost with this in its hands. It is not given back to the broker, which counts deliveries and
    /// would let the jobs behind it pass: it waits a moment at its place, and then the session is started again.
    fn on_lost(&mut self, lost: Unread) {
        if !lost.delivery.is_usable() {
            return;
        }
        if lost.losses >= LOSSES_MAX {
            // Perhaps it is what the session dies of: the queue's delivery limit ends this.
            list::JOBS_LOST.of(JobLoss::Returned).increment(1);
            tracing::error!(
                session.token = %lost.delivery.routing_key,
                job.id = lost.delivery.message_id.as_deref().and_then(|id| JobId::new(id).ok()).map(tracing::field::display),
                times = LOSSES_MAX,
                "a session ends with this job in its hands again and again; it goes back to its queue, and becomes a dead letter \
                 if that goes on"
            );
            self.settlement
                .spawn(async move { drop(lost.delivery.retry().await) });
            return;
        }
        list::JOBS_LOST.of(JobLoss::Again).increment(1);
        let Some(token) = self.queue_up(lost) else {
            return;
        };
        let backlog = self.backlogs.entry(token.clone()).or_default();
        if !std::mem::replace(&mut backlog.is_looking, true) {
            self.look_up(token, LOST_PAUSE);
        }
    }

    /// Waits for the next answer of the database; for ever if none is to come. Cancel safe.
    pub(crate) async fn next(&mut self) -> Done {
        let Self {
            under_way, returned, ..
        } = self;
        tokio::select! {
            Some(done) = under_way.next() => done,
            // The settlement has a sender: this never ends.
            Some(returned) = returned.recv() => Done::Returned(Box::new(returned)),
            else => std::future::pending().await,
        }
    }

    /// Goes on with what waited for an answer.
    ///
    /// # Errors
    /// [`Fenced`]: all deliveries go back to the queue.
    pub(crate) fn on_done(&mut self, supervisor: &mut Supervisor, done: Done) -> Result<(), Fenced> {
        match done {
            Done::Fenced => return Err(Fenced),
            Done::Found(token, found) => self.on_found(supervisor, &token, found),
            Done::Stored(stored) => self.on_stored(supervisor, stored),
            Done::Returned(returned) => match *returned {
                Returned::Lost(delivery, losses) => self.on_lost(Unread { delivery, losses }),
                Returned::PutBack(delivery, turn) => self.aside.push(Aside::Later(delivery, turn)),
            },
            Done::PutAside => self.is_putting_aside = false,
        }
        self.store_gathered();
        self.put_aside();
        Ok(())
    }

    /// Takes nothing more: waits for what is being stored and has the sessions get it. What waited behind goes back
    /// to the queue.
    pub(crate) async fn finish(&mut self, supervisor: &mut Supervisor) {
        self.gathered.clear();
        let backlogs = self.backlogs.values_mut();
        backlogs.for_each(|backlog| backlog.waiting.clear());
        while let Some(done) = self.under_way.next().await {
            if let Done::Stored(stored) = done {
                self.on_stored(supervisor, stored);
            }
        }
    }

    /// Goes as far with a backlog as it can go now.
    fn advance(&mut self, supervisor: &mut Supervisor, token: &Token) {
        while let Some(backlog) = self.backlogs.get_mut(token).filter(|backlog| !backlog.is_looking) {
            if !backlog.has_work() {
                if backlog.is_done() {
                    self.backlogs.remove(token);
                }
                return;
            }
            let Some((session, mailbox)) = supervisor.running(token) else {
                backlog.is_looking = true;
                return self.look_up(token.clone(), Duration::ZERO);
            };
            if let Some(job) = backlog.ready.pop_front() {
                match mailbox.try_send(Mail::Job(Box::new(job))) {
                    Ok(()) | Err(TrySendError::Closed(Mail::HandOver)) => {}
                    // It just ended: the next turn looks the session up, and starts it again.
                    Err(TrySendError::Closed(Mail::Job(job))) => backlog.ready.push_front(*job),
                    Err(TrySendError::Full(_)) => {
                        tracing::error!(session.id = %session, "a session does not take its jobs: they come again");
                    }
                }
            } else if let Some(job) = backlog.next_waiting() {
                self.pass_on(session, job);
            }
        }
    }

    fn pass_on(&mut self, session: SessionId, mut job: PendingJob) {
        let Some(backlog) = self.backlogs.get_mut(&job.token) else {
            return;
        };
        let Some(size) = job.send().map(Size::of) else {
            if let Some((delivery, reason)) = job.bury() {
                self.aside.push(Aside::Dead(delivery, reason));
            }
            return backlog.push_ready(job);
        };
        backlog.begin_storing(size);
        let offered = Offered { session, job };
        match size {
            Size::Large => self.store_jobs(vec![offered], size),
            Size::Small => self.gathered.push(offered),
        }
    }

    fn look_up(&mut self, token: Token, after: Duration) {
        let (around, lease) = (Arc::clone(&self.worker.around), self.lease.clone());
        self.under_way.push(Box::pin(async move {
            tokio::time::sleep(after).await;
            loop {
                match sessions::find(&around.store, &token).await {
                    Ok(found) => {
                        let here = found.filter(|record| record.shard == lease.shard());
                        return Done::Found(token, here.map(Box::new));
                    }
                    Err(error) if wait_out(&lease, around.clock, &error).await.is_err() => {
                        return Done::Fenced;
                    }
                    Err(_) => {}
                }
            }
        }));
    }

    fn on_found(&mut self, supervisor: &mut Supervisor, token: &Token, found: Option<Box<SessionRecord>>) {
        let Some(backlog) = self.backlogs.get_mut(token) else {
            return;
        };
        backlog.is_looking = false;
        match found {
            Some(record) => {
                if supervisor.running(token).is_none() {
                    supervisor.start(token.clone(), record.id);
                }
            }
            None => {
                for job in backlog.take_all() {
                    self.send_away(job);
                }
            }
        }
        self.advance(supervisor, token);
    }

    /// A job whose token is bound and has no session here: it was just deleted, or made anew for another shard.
    fn send_away(&self, job: PendingJob) {
        let Some(delivery) = job.into_delivery() else {
            return;
        };
        let (strays, from) = (self.strays.clone(), self.lease.shard());
        self.settlement
            .spawn(async move { strays.settle(delivery, Some(from)).await });
    }

    /// The session of a token is gone: its jobs need not come here any more.
    pub(crate) fn unbind(&self, token: Token) {
        let (broker, shard) = (self.worker.broker.clone(), self.lease.shard());
        self.settlement.spawn(async move {
            if let Err(error) = broker.unbind_token(&token, shard).await {
                // Its jobs still come here and are refused: unknown session.
                tracing::warn!(%error, session.token = %token, "could not unbind the token of a deleted session");
            }
        });
    }

    /// Stores what has gathered, unless such a transaction is under way.
    fn store_gathered(&mut self) {
        if self.is_storing || self.gathered.is_empty() {
            return;
        }
        self.is_storing = true;
        let most = self.gathered.len().min(ACCEPT_MAX);
        let sends = self.gathered.drain(..most).collect();
        self.store_jobs(sends, Size::Small);
    }

    fn store_jobs(&mut self, sends: Vec<Offered>, size: Size) {
        let (worker, lease) = (self.worker.clone(), self.lease.clone());
        self.under_way.push(Box::pin(async move {
            loop {
                let slot = worker.slots.take(size).await;
                let offers: Vec<Offer<'_>> = sends
                    .iter()
                    .filter_map(|send| send.job.offer(send.session))
                    .collect();
                let accepted = accepting::accept_all(&worker.around.store, lease.fence(), &offers).await;
                drop((offers, slot));
                match accepted {
                    Ok(accepted) => {
                        return Done::Stored(Stored {
                            sends,
                            accepted,
                            size,
                        });
                    }
                    Err(StoreError::Fenced) => return Done::Fenced,
                    Err(error) if wait_out(&lease, worker.around.clock, &error).await.is_err() => {
                        return Done::Fenced;
                    }
                    Err(_) => {}
                }
            }
        }));
    }

    /// Puts deliveries aside, in the order in which they came to it.
    fn put_aside(&mut self) {
        if self.is_putting_aside || self.aside.is_empty() {
            return;
        }
        self.is_putting_aside = true;
        // All are polled for the first time in their order, and that is when they are published.
        let all = join_all(std::mem::take(&mut self.aside).into_iter().map(Aside::put));
        self.under_way.push(Box::pin(async move {
            all.await;
            Done::PutAside
        }));
    }

    fn on_stored(&mut self, supervisor: &mut Supervisor, stored: Stored) {
        if stored.size == Size::Small {
            self.is_storing = false;
        }
        let (mut tokens, wall) = (HashSet::new(), self.worker.around.clock.wall());
        for (Offered { job, .. }, accepted) in stored.sends.into_iter().zip(stored.accepted) {
            let Some(backlog) = self.backlogs.get_mut(&job.token) else {
                continue;
            };
            backlog.end_storing(stored.size);
            tokens.insert(job.token.clone());
            match accepted {
                Ok(Acceptance::NoSession) => self.send_away(job),
                accepted => {
                    job.count_wait(wall);
                    if let Some(job) = job.stored(accepted) {
                        backlog.push_ready(job);
                    }
                }
            }
        }
        for token in tokens {
            self.advance(supervisor, &token);
        }
    }
}

impl Aside {
    /// Puts it there. What can't be put there now comes again.
    async fn put(self) {
        match self {
            Self::Later(delivery, turn) => drop(delivery.later(&turn).await),
            Self::Dead(delivery, reason) => {
                outcome::count_named(JobOutcome::Dead, delivery.kind.as_deref());
                if let Err(error) = delivery.dead_letter(&reason).await {
                    tracing::warn!(%error, "could not keep a dead letter; the job comes again");
                }
            }
        }
    }
}

/// Waits a moment for the database, unless the lease has run out meanwhile.
async fn wait_out(lease: &Lease, clock: Clock, error: &StoreError) -> Result<(), Fenced> {
    tracing::warn!(%error, shard.id = lease.shard().get(), "a job waits for the database");
    tokio::time::sleep(STORE_PAUSE).await;
    lease.check(clock.now())
}

/// Most sends of one transaction.
const ACCEPT_MAX: usize = 64;
/// Bytes of bodies on their way through one shard's intake; the next delivery is taken when there are fewer.
const HELD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How often a session may be lost with a job in its hands before the job's delivery counts as failed.
const LOSSES_MAX: u32 = 100;
/// Before a session that was lost is given what it left.
const LOST_PAUSE: Duration = Duration::from_secs(1);
/// Between two tries of the database.
const STORE_PAUSE: Duration = Duration::from_millis(500);
