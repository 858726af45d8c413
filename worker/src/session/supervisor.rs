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
use shared::id::{SessionId, Token};
use shared::store::Store;
use shared::store::sessions::{self, SessionRecord};
use tokio::sync::{Mutex, mpsc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::actor::{Actor, Exit, MAIL_MAX, Surroundings};
use super::mail::Mail;
use shared::lease::Lease;

/// The actors of one shard.
pub(crate) struct Supervisor {
    around: Arc<Surroundings>,
    starts: Arc<Starts>,
    lease: Lease,
    running: HashMap<Token, Running>,
    actors: JoinSet<Exit>,
    tokens: HashMap<Id, Token>,
    /// Sessions to start, the next one on top.
    waiting: BinaryHeap<Reverse<(Instant, Token)>>,
    failures: HashMap<Token, u32>,
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
    /// It is a session's turn to be started.
    Due,
    /// Nothing that anybody else must know.
    Nothing,
}

impl Supervisor {
    /// The supervisor of a shard without a session yet.
    pub(crate) fn new(around: Arc<Surroundings>, starts: Arc<Starts>, lease: Lease) -> Self {
        Self {
            around,
            starts,
            lease,
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
            let jitter = rand::rng().random_range(Duration::ZERO..=START_JITTER);
            self.waiting
                .push(Reverse((Instant::now() + jitter, record.token.clone())));
        }
    }

    /// The session of a token and the mailbox of its actor, if it runs.
    pub(crate) fn running(&self, token: &Token) -> Option<(SessionId, &mpsc::Sender<Mail>)> {
        let running = self.running.get(token)?;
        (!running.mail.is_closed()).then_some((running.session, &running.mail))
    }

    /// Waits for the next start that is due, or the next actor that ends. Cancel safe.
    pub(crate) async fn next(&mut self) -> Event {
        let due = self.waiting.peek().map(|Reverse((at, _))| *at);
        let starts = Arc::clone(&self.starts);
        tokio::select! {
            Some(ended) = self.actors.join_next_with_id(), if !self.actors.is_empty() => self.ended(ended),
            () = starts.turn(due.unwrap_or_else(Instant::now)), if due.is_some() => Event::Due,
            else => std::future::pending().await,
        }
    }

    /// Starts the session whose turn it is. To be called, and awaited to its end, after [`Event::Due`].
    pub(crate) async fn start_due(&mut self) {
        let Some(Reverse((_, token))) = self.waiting.pop() else {
            return;
        };
        if self.running(&token).is_some() {
            return;
        }
        match sessions::find(&self.around.store, &token).await {
            Ok(Some(record)) if record.shard == self.lease.shard() => self.start(record),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "could not read a session");
                self.waiting.push(Reverse((Instant::now() + START_AGAIN, token)));
            }
        }
    }

    /// Starts the actor of a session that does not run.
    pub(crate) fn start(&mut self, record: SessionRecord) {
        let (mail, letters) = mpsc::channel(MAIL_MAX);
        let (session, token) = (record.id, record.token.clone());
        let actor = Actor::new(Arc::clone(&self.around), self.lease.clone(), record, letters);
        let task = self.actors.spawn(actor.run());
        self.tokens.insert(task.id(), token.clone());
        self.running.insert(
            token,
            Running {
                task: task.id(),
                session,
                since: Instant::now(),
                mail,
            },
        );
    }

    fn ended(&mut self, ended: Result<(Id, Exit), JoinError>) -> Event {
        let (id, exit) = match ended {
            Ok((id, exit)) => (id, exit),
            Err(error) => {
                tracing::error!(%error, "a session's actor panicked");
                (error.id(), Exit::Lost("panic".to_owned()))
            }
        };
        let Some(token) = self.tokens.remove(&id) else {
            return Event::Nothing;
        };
        // A job may have started the session again already: that actor stays.
        let ran = match self.running.entry(token.clone()) {
            Entry::Occupied(running) if running.get().task == id => Some(running.remove().since.elapsed()),
            _ => None,
        };
        if ran.is_some_and(|ran| ran >= STABLE) {
            self.failures.remove(&token);
        }
        match exit {
            Exit::HandedOver => Event::Nothing,
            Exit::Fenced => Event::Fenced,
            Exit::Deleted => {
                self.failures.remove(&token);
                Event::Deleted(token)
            }
            Exit::Lost(why) => {
                let failures = self.failures.entry(token.clone()).or_default();
                *failures = failures.saturating_add(1);
                let wait = backoff(*failures);
                tracing::warn!(why, wait_ms = wait.as_millis(), "a session is started again");
                self.waiting.push(Reverse((Instant::now() + wait, token)));
                Event::Nothing
            }
        }
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
                "sessions that did not end in time are dropped"
            );
        }
    }
}

/// The worker's rate of starts: one at a time, a short while apart, so that neither WhatsApp nor the database
/// sees all sessions at once.
#[derive(Debug, Default)]
pub(crate) struct Starts(Mutex<Option<Instant>>);

impl Starts {
    /// Waits until `due`, then for the worker's turn. Dropped, it takes nothing.
    async fn turn(&self, due: Instant) {
        sleep_until(due).await;
        let mut last = self.0.lock().await;
        if let Some(last) = *last {
            let jitter = rand::rng().random_range(Duration::ZERO..=START_GAP);
            sleep_until(last + START_GAP / 2 + jitter).await;
        }
        *last = Some(Instant::now());
    }
}

fn backoff(failures: u32) -> Duration {
    let longest = (LOST_BASE * 2_u32.saturating_pow(failures.min(10))).min(LOST_CAP);
    rand::rng().random_range(LOST_BASE..=longest)
}

/// The database of a supervisor's surroundings, for those who share it.
impl Supervisor {
    /// The database.
    pub(crate) fn store(&self) -> &Store {
        &self.around.store
    }
}

/// Starts of a worker are this far apart, on average.
const START_GAP: Duration = Duration::from_millis(5);
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
