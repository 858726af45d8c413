//! One endpoint's owner: a task that decides what is attempted now, keeps the order of each session while the
//! endpoint answers, and holds its circuit.
//!
//! Owns the limits of one endpoint. Must not know the broker, nor which events an endpoint wants.
//!
//! Order: attempts of one session are made one after the other: the first ones in the order of its events, and rows in the
//! order in which they are due. What fails, does not fit in memory or would wait too long becomes a row, which newer
//! events may overtake; `sequence` in the envelope tells.
//!
//! An event that waits holds its broker message, of which there are few for all endpoints together. So none waits
//! longer than [`PATIENCE`], and at an endpoint that is known to be behind none waits at all.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use shared::clock::Clock;
use shared::id::{Token, WebhookId};
use shared::metrics::list;
use shared::store::deliveries::Leased;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::attempt::{Attempts, PATIENCE, Target, Verdict};
use super::backoff::Backoff;
use super::circuit::{Circuit, CircuitLimits, Gate};
use super::pace::Pace;
use super::payload::Payload;
use super::room::Place;
use super::stores::Stores;

/// Events that may wait in memory for their first attempt at one endpoint; more become rows at once.
pub(super) const WAITING_MAX: usize = 256;

/// Attempts that may lie in the task's mailbox.
pub(super) const MAILBOX: usize = 64;

/// How long the task of an endpoint that hears of nothing is kept.
const IDLE: Duration = Duration::from_secs(60);

/// How long the rows of an endpoint that does not keep up are not looked at.
const SLOW_PAUSE: Duration = Duration::from_secs(1);

/// What an endpoint's task is given to attempt.
#[derive(Debug)]
pub(super) enum Dispatch {
    First {
        /// Where to, as known when the event came.
        target: Arc<Target>,
        payload: Arc<Payload>,
        /// Told once the endpoint has taken the event or its row is stored.
        settled: oneshot::Sender<()>,
    },
    /// Attempt a leased row again.
    Retry {
        /// Where to, as known when the row was leased.
        target: Arc<Target>,
        delivery: Box<Leased>,
        /// Held while the row is in memory.
        place: Place,
    },
}

/// What the tasks of all endpoints share. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    pub(super) attempts: Arc<Attempts>,
    pub(super) limits: CircuitLimits,
    /// Told when due rows need not come.
    pub(super) backoff: Backoff,
    pub(super) clock: Clock,
}

/// Starts the task of one endpoint among `tasks`.
pub(super) fn spawn(id: WebhookId, around: Surroundings, tasks: &TaskTracker) -> mpsc::Sender<Dispatch> {
    let (sender, mailbox) = mpsc::channel(MAILBOX);
    let endpoint = Endpoint {
        id,
        mailbox,
        circuit: Circuit::new(around.limits),
        pace: Pace::new(),
        around,
        target: None,
        waiting: HashMap::new(),
        ready: VecDeque::new(),
        firsts_waiting: 0,
        overdue_at: None,
        is_behind: false,
        busy: HashSet::new(),
        stores: Stores::default(),
        work: FuturesUnordered::new(),
    };
    tasks.spawn(endpoint.run());
    sender
}

/// What waits for its turn.
struct Waiting {
    work: Work,
    came: Instant,
}

enum Work {
    First {
        payload: Arc<Payload>,
        settled: oneshot::Sender<()>,
    },
    Retry {
        delivery: Box<Leased>,
        place: Place,
    },
}

impl Waiting {
    fn is_first(&self) -> bool {
        matches!(self.work, Work::First { .. })
    }

    fn token(&self) -> &Token {
        match &self.work {
            Work::First { payload, .. } => &payload.token,
            Work::Retry { delivery, .. } => &delivery.token,
        }
    }
}

/// What a finished piece of work was.
enum Finished {
    /// An attempt for a session, and how long it took.
    Attempt(Token, Verdict, Duration),
    /// A row of a session was written; nothing was attempted.
    Stored(Token),
}

struct Endpoint {
    id: WebhookId,
    around: Surroundings,
    mailbox: mpsc::Receiver<Dispatch>,
    circuit: Circuit,
    pace: Pace,
    /// Where it is, as last heard.
    target: Option<Arc<Target>>,
    /// Attempts that wait for the one before them of the same session, or for a free place.
    waiting: HashMap<Token, VecDeque<Waiting>>,
    /// Sessions in the order in which their waiting attempts may start.
    ready: VecDeque<Token>,
    firsts_waiting: usize,
    /// When the first of those that wait has waited long enough, or earlier; `None` when none waits.
    overdue_at: Option<Instant>,
    /// It does not keep up: its attempts take too long, or it gets more than it can take.
    is_behind: bool,
    /// Sessions whose attempt is under way.
    busy: HashSet<Token>,
    /// What is being put away.
    stores: Stores,
    work: FuturesUnordered<BoxFuture<'static, Finished>>,
}

