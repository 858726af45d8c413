//! Which tokens belong to a session, remembered for a short while so that a single message costs no query.
//!
//! Only finds are remembered: a token that was unknown is looked up again. A job for a session that was deleted a
//! moment ago is still answered, by the worker, with `job.rejected`.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use shared::id::{SessionId, Token};
use shared::store::{Store, sessions};
use tokio::time::Instant;

use crate::problem::{Code, Problem};

/// How long a find is believed.
const BELIEVED: Duration = Duration::from_secs(10);

/// Most tokens that are remembered; more, and all are forgotten at once.
const REMEMBERED_MAX: usize = 100_000;

/// Remembers finds.
#[derive(Debug, Default)]
pub struct TokenCache {
    known: Mutex<HashMap<Token, (SessionId, Instant)>>,
}

impl TokenCache {
    /// The session of a token.
    ///
    /// # Errors
    /// 404 when there is none, 503 when the database is away.
    pub async fn session(&self, store: &Store, token: &Token) -> Result<SessionId, Problem> {
        if let Some((id, found_at)) = self.lock().get(token)
            && found_at.elapsed() < BELIEVED
        {
            return Ok(*id);
        }
        let session = sessions::find(store, token)
            .await?
            .ok_or_else(|| unknown(token))?;
        let mut known = self.lock();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(token.clone(), (session.id, Instant::now()));
        Ok(session.id)
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
