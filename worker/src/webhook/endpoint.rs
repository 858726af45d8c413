//! One endpoint's owner: a task that decides what is attempted now, keeps the order of each session while the
//! endpoint answers, and holds its circuit.
//!
//! Owns the limits of one endpoint. Must not know the broker, nor which events an endpoint wants.
//!
//! Order: first attempts of one session are made one after the other, in the order of its events. What fails, does
//! not fit in memory or would wait too long becomes a row and is tried out of order; `sequence` in the envelope tells.
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
use shared::store::deliveries::Leased;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::attempt::{Attempts, PATIENCE, Payload, Target, Verdict};
use super::backoff::Backoff;
use super::circuit::{Circuit, CircuitLimits, Gate};

/// Attempts that may be under way to one endpoint.
pub(super) const IN_FLIGHT_MAX: usize = 16;

/// Events that may wait in memory for their first attempt at one endpoint; more become rows at once.
pub(super) const WAITING_MAX: usize = 256;

/// Attempts that may lie in the task's mailbox.
pub(super) const MAILBOX: usize = 64;

/// How long the task of an endpoint that hears of nothing is kept.
const IDLE: Duration = Duration::from_secs(60);

/// How long a due row is put off when its endpoint is busy.
const WHILE_BUSY: Duration = Duration::from_secs(1);

/// How long the other rows of a busy endpoint are not looked at: its places may be free again at any moment.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

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
        delivery: Leased,
        /// Held while the row is in memory.
        permit: OwnedSemaphorePermit,
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
        around,
        waiting: HashMap::new(),
        ready: VecDeque::new(),
        waiting_count: 0,
        overdue_at: None,
        is_behind: false,
        busy: HashSet::new(),
        in_flight: 0,
        work: FuturesUnordered::new(),
    };
    tasks.spawn(endpoint.run());
    sender
}

struct FirstAttempt {
    target: Arc<Target>,
    payload: Arc<Payload>,
    settled: oneshot::Sender<()>,
    came: Instant,
}

/// What a finished piece of work was.
enum Finished {
    /// A first attempt of a session, and how long it took.
    First(Token, Verdict, Duration),
    /// An attempt of a row, and how long it took.
    Retry(Verdict, Duration),
    /// A row was written; nothing was attempted.
    Stored,
}

struct Endpoint {
    id: WebhookId,
    around: Surroundings,
    mailbox: mpsc::Receiver<Dispatch>,
    circuit: Circuit,
    /// First attempts that wait for the one before them of the same session, or for a free place.
    waiting: HashMap<Token, VecDeque<FirstAttempt>>,
    /// Sessions in the order in which their waiting attempts may start.
    ready: VecDeque<Token>,
    waiting_count: usize,
    /// When the first of those that wait has waited long enough, or earlier; `None` when none waits.
    overdue_at: Option<Instant>,
    /// It does not keep up: its attempts take too long, or it gets more than it can take.
    is_behind: bool,
    /// Sessions whose attempt is under way.
    busy: HashSet<Token>,
    in_flight: usize,
    work: FuturesUnordered<BoxFuture<'static, Finished>>,
}