impl Endpoint {
    async fn run(mut self) {
        loop {
            let next_start = self.next_start();
            tokio::select! {
                dispatch = self.mailbox.recv() => match dispatch {
                    Some(dispatch) => self.take(dispatch),
                    None => break,
                },
                Some(finished) = self.work.next() => self.on_finished(finished),
                () = at(self.overdue_at) => self.put_away_overdue(),
                () = at(next_start) => {}
                () = tokio::time::sleep(IDLE), if self.is_idle() => break,
            }
            self.start_waiting();
        }
        // Nobody sends any more: what is under way ends, so that a stop loses no answer.
        self.mailbox.close();
        while let Some(dispatch) = self.mailbox.recv().await {
            self.take(dispatch);
        }
        self.start_waiting();
        while !self.work.is_empty() || !self.waiting.is_empty() {
            let next_start = self.next_start();
            tokio::select! {
                Some(finished) = self.work.next() => self.on_finished(finished),
                () = at(self.overdue_at) => self.put_away_overdue(),
                () = at(next_start) => {}
            }
            self.start_waiting();
        }
    }

    fn now(&self) -> Instant {
        self.around.clock.now()
    }

    fn is_idle(&self) -> bool {
        self.work.is_empty() && self.waiting.is_empty() && !self.circuit.is_open(self.now())
    }

    /// When something that is ready may start, where only the endpoint's pace keeps it.
    fn next_start(&self) -> Option<Instant> {
        self.pace.next_start().filter(|_| !self.ready.is_empty())
    }

    fn take(&mut self, dispatch: Dispatch) {
        let (target, work) = match dispatch {
            Dispatch::First {
                target,
                payload,
                settled,
            } => (target, Work::First { payload, settled }),
            Dispatch::Retry {
                target,
                delivery,
                place,
            } => (target, Work::Retry { delivery, place }),
        };
        self.hear_of(target);
        let came = self.now();
        let waiting = Waiting { work, came };
        if self.may_wait(&waiting) {
            self.wait(waiting);
        } else {
            self.put_away(waiting, SLOW_PAUSE);
        }
    }

    /// Takes up what was changed. What is attempted from now on is attempted there, and as if nothing had failed.
    fn hear_of(&mut self, target: Arc<Target>) {
        let known = self.target.as_ref().map(|known| known.revision);
        if known.is_some_and(|known| known >= target.revision) {
            return;
        }
        if known.is_some() {
            self.circuit = Circuit::new(self.around.limits);
            self.is_behind = false;
        }
        self.pace.limit(target.limits);
        self.target = Some(target);
    }

    /// Whether this may be kept in memory until its turn comes.
    fn may_wait(&self, waiting: &Waiting) -> bool {
        let token = waiting.token();
        match waiting.work {
            // Behind those that come before it.
            Work::First { .. } if self.stores.is_at_work_for(token) => false,
            // There are no more of them than there is room for.
            Work::Retry { .. } => true,
            Work::First { .. } if !self.is_behind => self.firsts_waiting < WAITING_MAX,
            // Only if its turn is now.
            Work::First { .. } => {
                let is_free = !self.busy.contains(token) && !self.waiting.contains_key(token);
                self.firsts_waiting == 0 && is_free && self.pace.has_place(waiting.came)
            }
        }
    }

    fn wait(&mut self, waiting: Waiting) {
        self.overdue_at.get_or_insert(waiting.came + PATIENCE);
        self.firsts_waiting += usize::from(waiting.is_first());
        let token = waiting.token().clone();
        let queue = self.waiting.entry(token.clone()).or_default();
        if queue.is_empty() && !self.busy.contains(&token) {
            self.ready.push_back(token);
        }
        queue.push_back(waiting);
    }

