//! The version of WhatsApp Web that the whole deployment says it is: one row.
//!
//! Workers raise it to the one built into them and to what one of them reads from WhatsApp's page; nobody sets it back.
//! Whose turn it is to fetch, the row decides: a turn that is taken sets the next one on, so a worker that dies in the
//! middle costs the others one pause. All times are the database's own clock.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{Store, StoreError};
use crate::named::stored;

/// A version, as in `2.3000.1043857760`. A later one is greater.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WebVersion([u32; 3]);

impl WebVersion {
    /// From its numbers, the first one first.
    pub const fn new(numbers: [u32; 3]) -> Self {
        Self(numbers)
    }

    /// Its numbers, the first one first.
    pub const fn numbers(self) -> [u32; 3] {
        self.0
    }

    fn row(self) -> Vec<i64> {
        self.0.map(i64::from).to_vec()
    }

    fn read(row: &Row, column: &str) -> Result<Option<Self>, StoreError> {
        let numbers: Option<Vec<i64>> = row.try_get(column)?;
        let version = numbers.map(|numbers| {
            let numbers: Vec<u32> = numbers.into_iter().flat_map(u32::try_from).collect();
            let numbers = numbers.try_into().map(Self);
            numbers.map_err(|_| StoreError::Corrupt("a version is not three numbers"))
        });
        version.transpose()
    }
}

impl fmt::Display for WebVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, revision] = self.0;
        write!(f, "{major}.{minor}.{revision}")
    }
}

stored! {
    /// Where a version is from.
    Source {
        /// Built into a worker.
        BuiltIn = 0 "built-in",
        /// Read from WhatsApp's page.
        Page = 1 "page",
    }
}

/// A version with where and when it is from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Release {
    /// The version.
    pub version: WebVersion,
    /// Where it is from.
    pub source: Source,
    /// When WhatsApp built it, about.
    pub built_at: OffsetDateTime,
}

/// What is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Known {
    /// The current version; none before the first worker has started.
    pub release: Option<Release>,
    /// When the page was last believed.
    pub fetched_at: Option<OffsetDateTime>,
    /// What went wrong with the last fetch, if it did.
    pub failure: Option<String>,
    /// The latest version that WhatsApp refused, and when it last did.
    pub refused: Option<(WebVersion, OffsetDateTime)>,
    /// The version whose end is announced, and when that is.
    pub expiring: Option<(WebVersion, OffsetDateTime)>,
    /// When this was read.
    pub now: OffsetDateTime,
}

impl Known {
    /// When sessions of this version were last refused for it, or for a later one, if that was within `memory`.
    pub fn is_refused(&self, version: WebVersion, memory: Duration) -> Option<OffsetDateTime> {
        let (refused, at) = self.refused?;
        (refused >= version && at + memory > self.now).then_some(at)
    }

    /// When WhatsApp will begin to refuse this version, if that is announced.
    pub fn expires(&self, version: WebVersion) -> Option<OffsetDateTime> {
        let (expiring, at) = self.expiring?;
        (expiring == version).then_some(at)
    }
}

/// How often the page is fetched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// After a fetch that failed, or whose worker died.
    pub retry: Duration,
    /// While the current version is refused.
    pub refused: Duration,
    /// For how long a refusal counts after it was last met.
    pub refusal_lasts: Duration,
    /// While the end of the current version is announced.
    pub expiring: Duration,
}

/// Reads what is known.
pub async fn read(store: &Store) -> Result<Known, StoreError> {
    let sql = "-- client_version::read
        SELECT version, source, built_at, fetched_at, failure, refused, refused_at, expiring, expires_at,
            clock_timestamp() AS now
        FROM client_version";
    known(&store.query_one(sql, &[]).await?)
}

fn known(row: &Row) -> Result<Known, StoreError> {
    let dated = |version, at| -> Result<_, StoreError> {
        Ok(WebVersion::read(row, version)?.zip(row.try_get::<_, Option<OffsetDateTime>>(at)?))
    };
    let source = row.try_get::<_, Option<i16>>("source")?;
    let source = source.map(|code| Source::from_code(code).ok_or(StoreError::Corrupt("a version's source")));
    let release = dated("version", "built_at")?.zip(source.transpose()?);
    Ok(Known {
        release: release.map(|((version, built_at), source)| Release {
            version,
            source,
            built_at,
        }),
        fetched_at: row.try_get("fetched_at")?,
        failure: row.try_get("failure")?,
        refused: dated("refused", "refused_at")?,
        expiring: dated("expiring", "expires_at")?,
        now: row.try_get("now")?,
    })
}

