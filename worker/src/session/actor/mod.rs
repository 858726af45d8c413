//! One session: its connection, its queues, its pace. The sole owner of all of it.
//!
//! One loop takes one closed enum of inputs ([`Input`]) and never blocks: database reads run beside it and
//! come back as inputs, writes gather in [`Gather`]. Sending is in [`sending`], queue commands are in
//! [`orders`], the connection's life is in [`link`], its news in [`news`].
//!
//! Cancellation points: every wait of the loop is in [`Actor::next`]; dropping the actor there loses only
//! memory. What was not durable has not left, and a delivery that was not settled comes again. A write that was handed
//! over goes its way without the actor: whoever starts the session again waits for it before reading.

mod link;
mod news;
mod orders;
mod sending;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use rand::SeedableRng;
use rand::rngs::StdRng;
use shared::content::Content;
use shared::id::{QueueId, StanzaId};
use shared::store::commit::{CommitError, Committer};
use shared::store::queues::{QueueRecord, QueueState};
use shared::store::recipients::Pending;
use shared::store::sessions::SessionRecord;
use shared::store::{Store, StoreError};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use whatsapp::client::Ended;
use whatsapp::connection::Config;
use whatsapp::device::Device;

use self::link::Link;
use self::news::Recent;
use self::orders::{Orders, Rest};
use self::sending::InHand;
use super::errand::Errand;
use super::gather::{After, Gather};
use super::keys::Step;
use super::mail::{Accepted, Mail};
use super::meter::Standing;
use super::pacer::{Cap, Pace, Pacer, Waiting};
use super::queues::{QUEUES_READ, Queue, Queues, Spec, Target};
use shared::lease::{Busy, Lease};

/// What all sessions of a worker share.
pub(crate) struct Surroundings {
    pub(crate) store: Store,
    pub(crate) committer: Committer,
    pub(crate) whatsapp: Arc<Config>,
    /// The gap between sends where a queue names none.
    pub(crate) pace: Pace,
    pub(crate) cap: Arc<Cap>,
}

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

/// What can happen to a session.
enum Input {
    Mail(Option<Mail>),
    Step(Box<Step>),
    Landed(Result<Vec<After>, CommitError>),
    Fetched(Fetched),
    Ended(Result<Ended, whatsapp::store::StoreError>),
    Granted,
    Tick,
}

/// What was read from the database.
enum Fetched {
    Active(Result<Vec<QueueRecord>, StoreError>),
    Page(QueueId, Result<Vec<Pending>, StoreError>),
    Device(Result<Option<Box<Device>>, whatsapp::store::StoreError>),
    Ordered(QueueId, Result<Option<QueueRecord>, StoreError>),
    Rest(Box<Rest>),
    Erased(Result<(), StoreError>),
}

/// A session.
pub(crate) struct Actor {
    around: Arc<Surroundings>,
    lease: Lease,
    record: Box<SessionRecord>,
    mail: mpsc::Receiver<Mail>,
    steps: (mpsc::Sender<Box<Step>>, mpsc::Receiver<Box<Step>>),
    gather: Gather,
    fetches: FuturesUnordered<BoxFuture<'static, Fetched>>,
    link: Link,
    queues: Queues<Content>,
    reading_queues: bool,
    orders: Orders,
    pacer: Pacer,
    in_hand: HashMap<StanzaId, InHand>,
    /// The send that was claimed last, while it is in hand.
    newest: Option<StanzaId>,
    /// Frames that are ready before their time, and what else followed their commit.
    held: Option<(Instant, Vec<After>)>,
    cap_turn: Option<BoxFuture<'static, ()>>,
    cap_granted: bool,
    retry_at: Option<Instant>,
    recent: Recent,
    standing: Standing,
    busy: Option<Busy>,
    rng: StdRng,
    handing_over: Option<Instant>,
    exit: Option<Exit>,
}

