//! Answers to requests with an Idempotency-Key: the same key again gets the same answer. They are sealed: an answer
//! may hold a secret that is shown only once.

use std::time::Duration;

use super::{Store, StoreError};
use crate::id::SessionId;
use crate::seal::Place;

/// Most rows that one purge removes.
pub const PURGE_MAX: u32 = 1_000;

/// The kind under which answers are sealed: outside what a session's keys and webhooks use.
const ANSWER_KIND: u8 = 254;

/// What a repetition of a request is known by.
#[derive(Clone, Copy, Debug)]
pub struct RequestKey<'a> {
    /// Whose key it is: the same key elsewhere is another.
    pub scope: &'a str,
    /// The key, as its client chose it.
    pub key: &'a str,
}

impl RequestKey<'_> {
    /// Lengths apart, so that no two rows share a name.
    fn name(self) -> Vec<u8> {
        let Self { scope, key } = self;
        format!("{}:{scope}{key}", scope.len()).into_bytes()
    }
}

/// What is known of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reservation {
    /// Nothing: it is reserved now. Do the work, then [`complete`] or [`abandon`].
    New,
    /// Another request with this key is at work.
    InProgress,
    /// The work was done: this was answered.
    Done {
        /// HTTP status.
        status: u16,
        /// Body.
        body: Vec<u8>,
    },
    /// The key was used with another request.
    Mismatch,
}

/// Reserves a key. A reservation whose worker died can be had again after `lock`; an answer is kept for `keep`.
///
/// # Errors
/// [`StoreError::Unavailable`]; [`StoreError::Seal`], if the kept answer does not open.
pub async fn reserve(
    store: &Store,
    request: RequestKey<'_>,
    fingerprint: &[u8; 32],
    lock: Duration,
    keep: Duration,
) -> Result<Reservation, StoreError> {
    // Takes a new key, one that has expired, or one whose worker gave no answer in time.
    let take = "-- idempotency::reserve
        INSERT INTO idempotency AS i (scope, key, fingerprint, locked_until, expires_at)
        VALUES ($1 /* scope */, $2 /* key */, $3 /* fingerprint */,
            clock_timestamp() + $4 /* lock */ * interval '1 second',
            clock_timestamp() + $5 /* keep */ * interval '1 second')
        ON CONFLICT (scope, key) DO UPDATE SET fingerprint = excluded.fingerprint, status = NULL, body = NULL,
            locked_until = excluded.locked_until, expires_at = excluded.expires_at
        WHERE i.expires_at <= clock_timestamp()
           OR (i.locked_until <= clock_timestamp() AND i.fingerprint = excluded.fingerprint)
        RETURNING 1";
    let look = "-- idempotency::reserve (look)
        SELECT fingerprint, status, body FROM idempotency WHERE scope = $1 AND key = $2";
    let taken = store
        .query_opt(
            take,
            &[
                &request.scope,
                &request.key,
                &fingerprint.as_slice(),
                &lock.as_secs_f64(),
                &keep.as_secs_f64(),
            ],
        )
        .await?;
    if taken.is_some() {
        return Ok(Reservation::New);
    }
    let Some(row) = store.query_opt(look, &[&request.scope, &request.key]).await? else {
        // Abandoned between the two statements: the caller's next try gets it.
        return Ok(Reservation::InProgress);
    };
    if row.try_get::<_, &[u8]>(0)? != fingerprint {
        return Ok(Reservation::Mismatch);
    }
    let (status, sealed): (Option<i16>, Option<&[u8]>) = (row.try_get(1)?, row.try_get(2)?);
    match (status.and_then(|status| u16::try_from(status).ok()), sealed) {
        (Some(status), Some(sealed)) => {
            let body = store.sealer()?.open(place(&request.name()), sealed)?;
            Ok(Reservation::Done { status, body })
        }
        _ => Ok(Reservation::InProgress),
    }
}

/// Keeps the answer of a reserved key.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Seal`].
pub async fn complete(
    store: &Store,
    request: RequestKey<'_>,
    status: u16,
    body: &[u8],
) -> Result<(), StoreError> {
    let sql = "-- idempotency::complete
        UPDATE idempotency SET status = $3, body = $4, locked_until = NULL
        WHERE scope = $1 AND key = $2 AND status IS NULL";
    let status = i16::try_from(status).unwrap_or(500);
    let sealed = store.sealer()?.seal(place(&request.name()), body);
    store
        .execute(sql, &[&request.scope, &request.key, &status, &sealed])
        .await?;
    Ok(())
}

/// Gives a reserved key back: the work was not done, and may be tried again at once.
pub async fn abandon(store: &Store, request: RequestKey<'_>) -> Result<(), StoreError> {
    let sql =
        "-- idempotency::abandon\nDELETE FROM idempotency WHERE scope = $1 AND key = $2 AND status IS NULL";
    store.execute(sql, &[&request.scope, &request.key]).await?;
    Ok(())
}

/// Forgets what has expired, at most [`PURGE_MAX`]; returns how much.
pub async fn purge(store: &Store) -> Result<u64, StoreError> {
    let sql = "-- idempotency::purge
        DELETE FROM idempotency WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM idempotency WHERE expires_at <= now() LIMIT $1 /* limit */))";
    store.execute(sql, &[&i64::from(PURGE_MAX)]).await
}

const fn place(name: &[u8]) -> Place<'_> {
    Place {
        session: SessionId::new(0),
        kind: ANSWER_KIND,
        name,
    }
}
