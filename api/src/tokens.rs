//! Which tokens belong to a session, remembered for a short while so that a single message costs no query.
//!
//! Only finds are remembered, and none that is being deleted: a token that was unknown is looked up again. What
//! another process deleted is still believed for that while: a job for it is answered, by the worker, with
//! `job.rejected`, and who looks for something of it that is not there looks the session up anew.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use shared::clock::Clock;
use shared::id::{SessionId, Token};
use shared::store::Store;
use shared::store::sessions::{self, SessionRecord};
use tokio::time::Instant;

use crate::problem::{Code, Problem};

/// How long a find is believed.
const BELIEVED: Duration = Duration::from_secs(10);

/// When a session that is being deleted may be gone.
const GONE_AFTER: Duration = Duration::from_secs(5);

/// Most tokens that are remembered; more, and all are forgotten at once.
const REMEMBERED_MAX: usize = 100_000;

/// The session that a job is for.
#[derive(Clone, Debug)]
pub struct Addressee {
    /// Its token.
    pub token: Token,
    /// Its id: a token may get another session.
    pub session: SessionId,
}

/// Remembers finds.
#[derive(Debug)]
pub struct TokenCache {
    clock: Clock,
    known: Mutex<HashMap<Token, (SessionId, Instant)>>,
}

impl TokenCache {
    /// Remembers nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            known: Mutex::default(),
        }
    }

    /// The session of a token, to give it something to do. One that is being deleted takes nothing more.
    ///
    /// # Errors
    /// 404 when there is none, 409 when it is being deleted, 503 when the database is away.
    pub async fn session(&self, store: &Store, token: Token) -> Result<Addressee, Problem> {
        if let Some(session) = self.believed(&token) {
            return Ok(Addressee { token, session });
        }
        let found = self.look_up(store, &token).await?;
        if found.deleting_at.is_some() {
            return Err(being_deleted(&token));
        }
        let session = found.id;
        Ok(Addressee { token, session })
    }

    /// The session of a token, to look at what belongs to it. It may be an old one: look it up where nothing is found.
    ///
    /// # Errors
    /// 404 when there is none, 503 when the database is away.
    pub async fn known(&self, store: &Store, token: &Token) -> Result<SessionId, Problem> {
        match self.believed(token) {
            Some(id) => Ok(id),
            None => Ok(self.look_up(store, token).await?.id),
        }
    }

    /// The session that a token has now, whatever was believed.
    ///
    /// # Errors
    /// 404 when there is none, 503 when the database is away.
    pub async fn look_up(&self, store: &Store, token: &Token) -> Result<SessionRecord, Problem> {
        let Some(session) = sessions::find(store, token).await? else {
            self.forget(token);
            return Err(unknown(token));
        };
        self.remember(&session);
        Ok(session)
    }

    /// Believes that a token has this session, unless it is about to go.
    pub fn remember(&self, session: &SessionRecord) {
        if session.deleting_at.is_some() {
            return self.forget(&session.token);
        }
        let mut known = self.lock();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(session.token.clone(), (session.id, self.clock.now()));
    }

    fn believed(&self, token: &Token) -> Option<SessionId> {
        let (id, found_at) = *self.lock().get(token)?;
        (self.clock.now() - found_at < BELIEVED).then_some(id)
    }

    /// Forgets a token whose session was deleted.
    pub fn forget(&self, token: &Token) {
        self.lock().remove(token);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Token, (SessionId, Instant)>> {
        // Unwrap safety: nothing panics while the lock is held.
        #[allow(clippy::unwrap_used)]
        self.known.lock().unwrap()
    }
}

/// The answer to a token that no session has.
pub fn unknown(token: &Token) -> Problem {
    Problem::new(Code::SessionNotFound, format!("no session has the token {token}"))
}

/// The answer to new work for a session that is being deleted, and to a new session of its token.
pub fn being_deleted(token: &Token) -> Problem {
    let text = format!(
        "the session {token} is being deleted; try again when it is gone, delete it again if it stays"
    );
    Problem::new(Code::SessionBeingDeleted, text).retry_after(GONE_AFTER)
}