/// Raises the version; one that is not newer than what is known changes nothing.
pub async fn raise(store: &Store, release: &Release) -> Result<(), StoreError> {
    let sql = "-- client_version::raise
        UPDATE client_version
        SET version = $1 /* version */, source = $2 /* source */, built_at = $3 /* built at */
        WHERE version IS NULL OR version < $1";
    let Release {
        version,
        source,
        built_at,
    } = release;
    store
        .execute(sql, &[&version.row(), &source.code(), built_at])
        .await?;
    Ok(())
}

/// Takes the turn to fetch the page, if it is time for that; whoever gets `true` fetches, and nobody else does until the
/// next one is due.
pub async fn take_turn(store: &Store, pace: &Pace) -> Result<bool, StoreError> {
    let sql = "-- client_version::take_turn
        UPDATE client_version
        SET tried_at = clock_timestamp(), failure = NULL,
            next_fetch_at = clock_timestamp() + $1 /* retry */ * interval '1 second'
        WHERE next_fetch_at <= clock_timestamp()
           OR (refused >= version AND refused_at > clock_timestamp() - $2 /* refusal lasts */ * interval '1 second'
               AND tried_at <= clock_timestamp() - $3 /* while refused */ * interval '1 second')
           OR (expiring = version AND tried_at <= clock_timestamp() - $4 /* while expiring */ * interval '1 second')";
    let [retry, lasts, refused, expiring] =
        [pace.retry, pace.refusal_lasts, pace.refused, pace.expiring].map(|time| time.as_secs_f64());
    let taken = store.execute(sql, &[&retry, &lasts, &refused, &expiring]).await?;
    Ok(taken > 0)
}

/// The page was read and believed: raises the version if it is newer, and sets the next turn for after `pause`.
pub async fn fetched(store: &Store, release: &Release, pause: Duration) -> Result<(), StoreError> {
    raise(store, release).await?;
    let sql = "-- client_version::fetched
        UPDATE client_version
        SET fetched_at = clock_timestamp(), failure = NULL,
            next_fetch_at = clock_timestamp() + $1 /* pause */ * interval '1 second'";
    store.execute(sql, &[&pause.as_secs_f64()]).await?;
    Ok(())
}

/// The page was not believed, for this reason, in our words. What is known stays.
pub async fn failed(store: &Store, why: &str) -> Result<(), StoreError> {
    let sql = "-- client_version::failed
        UPDATE client_version SET failure = left($1 /* why */, 200)";
    store.execute(sql, &[&why]).await?;
    Ok(())
}

/// WhatsApp refused a session for its version.
pub async fn refuse(store: &Store, version: WebVersion) -> Result<(), StoreError> {
    let sql = "-- client_version::refuse
        UPDATE client_version SET refused = $1 /* version */, refused_at = clock_timestamp()
        WHERE refused IS NULL OR refused <= $1";
    store.execute(sql, &[&version.row()]).await?;
    Ok(())
}

/// WhatsApp announced when it will refuse a version. Of several times for one version the earliest holds.
pub async fn expires(store: &Store, version: WebVersion, at: OffsetDateTime) -> Result<(), StoreError> {
    let sql = "-- client_version::expires
        UPDATE client_version SET expiring = $1 /* version */, expires_at = $2 /* at */
        WHERE expiring IS NULL OR expiring < $1 OR (expiring = $1 AND expires_at > $2)";
    store.execute(sql, &[&version.row(), &at]).await?;
    Ok(())
}

/// WhatsApp took back what it announced of a version.
pub async fn expires_no_more(store: &Store, version: WebVersion) -> Result<(), StoreError> {
    let sql = "-- client_version::expires_no_more
        UPDATE client_version SET expiring = NULL, expires_at = NULL WHERE expiring = $1 /* version */";
    store.execute(sql, &[&version.row()]).await?;
    Ok(())
}
