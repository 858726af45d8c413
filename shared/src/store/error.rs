//! What can go wrong with the database.

use tokio_postgres::error::SqlState;

use crate::seal::SealError;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached, or broke off. Nothing is known about a write in hand: it may be done or not.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The shard has another owner now: drop all that is in memory of it.
    #[error("the shard has another owner")]
    Fenced,
    /// It refused what it was given. A mistake of ours; trying again won't help.
    #[error("the database refused a write: {0}")]
    Refused(String),
    /// A row breaks our own rules.
    #[error("the database holds a row that it must not: {0}")]
    Corrupt(&'static str),
    /// A credential does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The schema is not the one this program was built with.
    #[error(
        "the database schema is version {found}, this program needs {needed}: run `fanfare-api migrate` of the same release"
    )]
    Schema {
        /// The version found.
        found: i32,
        /// The version needed.
        needed: i32,
    },
    /// A released migration was changed behind our back.
    #[error("migration {0} was applied with another text than this program has")]
    Changed(i32),
    /// The URL is not one of a database.
    #[error("DATABASE_URL is not usable: {0}")]
    Url(String),
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // 22 data exception, 23 constraint violation, 42 wrong SQL. The server's detail text can hold
            // personal data: only the code and the constraint's name are kept.
            Some(db)
                if ["22", "23", "42"]
                    .iter()
                    .any(|class| db.code().code().starts_with(class)) =>
            {
                let rule = db.constraint().or(db.column()).unwrap_or_default();
                tracing::debug!(
                    db.code = db.code().code(),
                    db.rule = rule,
                    "the database refused a statement"
                );
                Self::Refused(format!("{} {rule}", db.code().code()))
            }
            Some(db) => Self::Unavailable(format!("{} {}", db.code().code(), db.message())),
            None => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<deadpool_postgres::PoolError> for StoreError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Whether an error is the violation of a named constraint or unique index.
pub(crate) fn violates(error: &tokio_postgres::Error, constraint: &str) -> bool {
    let db = error.as_db_error();
    db.is_some_and(|db| {
        [SqlState::UNIQUE_VIOLATION, SqlState::FOREIGN_KEY_VIOLATION].contains(db.code())
            && db.constraint() == Some(constraint)
    })
}
