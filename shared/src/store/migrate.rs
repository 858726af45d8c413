//! The embedded migrations and their runner.

use sha2::{Digest, Sha256};

use super::{Store, StoreError};

/// One migration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Migration {
    /// Its number.
    pub version: i32,
    /// What it does, in a word.
    pub name: &'static str,
    sql: &'static str,
}

/// The migrations from their versions, names and files.
macro_rules! migrations {
    ($($version:literal $name:literal in $file:literal,)+) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../migrations/", $file)),
        },)+]
    };
}

pub(super) const MIGRATIONS: &[Migration] = migrations! {
    1 "cluster" in "0001_cluster.sql",
    2 "sessions" in "0002_sessions.sql",
    3 "queues" in "0003_queues.sql",
    4 "outbox" in "0004_outbox.sql",
    5 "webhooks" in "0005_webhooks.sql",
    6 "idempotency" in "0006_idempotency.sql",
    7 "sweeps" in "0007_sweeps.sql",
    8 "outbox order" in "0008_outbox_order.sql",
    9 "session ends" in "0009_session_ends.sql",
    10 "client version" in "0010_client_version.sql",
    11 "restrictions" in "0011_restrictions.sql",
    12 "passkey" in "0012_passkey.sql",
    13 "presence" in "0013_presence.sql",
    14 "numbers" in "0014_numbers.sql",
    15 "attempts" in "0015_attempts.sql",
    16 "queues" in "0016_queues.sql",
    17 "webhooks changed" in "0017_webhooks.sql",
    18 "proxy" in "0018_proxy.sql",
    19 "media" in "0019_media.sql",
    20 "schedules" in "0020_schedules.sql",
    21 "variables" in "0021_variables.sql",
    22 "chats" in "0022_chats.sql",
    23 "received media" in "0023_received_media.sql",
    24 "uploaded media" in "0024_uploaded_media.sql",
    25 "chats that were sent to" in "0025_chats_sent.sql",
    26 "previews" in "0026_previews.sql",
    28 "chat states" in "0028_chat_state.sql",
    29 "polls" in "0029_polls.sql",
    30 "people" in "0030_people.sql",
    31 "gaps and polls" in "0031_gaps_and_polls.sql",
    32 "traces" in "0032_traces.sql",
    33 "state before" in "0033_state_before.sql",
    34 "survey" in "0034_survey.sql",
    36 "labels" in "0036_labels.sql",
};

/// The version this program works with.
pub const SCHEMA_VERSION: i32 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// The advisory lock that lets one runner through at a time; any number that nobody else takes.
const LOCK: i64 = 0x00fa_4fa9_e000_0001;

/// The version of a schema with these migrations: the last one with all before it, or a newer one than this program's.
fn version_of(applied: &[i32]) -> i32 {
    let newest = applied.iter().copied().max().unwrap_or_default();
    if newest > SCHEMA_VERSION {
        return newest;
    }
    let whole = MIGRATIONS.iter().map(|migration| migration.version);
    let whole = whole.take_while(|version| applied.contains(version));
    whole.last().unwrap_or_default()
}

impl Store {
    /// Brings the schema to this program's version, all in one transaction; returns the migrations applied now.
    ///
    /// # Errors
    /// [`StoreError::Changed`], [`StoreError::Schema`] (a newer schema), [`StoreError::Unavailable`].
    pub async fn migrate(&self) -> Result<Vec<Migration>, StoreError> {
        self.apply(MIGRATIONS).await
    }

    /// Applies those of `migrations` that were not, in their order, whatever came after them before.
    pub(super) async fn apply(&self, migrations: &[Migration]) -> Result<Vec<Migration>, StoreError> {
        let tx = self.begin("migrate").await?;
        tx.batch_execute("SET LOCAL statement_timeout = 0").await?;
        tx.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        tx.batch_execute(
            "CREATE TABLE IF NOT EXISTS migration (
             version    integer     PRIMARY KEY,
             name       text        NOT NULL,
             checksum   bytea       NOT NULL,
             applied_at timestamptz NOT NULL DEFAULT clock_timestamp())",
        )
        .await?;
        let rows = tx
            .query("SELECT version, checksum FROM migration ORDER BY version", &[])
            .await?;
        let mut applied = std::collections::HashMap::new();
        for row in &rows {
            applied.insert(row.try_get::<_, i32>(0)?, row.try_get::<_, Vec<u8>>(1)?);
        }
        if let Some(found) = applied
            .keys()
            .copied()
            .max()
            .filter(|found| *found > SCHEMA_VERSION)
        {
            return Err(StoreError::Schema {
                found,
                needed: SCHEMA_VERSION,
            });
        }
        let mut done = Vec::new();
        for migration in migrations {
            let checksum = Sha256::digest(migration.sql.as_bytes()).to_vec();
            match applied.get(&migration.version) {
                Some(known) if *known == checksum => {}
                Some(_) => return Err(StoreError::Changed(migration.version)),
                None => {
                    tx.batch_execute(migration.sql).await?;
                    tx.execute(
                        "INSERT INTO migration (version, name, checksum) VALUES ($1, $2, $3)",
                        &[&migration.version, &migration.name, &checksum],
                    )
                    .await?;
                    done.push(*migration);
                }
            }
        }
        tx.commit().await?;
        Ok(done)
    }

    /// Refuses a schema of another version, and one that lacks a migration before its last.
    ///
    /// # Errors
    /// [`StoreError::Schema`], [`StoreError::Unavailable`].
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        let client = self.client().await?;
        let exists: bool = client
            .query_one("SELECT to_regclass('migration') IS NOT NULL", &[])
            .await?
            .try_get(0)?;
        let mut applied: Vec<i32> = Vec::new();
        if exists {
            let sql = "SELECT version FROM migration ORDER BY version";
            for row in client.query(sql, &[]).await? {
                applied.push(row.try_get(0)?);
            }
        }
        let found = version_of(&applied);
        if found == SCHEMA_VERSION {
            Ok(())
        } else {
            Err(StoreError::Schema {
                found,
                needed: SCHEMA_VERSION,
            })
        }
    }
}