impl Endpoint {
    async fn run(mut self) {
        loop {
            tokio::select! {
                dispatch = self.mailbox.recv() => match dispatch {
                    Some(dispatch) => self.take(dispatch),
                    None => break,
                },
                Some(finished) = self.work.next() => self.on_finished(finished),
                () = overdue(self.overdue_at) => self.store_overdue(),
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
        while let Some(finished) = self.work.next().await {
            self.on_finished(finished);
            self.start_waiting();
        }
    }

    fn now(&self) -> Instant {
        self.around.clock.now()
    }

    fn is_idle(&self) -> bool {
        self.work.is_empty() && self.waiting_count == 0 && !self.circuit.is_open(self.now())
    }

    fn take(&mut self, dispatch: Dispatch) {
        match dispatch {
            Dispatch::First {
                target,
                payload,
                settled,
            } => {
                let first = FirstAttempt {
                    target,
                    payload,
                    settled,
                    came: self.now(),
                };
                if self.may_wait(&first.payload.token) {
                    self.wait(first);
                } else {
                    self.store(first, Duration::ZERO);
                }
            }
            Dispatch::Retry {
                target,
                delivery,
                permit,
            } => self.retry(target, delivery, permit),
        }
    }

    /// Whether the next event of a session may be kept in memory until its turn comes.
    fn may_wait(&self, token: &Token) -> bool {
        if !self.is_behind {
            return self.waiting_count < WAITING_MAX;
        }
        // Its turn is now.
        self.waiting_count == 0 && !self.busy.contains(token) && self.in_flight < IN_FLIGHT_MAX
    }

    fn wait(&mut self, first: FirstAttempt) {
        self.overdue_at.get_or_insert(first.came + PATIENCE);
        let token = first.payload.token.clone();
        let queue = self.waiting.entry(token.clone()).or_default();
        if queue.is_empty() && !self.busy.contains(&token) {
            self.ready.push_back(token);
        }
        queue.push_back(first);
        self.waiting_count += 1;
    }

    /// Makes rows of those that have waited too long: their broker messages are needed for other endpoints.
    fn store_overdue(&mut self) {
        let now = self.now();
        let tokens: Vec<Token> = self.waiting.keys().cloned().collect();
        for token in tokens {
            while self.came_first(&token).is_some_and(|came| now >= came + PATIENCE) {
                let Some(first) = self.next_of(&token) else {
                    break;
                };
                self.is_behind = true;
                self.store(first, Duration::ZERO);
            }
        }
        // A session that waits no more is not ready any more, or it would be twice with its next event.
        self.ready.retain(|token| self.waiting.contains_key(token));
        let oldest = self
            .waiting
            .values()
            .filter_map(|queue| queue.front())
            .min_by_key(|first| first.came);
        self.overdue_at = oldest.map(|first| first.came + PATIENCE);
    }

    fn came_first(&self, token: &Token) -> Option<Instant> {
        self.waiting.get(token)?.front().map(|first| first.came)
    }

    /// Starts what may start: one attempt per session, as many as there are places, while the circuit lets them.
    fn start_waiting(&mut self) {
        while self.in_flight < IN_FLIGHT_MAX {
            let Some(token) = self.ready.pop_front() else {
                return;
            };
            let Some(first) = self.next_of(&token) else {
                continue;
            };
            match self.circuit.enter(self.now()) {
                Gate::Pass => {
                    self.busy.insert(token);
                    self.attempt(first);
                }
                Gate::Closed(wait) => {
                    self.store(first, wait);
                    // With the circuit open the rest of this session goes the same way.
                    self.make_ready(token);
                }
            }
        }
    }

    fn next_of(&mut self, token: &Token) -> Option<FirstAttempt> {
        let queue = self.waiting.get_mut(token)?;
        let first = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(token);
        }
        self.waiting_count -= usize::from(first.is_some());
        first
    }

    fn make_ready(&mut self, token: Token) {
        if self.waiting.contains_key(&token) {
            self.ready.push_back(token);
        }
    }

    fn attempt(&mut self, first: FirstAttempt) {
        self.in_flight += 1;
        let (attempts, clock) = (self.around.attempts.clone(), self.around.clock);
        let token = first.payload.token.clone();
        self.work.push(Box::pin(async move {
            let started = clock.now();
            let verdict = attempts.first(&first.target, &first.payload, first.settled).await;
            Finished::First(token, verdict, clock.now() - started)
        }));
    }

    fn store(&mut self, first: FirstAttempt, wait: Duration) {
        let attempts = self.around.attempts.clone();
        self.work.push(Box::pin(async move {
            if attempts.put_off_first(&first.target, &first.payload, wait).await {
                // A receiver that is gone was stopped; its event comes again and finds the row.
                let _ = first.settled.send(());
            }
            Finished::Stored
        }));
    }

    fn retry(&mut self, target: Arc<Target>, delivery: Leased, permit: OwnedSemaphorePermit) {
        let now = self.now();
        let (gate, pause) = match self.in_flight < IN_FLIGHT_MAX {
            true => match self.circuit.enter(now) {
                Gate::Pass => (Gate::Pass, None),
                Gate::Closed(wait) => (Gate::Closed(wait), Some(wait)),
            },
            false => (Gate::Closed(WHILE_BUSY), Some(BUSY_PAUSE)),
        };
        if let Some(pause) = pause {
            self.around.backoff.until(self.id, now + pause);
        }
        let (attempts, clock) = (self.around.attempts.clone(), self.around.clock);
        match gate {
            Gate::Pass => {
                self.in_flight += 1;
                self.work.push(Box::pin(async move {
                    let verdict = attempts.retry(&target, delivery).await;
                    drop(permit);
                    Finished::Retry(verdict, clock.now() - now)
                }));
            }
            Gate::Closed(wait) => self.work.push(Box::pin(async move {
                attempts.put_off_retry(&delivery, wait).await;
                drop(permit);
                Finished::Stored
            })),
        }
    }

    fn on_finished(&mut self, finished: Finished) {
        let (verdict, took) = match finished {
            Finished::Stored => return,
            Finished::First(token, verdict, took) => {
                self.busy.remove(&token);
                self.make_ready(token);
                (verdict, took)
            }
            Finished::Retry(verdict, took) => (verdict, took),
        };
        self.in_flight -= 1;
        self.is_behind = took > PATIENCE || (self.is_behind && self.waiting_count > 0);
        match verdict {
            Verdict::Answered => {
                if self.circuit.is_open(self.now()) {
                    self.around.backoff.end(self.id);
                }
                self.circuit.succeeded();
            }
            Verdict::Failed => {
                if self.circuit.failed(self.now()) {
                    metrics::counter!("fanfare_webhook_circuit_opened_total").increment(1);
                    tracing::warn!(webhook.id = %self.id, "webhook endpoint fails again and again; leaving it alone for a while");
                }
            }
        }
    }
}

/// Waits until then; for ever if there is no time.
async fn overdue(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
