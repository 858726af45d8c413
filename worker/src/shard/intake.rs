//! The jobs of one shard, on their way from the broker to their sessions.
//!
//! Each session has a lane: its jobs keep their order, and no lane waits for another. Sends are stored first, small
//! ones of all lanes together: as many as come while the transaction before is under way. A large one has a
//! transaction of its own. Nothing waits in the shard's loop: what the database must answer comes back as [`Done`].
//!
//! A delivery stays unacknowledged until its job is stored and its session has settled it. What a lost session leaves
//! comes back here, to its old place.

mod lane;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::shard::lease::Lease;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use shared::broker::{Broker, Delivery};
use shared::id::{JobId, SessionId, Token};
use shared::job::Job;
use shared::store::queues::{self, Acceptance, Offer};
use shared::store::sessions::{self, SessionRecord};
use shared::store::{Store, StoreError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::lane::{Aside, Item, Lane, Offered, Weight, What, is_large, letter};
use super::stray::{Fenced, parse, stray};
use super::supervisor::Supervisor;
use crate::session::errand::{Back, Desk, Errand, Reply, Returned};
use crate::session::mail::{Mail, Refusal};

/// How many transactions that store jobs a worker has at a time, over all its shards: fewer than its pool has
/// connections, so that sessions read beside them.
#[derive(Debug)]
pub(crate) struct Doors {
    small: Semaphore,
    large: Semaphore,
}

impl Default for Doors {
    fn default() -> Self {
        Self {
            small: Semaphore::new(SMALL_AT_ONCE),
            large: Semaphore::new(LARGE_AT_ONCE),
        }
    }
}

/// Takes in the jobs of one shard.
pub(crate) struct Intake {
    pub(crate) desk: Arc<Desk>,
    pub(crate) broker: Broker,
    store: Store,
    lease: Lease,
    doors: Arc<Doors>,
    lanes: HashMap<Token, Lane>,
    /// Small sends for the next transaction, in the order they came in.
    gathered: Vec<Offered>,
    /// A transaction of gathered sends is under way.
    storing: bool,
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
    returned: mpsc::Receiver<Back>,
    /// To be put aside, in this order, when those before are.
    aside: Vec<Aside>,
    putting_aside: bool,
    held_bytes: Arc<AtomicUsize>,
}

/// What the database answered.
pub(crate) enum Done {
    /// The session of a token.
    Found(Token, Option<Box<SessionRecord>>),
    /// What became of sends.
    Stored(Stored),
    /// This comes back from a session.
    Back(Box<Back>),
    /// Deliveries are put aside.
    PutAside,
    /// The lease is over.
    Fenced,
}

pub(crate) struct Stored {
    sends: Vec<Offered>,
    accepted: Vec<Result<Acceptance, String>>,
    large: bool,
}

impl Intake {
    /// Nothing taken yet. A shard has at most so many jobs on their way.
    pub(crate) fn new(
        broker: Broker,
        store: Store,
        lease: Lease,
        doors: Arc<Doors>,
        on_their_way: u16,
    ) -> Self {
        let (sender, returned) = mpsc::channel(usize::from(on_their_way));
        let desk = Arc::new(Desk {
            publisher: broker.publisher(),
            tasks: TaskTracker::new(),
            returned: sender,
            leaving: CancellationToken::new(),
        });
        Self {
            desk,
            broker,
            store,
            lease,
            doors,
            lanes: HashMap::new(),
            gathered: Vec::new(),
            storing: false,
            under_way: FuturesUnordered::new(),
            returned,
            aside: Vec::new(),
            putting_aside: false,
            held_bytes: Arc::default(),
        }
    }

    /// Whether the next delivery may be taken: the bodies that are held here have a bound.
    pub(crate) fn has_room(&self) -> bool {
        self.held_bytes.load(Ordering::Relaxed) < HELD_BYTES_MAX
    }

    /// Takes a delivery into the lane of its session.
    pub(crate) fn take(&mut self, supervisor: &mut Supervisor, delivery: Delivery) {
        if let Some(token) = self.queue_up(Returned { delivery, times: 0 }) {
            self.advance(supervisor, &token);
        }
        self.store_gathered();
        self.put_aside();
    }

    /// Puts a delivery into its lane, at its place.
    fn queue_up(&mut self, returned: Returned) -> Option<Token> {
        let delivery = &returned.delivery;
        let Ok(token) = Token::new(&delivery.routing_key) else {
            let reason = "the routing key is not a token".to_owned();
            self.aside.push(Aside::Dead(returned.delivery, reason));
            return None;
        };
        let weight = self.weigh(delivery);
        let job_id = delivery.message_id.as_deref().and_then(|id| JobId::new(id).ok());
        let what = match parse(delivery) {
            Err(error) => {
                let refusal = Refusal::invalid(job_id, delivery.kind.clone(), error);
                What::Poison(returned.delivery, refusal)
            }
            Ok(job) => What::Job(Errand::new((job, job_id), returned, Arc::clone(&self.desk))),
        };
        let item = Item { what, weight };
        let waiting = &mut self.lanes.entry(token.clone()).or_default().waiting;
        let at = waiting.partition_point(|other| other.place() < item.place());
        waiting.insert(at, item);
        Some(token)
    }

    /// A session was lost with this in its hands. It is not given back to the broker, which counts deliveries and
    /// would let the jobs behind it pass: it waits a moment at its place, and then the session is started again.
    fn on_returned(&mut self, returned: Returned) {
        if !returned.delivery.is_usable() {
            return;
        }
        if returned.times >= RETURNS_MAX {
            // Perhaps it is what the session dies of: the queue's delivery limit ends this.
            self.desk
                .tasks
                .spawn(async move { drop(returned.delivery.retry().await) });
            return;
        }
        let Some(token) = self.queue_up(returned) else {
            return;
        };
        let lane = self.lanes.entry(token.clone()).or_default();
        if !std::mem::replace(&mut lane.looking, true) {
            self.look_up(token, RETURN_PAUSE);
        }
    }

    /// Waits for the next answer of the database; for ever if none is to come. Cancel safe.
    pub(crate) async fn next(&mut self) -> Done {
        let Self {
            under_way, returned, ..
        } = self;
        tokio::select! {
            Some(done) = under_way.next() => done,
            // The desk has a sender: this never ends.
            Some(back) = returned.recv() => Done::Back(Box::new(back)),
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
            Done::Back(back) => match *back {
                Back::Returned(returned) => self.on_returned(returned),
                Back::Later(delivery, turn) => self.aside.push(Aside::Later(delivery, turn)),
            },
            Done::PutAside => self.putting_aside = false,
        }
        self.store_gathered();
        self.put_aside();
        Ok(())
    }

    /// Takes nothing more: waits for what is being stored and has the sessions get it. What waited behind goes back
    /// to the queue.
    pub(crate) async fn finish(&mut self, supervisor: &mut Supervisor) {
        self.gathered.clear();
        for lane in self.lanes.values_mut() {
            lane.waiting.clear();
        }
        while let Some(done) = self.under_way.next().await {
            if let Done::Stored(stored) = done {
                self.on_stored(supervisor, stored);
            }
        }
    }

    fn weigh(&self, delivery: &Delivery) -> Weight {
        let bytes = delivery.body.len();
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        Weight {
            held: Arc::clone(&self.held_bytes),
            bytes,
        }
    }

    /// Goes as far with a lane as it can go now.
    fn advance(&mut self, supervisor: &mut Supervisor, token: &Token) {
        while let Some(lane) = self.lanes.get_mut(token).filter(|lane| !lane.looking) {
            if lane.letters.is_empty() && !lane.may_go_on() {
                if lane.is_done() {
                    self.lanes.remove(token);
                }
                return;
            }
            let Some((session, mail)) = supervisor.running(token) else {
                lane.looking = true;
                return self.look_up(token.clone(), Duration::ZERO);
            };
            if let Some(letter) = lane.letters.pop_front() {
                match mail.try_send(letter) {
                    Ok(()) => {}
                    // It just ended: the next turn looks the session up, and starts it again.
                    Err(TrySendError::Closed(letter)) => lane.letters.push_front(letter),
                    Err(TrySendError::Full(_)) => {
                        tracing::error!("a session does not take its mail: its jobs come again");
                    }
                }
                continue;
            }
            if let Some(item) = lane.waiting.pop_front() {
                self.pass_on((token, session), item);
            }
        }
    }

    fn pass_on(&mut self, (token, session): (&Token, SessionId), item: Item) {
        let Some(lane) = self.lanes.get_mut(token) else {
            return;
        };
        let errand = match item.what {
            What::Job(errand) => errand,
            What::Poison(delivery, refusal) => {
                Reply::to(&delivery, &self.desk).send(refusal.answer());
                self.aside.push(Aside::Dead(delivery, refusal.message.clone()));
                return lane.letters.push_back(Mail::Rejected(Box::new(refusal)));
            }
        };
        let (Job::Send(job), Some(id)) = (&errand.job, &errand.job_id) else {
            return lane.letters.push_back(Mail::Errand(Box::new(errand)));
        };
        let large = is_large(job);
        let offered = Offered {
            token: token.clone(),
            session,
            queue: job.queue_id(token, id),
            id: id.clone(),
            job: job.clone(),
            errand,
            _weight: item.weight,
        };
        lane.storing += 1;
        lane.large |= large;
        if large {
            self.store_jobs(vec![offered], true);
        } else {
            self.gathered.push(offered);
        }
    }

    fn look_up(&mut self, token: Token, after: Duration) {
        let (store, lease) = (self.store.clone(), self.lease.clone());
        self.under_way.push(Box::pin(async move {
            tokio::time::sleep(after).await;
            loop {
                match sessions::find(&store, &token).await {
                    Ok(found) => {
                        let here = found.filter(|record| record.shard == lease.shard());
                        return Done::Found(token, here.map(Box::new));
                    }
                    Err(error) if wait_out(&lease, &error).await.is_err() => return Done::Fenced,
                    Err(_) => {}
                }
            }
        }));
    }

    fn on_found(&mut self, supervisor: &mut Supervisor, token: &Token, found: Option<Box<SessionRecord>>) {
        let Some(lane) = self.lanes.get_mut(token) else {
            return;
        };
        lane.looking = false;
        match found {
            Some(record) => {
                if supervisor.running(token).is_none() {
                    supervisor.start(token.clone(), record.id);
                }
            }
            None => {
                lane.letters.clear();
                for item in std::mem::take(&mut lane.waiting) {
                    match item.what {
                        What::Job(errand) => self.lead_astray(errand.into_delivery()),
                        What::Poison(delivery, _) => self.lead_astray(Some(delivery)),
                    }
                }
            }
        }
        self.advance(supervisor, token);
    }

    /// A job whose token is bound and has no session here: it was just deleted, or made anew for another shard.
    fn lead_astray(&self, delivery: Option<Delivery>) {
        let Some(delivery) = delivery else { return };
        let (desk, broker, store) = (Arc::clone(&self.desk), self.broker.clone(), self.store.clone());
        let from = Some(self.lease.shard());
        self.desk
            .tasks
            .spawn(async move { stray((&desk, &broker, &store), from, delivery).await });
    }

    /// The session of a token is gone: its jobs need not come here any more.
    pub(crate) fn unbind(&self, token: Token) {
        let (broker, shard) = (self.broker.clone(), self.lease.shard());
        self.desk.tasks.spawn(async move {
            if let Err(error) = broker.unbind_token(&token, shard).await {
                // Its jobs still come here and are refused: unknown session.
                tracing::warn!(%error, "could not unbind the token of a deleted session");
            }
        });
    }

    /// Stores what has gathered, unless such a transaction is under way.
    fn store_gathered(&mut self) {
        if self.storing || self.gathered.is_empty() {
            return;
        }
        self.storing = true;
        let most = self.gathered.len().min(ACCEPT_MAX);
        let sends = self.gathered.drain(..most).collect();
        self.store_jobs(sends, false);
    }

    fn store_jobs(&mut self, sends: Vec<Offered>, large: bool) {
        let (store, lease, doors) = (self.store.clone(), self.lease.clone(), Arc::clone(&self.doors));
        self.under_way.push(Box::pin(async move {
            let door = if large { &doors.large } else { &doors.small };
            loop {
                let turn = door.acquire().await;
                let offers: Vec<Offer<'_>> = sends.iter().map(Offered::offer).collect();
                let accepted = queues::accept_all(&store, lease.fence(), &offers).await;
                drop((offers, turn));
                match accepted {
                    Ok(accepted) => {
                        return Done::Stored(Stored {
                            sends,
                            accepted,
                            large,
                        });
                    }
                    Err(StoreError::Fenced) => return Done::Fenced,
                    Err(error) if wait_out(&lease, &error).await.is_err() => return Done::Fenced,
                    Err(_) => {}
                }
            }
        }));
    }

    /// Puts deliveries aside, in the order in which they came to it.
    fn put_aside(&mut self) {
        if self.putting_aside || self.aside.is_empty() {
            return;
        }
        self.putting_aside = true;
        // All are polled for the first time in their order, and that is when they are published.
        let all = join_all(std::mem::take(&mut self.aside).into_iter().map(Aside::put));
        self.under_way.push(Box::pin(async move {
            all.await;
            Done::PutAside
        }));
    }

    fn on_stored(&mut self, supervisor: &mut Supervisor, stored: Stored) {
        if !stored.large {
            self.storing = false;
        }
        let mut tokens = HashSet::new();
        for (send, accepted) in stored.sends.into_iter().zip(stored.accepted) {
            let Some(lane) = self.lanes.get_mut(&send.token) else {
                continue;
            };
            lane.storing = lane.storing.saturating_sub(1);
            lane.large &= !stored.large;
            tokens.insert(send.token);
            match accepted {
                Ok(Acceptance::NoSession) => self.lead_astray(send.errand.into_delivery()),
                accepted => lane.letters.extend(letter(accepted, &send.job, send.errand)),
            }
        }
        for token in tokens {
            self.advance(supervisor, &token);
        }
    }
}

/// Waits a moment for the database, unless the lease has run out meanwhile.
async fn wait_out(lease: &Lease, error: &StoreError) -> Result<(), Fenced> {
    tracing::warn!(%error, "a job waits for the database");
    tokio::time::sleep(STORE_PAUSE).await;
    if lease.is_live(Instant::now()) {
        Ok(())
    } else {
        Err(Fenced)
    }
}

/// Most sends of one transaction.
const ACCEPT_MAX: usize = 64;
/// Transactions of small sends that a worker has at a time.
const SMALL_AT_ONCE: usize = 4;
/// Transactions of large sends that a worker has at a time.
const LARGE_AT_ONCE: usize = 2;
/// Bytes of bodies on their way through one shard's intake; the next delivery is taken when there are fewer.
const HELD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How often a session may be lost with a job in its hands before the job's delivery counts as failed.
const RETURNS_MAX: u32 = 100;
/// Before a session that was lost is given what it left.
const RETURN_PAUSE: Duration = Duration::from_secs(1);
/// Between two tries of the database.
const STORE_PAUSE: Duration = Duration::from_millis(500);