    /// Makes rows of those that have waited too long, or gives them back: what they hold is needed for other endpoints. What
    /// stands behind them goes the same way, so that it does not overtake them.
    fn put_away_overdue(&mut self) {
        let now = self.now();
        let is_overdue = |queue: &VecDeque<Waiting>| {
            let first = queue.front();
            first.is_some_and(|waiting| now >= waiting.came + PATIENCE)
        };
        let overdue = self.waiting.iter().filter(|(_, queue)| is_overdue(queue));
        let tokens: Vec<Token> = overdue.map(|(token, _)| token.clone()).collect();
        for token in tokens {
            while let Some(waiting) = self.next_of(&token) {
                self.is_behind = true;
                self.put_away(waiting, SLOW_PAUSE);
            }
        }
        // A session that waits no more is not ready any more, or it would be twice with its next event.
        self.ready.retain(|token| self.waiting.contains_key(token));
        let oldest = self
            .waiting
            .values()
            .filter_map(|queue| queue.front())
            .min_by_key(|waiting| waiting.came);
        self.overdue_at = oldest.map(|waiting| waiting.came + PATIENCE);
    }

    /// Starts what may start: one attempt per session, as many as there are places, while pace and circuit let them.
    fn start_waiting(&mut self) {
        let now = self.now();
        while self.pace.has_place(now) {
            let Some(token) = self.ready.pop_front() else {
                return;
            };
            let Some(waiting) = self.next_of(&token) else {
                continue;
            };
            match self.circuit.enter(now) {
                Gate::Pass => {
                    self.busy.insert(token);
                    self.attempt(waiting);
                }
                Gate::Closed(wait) => {
                    self.put_away(waiting, wait);
                    // With the circuit open the rest of this session goes the same way.
                    self.make_ready(token);
                }
            }
        }
    }

    fn next_of(&mut self, token: &Token) -> Option<Waiting> {
        let queue = self.waiting.get_mut(token)?;
        let waiting = queue.pop_front()?;
        if queue.is_empty() {
            self.waiting.remove(token);
        }
        self.firsts_waiting -= usize::from(waiting.is_first());
        Some(waiting)
    }

    fn make_ready(&mut self, token: Token) {
        if self.waiting.contains_key(&token) {
            self.ready.push_back(token);
        }
    }

    fn attempt(&mut self, waiting: Waiting) {
        let Some(target) = self.target.clone() else {
            return;
        };
        let started = self.now();
        self.pace.begin(started);
        let (attempts, clock) = (self.around.attempts.clone(), self.around.clock);
        let token = waiting.token().clone();
        self.work.push(Box::pin(async move {
            let verdict = match waiting.work {
                Work::First { payload, settled } => attempts.first(&target, &payload, settled).await,
                Work::Retry { delivery, place } => {
                    let verdict = attempts.retry(&target, *delivery).await;
                    drop(place);
                    verdict
                }
            };
            Finished::Attempt(token, verdict, clock.now() - started)
        }));
    }

    /// Has the database keep what can't be attempted now, in its place in the order of events. Other rows need not come
    /// before `pause` is over.
    fn put_away(&mut self, waiting: Waiting, pause: Duration) {
        let Some(target) = self.target.clone() else {
            return;
        };
        if !waiting.is_first() {
            self.around.backoff.until(self.id, self.now() + pause);
        }
        let (attempts, token) = (self.around.attempts.clone(), waiting.token().clone());
        let mut turn = self.stores.begin(token.clone());
        self.work.push(Box::pin(async move {
            turn.come().await;
            match waiting.work {
                Work::First { payload, settled } => {
                    if attempts.put_off_first(&target, &payload).await {
                        // A receiver that is gone was stopped; its event comes again and finds the row.
                        let _ = settled.send(());
                    }
                }
                Work::Retry { delivery, place } => {
                    attempts.release(&delivery).await;
                    drop(place);
                }
            }
            drop(turn);
            Finished::Stored(token)
        }));
    }

    fn on_finished(&mut self, finished: Finished) {
        let (token, verdict, took) = match finished {
            Finished::Stored(token) => return self.stores.end(&token),
            Finished::Attempt(token, verdict, took) => (token, verdict, took),
        };
        self.busy.remove(&token);
        self.make_ready(token);
        self.pace.end();
        self.is_behind = took > PATIENCE || (self.is_behind && self.firsts_waiting > 0);
        match verdict {
            Verdict::Answered => {
                if self.circuit.is_open(self.now()) {
                    self.around.backoff.end(self.id);
                }
                self.circuit.succeeded();
            }
            Verdict::Failed => {
                if self.circuit.failed(self.now()) {
                    list::WEBHOOK_CIRCUITS.increment();
                    tracing::warn!(webhook.id = %self.id, "webhook endpoint fails again and again; leaving it alone for a while");
                }
            }
        }
    }
}

/// Waits until then; for ever if there is no time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
