//! The sessions of one shard: one actor each, started apart from each other, started again when lost.
//!
//! Owns the actors' tasks and their mailboxes. Knows nothing of what they do; jobs reach them through
//! [`Supervisor::running`].

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use shared::id::{SessionId, Token};
use shared::metrics::labels::StartedAgain;
use shared::metrics::list;
use shared::store::sessions::{self, SessionRecord};
use shared::telemetry::Health;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::worker::{Starts, Worker};
use crate::lease::Lease;
use crate::session::actor::{Actor, MAIL_MAX, Mail};
use crate::session::context::Exit;
use crate::session::surroundings::Surroundings;

/// The actors of one shard.
pub(crate) struct Supervisor {
    around: Arc<Surroundings>,
    starts: Arc<Starts>,
    lease: Lease,
    running: HashMap<Token, Running>,
    actors: JoinSet<Exit>,
    tokens: HashMap<Id, (Token, SessionId)>,
    /// Sessions to start, the next one on top.
    waiting: BinaryHeap<Reverse<(Instant, Token, SessionId)>>,
    failures: HashMap<Token, u32>,
    health: Health,
    rng: StdRng,
}

struct Running {
    task: Id,
    session: SessionId,
    since: Instant,
    mail: mpsc::Sender<Mail>,
}

/// What a supervisor has to say.
#[derive(Debug)]
pub(crate) enum Event {
    /// The session is gone; its token may be used by nobody.
    Deleted(Token),
    /// The shard has another owner: everything must go.
    Fenced,
    /// Nothing that anybody else must know.
    Nothing,
}

impl Supervisor {
    /// The supervisor of a shard without a session yet.
    pub(crate) fn new(worker: &Worker, lease: Lease) -> Self {
        Self {
            around: Arc::clone(&worker.around),
            starts: Arc::clone(&worker.starts),
            rng: worker.around.randomness.fork(),
            lease,
            health: worker.health.clone(),
            running: HashMap::new(),
            actors: JoinSet::new(),
            tokens: HashMap::new(),
            waiting: BinaryHeap::new(),
            failures: HashMap::new(),
        }
    }

    /// Plans the start of every session that is to be connected.
    pub(crate) fn plan(&mut self, records: &[SessionRecord]) {
        for record in records.iter().filter(|record| record.wanted) {
            let jitter = self.rng.random_range(Duration::ZERO..=START_JITTER);
            self.plan_start(self.now() + jitter, record.token.clone(), record.id);
        }
    }

    fn plan_start(&mut self, at: Instant, token: Token, session: SessionId) {
        self.waiting.push(Reverse((at, token, session)));
    }

    /// The session of a token and the mailbox of its actor, if it runs.
    pub(crate) fn running(&self, token: &Token) -> Option<(SessionId, &mpsc::Sender<Mail>)> {
        let running = self.running.get(token)?;
        (!running.mail.is_closed()).then_some((running.session, &running.mail))
    }

    /// Starts the next session that is due, or waits for the next actor that ends. Cancel safe.
    pub(crate) async fn next(&mut self) -> Event {
        let due = self.waiting.peek().map(|Reverse((at, ..))| *at);
        let (starts, now) = (Arc::clone(&self.starts), self.now());
        tokio::select! {
            Some(ended) = self.actors.join_next_with_id(), if !self.actors.is_empty() => self.ended(ended),
            () = starts.turn(due.unwrap_or(now)), if due.is_some() => self.start_due(),
            else => std::future::pending().await,
        }
    }

    fn start_due(&mut self) -> Event {
        if let Some(Reverse((_, token, session))) = self.waiting.pop()
            && self.running(&token).is_none()
        {
            self.start(token, session);
        }
        Event::Nothing
    }

    /// Starts the actor of a session that does not run.
    pub(crate) fn start(&mut self, token: Token, session: SessionId) {
        let (mail, inbox) = mpsc::channel(MAIL_MAX);
        let (around, lease) = (Arc::clone(&self.around), self.lease.clone());
        let task = self
            .actors
            .spawn(run(around, lease, token.clone(), session, inbox));
        self.tokens.insert(task.id(), (token.clone(), session));
        self.running.insert(
            token,
            Running {
                task: task.id(),
                session,
                since: self.now(),
                mail,
            },
        );
    }