impl Actor {
    /// A session as stored, with what it is told from outside.
    pub(crate) fn new(
        around: Arc<Surroundings>,
        lease: Lease,
        record: SessionRecord,
        mail: mpsc::Receiver<Mail>,
    ) -> Self {
        let owner = record.owner.as_ref().map(|owner| owner.jid.clone());
        let place = (lease.fence(), record.id);
        let committer = around.committer.clone();
        let gather = Gather::new(
            place,
            record.token.clone(),
            owner,
            record.last_sequence,
            committer,
        );
        let now = Instant::now();
        let pacer = record
            .next_send_at
            .map_or_else(Pacer::default, |at| Pacer::resume(left(at), now));
        Self {
            around,
            lease,
            record: Box::new(record),
            mail,
            steps: mpsc::channel(1),
            gather,
            fetches: FuturesUnordered::new(),
            link: Link::default(),
            queues: Queues::default(),
            reading_queues: false,
            orders: Orders::default(),
            pacer,
            in_hand: HashMap::new(),
            newest: None,
            held: None,
            cap_turn: None,
            cap_granted: false,
            retry_at: None,
            recent: Recent::default(),
            standing: Standing::default(),
            busy: None,
            rng: StdRng::from_rng(&mut rand::rng()),
            handing_over: None,
            exit: None,
        }
    }

    /// Runs until the session is handed over, deleted or lost.
    pub(crate) async fn run(mut self) -> Exit {
        self.read_queues();
        if self.record.wanted {
            self.connect();
        }
        loop {
            let wake = self.work();
            if let Some(exit) = self.exit.take() {
                return exit;
            }
            let input = self.next(wake).await;
            if !self.lease.is_live(Instant::now()) {
                // Somebody else may own the session by now: nothing of ours may leave any more.
                return Exit::Fenced;
            }
            self.take(input);
        }
    }