    fn ended(&mut self, ended: Result<(Id, Exit), JoinError>) -> Event {
        let (id, exit) = match ended {
            Ok((id, exit)) => {
                if matches!(exit, Exit::Lost(_)) {
                    list::SESSIONS_STARTED_AGAIN.of(StartedAgain::Lost).increment(1);
                }
                (id, exit)
            }
            Err(error) => {
                list::SESSIONS_STARTED_AGAIN
                    .of(StartedAgain::Panicked)
                    .increment(1);
                let session = self.tokens.get(&error.id()).map(|(_, session)| *session);
                let session = session.map(tracing::field::display);
                tracing::error!(session.id = session, %error, "a session's actor panicked; the session is started again");
                (error.id(), Exit::Lost("panic".to_owned()))
            }
        };
        let Some((token, session)) = self.tokens.remove(&id) else {
            return Event::Nothing;
        };
        let now = self.now();
        // A job may have started the session again already: that actor stays.
        let ran = match self.running.entry(token.clone()) {
            Entry::Occupied(running) if running.get().task == id => Some(now - running.remove().since),
            _ => None,
        };
        if ran.is_some_and(|ran| ran >= STABLE) {
            self.failures.remove(&token);
        }
        match exit {
            Exit::HandedOver => Event::Nothing,
            Exit::Gone => {
                self.failures.remove(&token);
                Event::Nothing
            }
            Exit::Fenced => Event::Fenced,
            Exit::Deleted => {
                self.failures.remove(&token);
                Event::Deleted(token)
            }
            Exit::Lost(why) => {
                let failures = self.failures.entry(token.clone()).or_default();
                *failures = failures.saturating_add(1);
                let wait = backoff(*failures, &mut self.rng);
                // What ends one for the database's sake soon ends all.
                self.health
                    .lately("sessions", format!("one was started again: {why}"));
                tracing::warn!(session.id = %session, error = why, wait_ms = wait.as_millis(), "a session is started again");
                self.plan_start(now + wait, token, session);
                Event::Nothing
            }
        }
    }

    fn now(&self) -> Instant {
        self.around.clock.now()
    }

    /// Has every actor finish what it has in hand and write it down; waits for them, within bounds.
    pub(crate) async fn hand_over(mut self) {
        // The mailboxes are kept until the end: an actor whose mailbox closes ends at once.
        let all = async {
            for running in self.running.values() {
                // One that just ended needs no telling.
                drop(running.mail.send(Mail::HandOver).await);
            }
            while self.actors.join_next().await.is_some() {}
        };
        if tokio::time::timeout(HAND_OVER_MAX, all).await.is_err() {
            tracing::warn!(
                actors = self.actors.len(),
                "sessions that did not end in time are dropped; their next owner goes on from the database"
            );
        }
    }
}

/// Runs a session from what is stored of it to its end.
async fn run(
    around: Arc<Surroundings>,
    lease: Lease,
    token: Token,
    session: SessionId,
    mail: mpsc::Receiver<Mail>,
) -> Exit {
    // Boxed, as reading takes more room than all that an idle session does after it.
    let reading = Box::pin(read(&around, &lease, &token, session));
    match reading.await {
        Ok(record) => Actor::new(around, lease, record, mail).run().await,
        Err(exit) => exit,
    }
}

/// Reads what is stored of a session, for as long as that takes; why it is not to run otherwise.
async fn read(
    around: &Surroundings,
    lease: &Lease,
    token: &Token,
    session: SessionId,
) -> Result<SessionRecord, Exit> {
    // An actor of this session that was lost, or panicked, may have left a write on its way: what is read now must not
    // be older than that.
    let settled = around.committer.settled().await;
    settled.map_err(|error| Exit::Lost(error.to_string()))?;
    loop {
        match sessions::find(&around.store, token).await {
            Ok(Some(record)) if record.id == session && record.shard == lease.shard() => return Ok(record),
            Ok(_) => return Err(Exit::Gone),
            Err(error) => {
                tracing::warn!(session.id = %session, %error, "a session can't be read; trying again");
                tokio::time::sleep(START_AGAIN).await;
            }
        }
    }
}

fn backoff(failures: u32, rng: &mut StdRng) -> Duration {
    let longest = (LOST_BASE * 2_u32.saturating_pow(failures.min(10))).min(LOST_CAP);
    rng.random_range(LOST_BASE..=longest)
}

/// Sessions of a shard that is taken over start within this time, if the worker's rate allows.
const START_JITTER: Duration = Duration::from_millis(500);
/// After a session could not be read.
const START_AGAIN: Duration = Duration::from_secs(1);
/// Shortest and longest wait before a lost session is started again.
const LOST_BASE: Duration = Duration::from_millis(200);
const LOST_CAP: Duration = Duration::from_secs(60);
/// A session that ran this long is not in a row of failures any more.
const STABLE: Duration = Duration::from_secs(120);
/// How long all actors of a shard together may take to end.
const HAND_OVER_MAX: Duration = Duration::from_secs(7);