    /// Does all that can be done now; answers when to look again.
    fn work(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.link.close_if_wanted();
        self.next_orders(now);
        let drain = self.drain(now);
        self.fetch_wanted();
        let waiting = self.pump(now);
        self.standing.wait(waiting);
        self.note_busy(waiting);
        self.gather.launch();
        let hand_over = self.hand_over(now);
        let held = self.held.as_ref().map(|(until, _)| *until);
        [
            waiting.until(),
            drain,
            hand_over,
            held,
            self.link.deadline(),
            self.orders.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A shard whose sessions have nothing to send is handed over before others.
    fn note_busy(&mut self, waiting: Waiting) {
        if waiting == Waiting::Idle && self.in_hand.is_empty() {
            self.busy = None;
        } else if self.busy.is_none() {
            self.busy = Some(self.lease.busy());
        }
    }

    /// Waits for the next input. Dropping the wait loses nothing.
    async fn next(&mut self, wake: Option<Instant>) -> Input {
        let Self {
            mail,
            steps,
            gather,
            fetches,
            link,
            lease,
            cap_turn,
            ..
        } = self;
        tokio::select! {
            landed = gather.landed() => Input::Landed(landed),
            Some(step) = steps.1.recv() => Input::Step(step),
            Some(fetched) = fetches.next(), if !fetches.is_empty() => Input::Fetched(fetched),
            ended = link.ended(lease) => Input::Ended(ended),
            letter = mail.recv() => Input::Mail(letter),
            () = turn(cap_turn), if cap_turn.is_some() => Input::Granted,
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => Input::Tick,
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Mail(letter) => self.on_mail(letter),
            Input::Step(step) => self.on_step(*step),
            Input::Landed(Ok(after)) => self.on_landed(after),
            Input::Landed(Err(error)) => self.lose(error),
            Input::Fetched(fetched) => self.on_fetched(fetched),
            Input::Ended(ended) => self.on_ended(ended),
            Input::Granted => {
                self.cap_turn = None;
                self.cap_granted = true;
            }
            Input::Tick => {
                self.release(Instant::now());
                self.give_up_logout(Instant::now());
            }
        }
    }

    fn on_mail(&mut self, letter: Option<Mail>) {
        match letter {
            // The supervisor is gone, and the shard with it.
            None => self.exit = Some(Exit::HandedOver),
            Some(Mail::Accepted(accepted)) => self.on_accepted(*accepted),
            Some(Mail::Again(queue, errand)) => self.on_again(&queue, errand),
            Some(Mail::Errand(errand)) => self.on_errand(errand),
            Some(Mail::Refuse(errand, refusal)) => self.refuse(errand, *refusal),
            Some(Mail::Rejected(refusal)) => self.tell_rejected(*refusal),
            Some(Mail::HandOver) => {
                self.handing_over
                    .get_or_insert_with(|| Instant::now() + HAND_OVER_WAIT);
            }
        }
    }

    /// A write is durable. If a send in it is ready before its time, its step waits; the library commits one
    /// step at a time, so that no other can be behind it.
    fn on_landed(&mut self, after: Vec<After>) {
        let Some(until) = self.held_until(&after) else {
            return after.into_iter().for_each(|after| self.on_durable(after));
        };
        let of_step = |after: &After| matches!(after, After::Leaves(_) | After::Step(_));
        let (held, now): (Vec<_>, Vec<_>) = after.into_iter().partition(of_step);
        self.held = Some((until, held));
        now.into_iter().for_each(|after| self.on_durable(after));
    }

    /// Lets the frames go whose time has come.
    fn release(&mut self, now: Instant) {
        if let Some((_, held)) = self.held.take_if(|(until, _)| *until <= now) {
            held.into_iter().for_each(|after| self.on_durable(after));
        }
    }

    fn on_durable(&mut self, after: After) {
        match after {
            // The library that does not wait any more has been dropped on purpose.
            After::Step(done) => drop(done.send(Ok(()))),
            After::Leaves(id) => self.left(&id),
            After::Answer(errand, answer) => errand.finish(answer),
            After::Drained(queue, then) => self.write_rest(queue, then),
            After::Rested(queue) => self.rested(queue),
            After::Resumed(queue) => self.resumed(queue),
            After::Erase => self.delete_rows(),
        }
    }

    fn on_fetched(&mut self, fetched: Fetched) {
        match fetched {
            Fetched::Active(Ok(records)) => self.on_active(records),
            Fetched::Page(queue, Ok(page)) => self.queues.page(queue, page.into_iter().map(target).collect()),
            Fetched::Device(Ok(device)) => self.open_link(device),
            Fetched::Ordered(id, Ok(record)) => self.on_ordered(id, record),
            Fetched::Rest(rest) => self.on_rest(*rest),
            Fetched::Erased(Ok(())) => self.on_erased(),
            Fetched::Active(Err(error))
            | Fetched::Page(_, Err(error))
            | Fetched::Ordered(_, Err(error))
            | Fetched::Erased(Err(error)) => self.lose_store(&error),
            Fetched::Device(Err(error)) => self.exit = Some(Exit::Lost(error.to_string())),
        }
    }

    fn on_accepted(&mut self, accepted: Accepted) {
        let Accepted {
            queue,
            single,
            errand,
        } = accepted;
        let id = queue.id;
        if self.link.is_deleting() {
            return self.refuse_deleting(Box::new(errand));
        }
        self.tell_accepted(&queue, Box::new(errand));
        // While the store's queues are being read this one may or may not be among them: it is put in once.
        self.queues.insert(self.queue(queue));
        if let Some((number, stanza)) = single {
            self.queues.page_at_hand(
                id,
                vec![Target {
                    seq: 0,
                    number,
                    stanza,
                    again: false,
                    tries: 0,
                }],
            );
        }
    }

    /// The session may never have been given it: if it is not here, the store is asked for it.
    fn on_again(&mut self, queue: &QueueRecord, errand: Box<Errand>) {
        if self.link.is_deleting() {
            return self.refuse_deleting(errand);
        }
        self.tell_accepted(queue, errand);
        let goes_on = matches!(queue.state, QueueState::Queued | QueueState::Running);
        if goes_on && self.queues.get(queue.id).is_none() {
            self.queues.more_in_store(queue.total == 1);
        }
    }

    /// Reads the session's running queues from the store.
    fn read_queues(&mut self) {
        self.reading_queues = true;
        let (store, session) = (self.around.store.clone(), self.record.id);
        self.fetch(async move {
            Fetched::Active(shared::store::queues::active(&store, session, QUEUES_READ).await)
        });
    }

    fn on_active(&mut self, records: Vec<QueueRecord>) {
        self.reading_queues = false;
        let ended = self.orders.take_ended();
        for record in records {
            if record.state == QueueState::Paused || ended.contains(&record.id) {
                continue;
            }
            let queue = self.queue(record);
            self.queues.insert(queue);
        }
    }

    fn queue(&self, record: QueueRecord) -> Queue<Content> {
        let own = record
            .delay
            .and_then(|delay| Pace::new(delay.min(), delay.max()).ok());
        Queue::new(Spec {
            id: record.id,
            content: Arc::new(record.content),
            pace: own.unwrap_or(self.around.pace),
            on_unknown: record.on_unknown,
            total: record.total,
            settled: record.settled,
            started: record.started_at.is_some(),
        })
    }

    /// Reads what the queues want to look ahead to.
    fn fetch_wanted(&mut self) {
        if !self.link.is_open() {
            return;
        }
        while self.fetches.len() < FETCHES_MAX {
            let Some((queue, after)) = self.queues.want_page() else {
                break;
            };
            let (store, limit) = (self.around.store.clone(), PAGE_ROWS);
            self.fetch(async move {
                Fetched::Page(
                    queue,
                    shared::store::recipients::next(&store, queue, after, limit).await,
                )
            });
        }
        if !self.reading_queues && !self.orders.is_busy() && self.queues.take_room() {
            self.read_queues();
        }
    }

    fn fetch(&mut self, read: impl Future<Output = Fetched> + Send + 'static) {
        self.fetches.push(Box::pin(read));
    }

    /// Walks a hand-over through its stages; answers when to look again.
    fn hand_over(&mut self, now: Instant) -> Option<Instant> {
        let deadline = self.handing_over?;
        let overdue = now >= deadline;
        if !self.in_hand.is_empty() && !overdue {
            return Some(deadline);
        }
        if self.link.close() && !overdue {
            return Some(deadline);
        }
        if !self.gather.is_idle() && !overdue {
            return Some(deadline);
        }
        self.exit = Some(Exit::HandedOver);
        None
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.handing_over.is_some()
    }

    fn lose(&mut self, error: CommitError) {
        self.exit = Some(match error {
            CommitError::Fenced => Exit::Fenced,
            CommitError::Unavailable(why) => Exit::Lost(why),
            CommitError::Refused(why) => {
                tracing::error!(session.id = %self.record.id, why, "the database refused a session's write");
                Exit::Lost(why)
            }
        });
    }

    fn lose_store(&mut self, error: &StoreError) {
        self.exit = Some(match error {
            StoreError::Fenced => Exit::Fenced,
            other => Exit::Lost(other.to_string()),
        });
    }

    /// The wall clock, for what is stored and told.
    pub(super) fn wall(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

async fn turn(cap_turn: &mut Option<BoxFuture<'static, ()>>) {
    match cap_turn {
        Some(turn) => turn.await,
        None => std::future::pending().await,
    }
}

fn target(pending: Pending) -> Target {
    let again = pending.state == shared::store::recipients::RecipientState::Sending;
    Target {
        seq: pending.seq,
        number: pending.number,
        stanza: pending.stanza,
        again,
        tries: 0,
    }
}

/// What is left until a stored time; never more than the longest gap there is.
fn left(at: OffsetDateTime) -> Duration {
    let left = Duration::try_from(at - OffsetDateTime::now_utc()).unwrap_or_default();
    left.min(Duration::from_secs_f64(shared::job::DELAY_MAX_SECONDS))
}

/// Reads of one session beside its loop.
const FETCHES_MAX: usize = 4;
/// How long a hand-over waits for answers, the goodbye and the last write.
const HAND_OVER_WAIT: Duration = Duration::from_secs(5);
/// Rows per page, as the store takes it.
const PAGE_ROWS: u32 = super::queues::PAGE as u32;
/// Room for what a session is told from outside: more than a shard has jobs on their way, so that none waits for it.
pub(crate) const MAIL_MAX: usize = 256;
/// The cap on a worker's sends per second unless set otherwise.
// Unwrap safety: it is not zero.
#[allow(clippy::unwrap_used)]
pub(crate) const CAP_DEFAULT: NonZeroU32 = NonZeroU32::new(10_000).unwrap();
