//! Files that callers upload to be sent, as far as the database knows of them.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{Store, StoreError};
use crate::id::MediaId;

/// A file that has come as a whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaRecord {
    /// What sends name it by.
    pub id: MediaId,
    /// Its type, if its caller said.
    pub mimetype: Option<String>,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
    /// When it began to come.
    pub created_at: OffsetDateTime,
    /// When it goes.
    pub expires_at: OffsetDateTime,
}

/// After this a file that has not come as a whole is given up.
const UNFINISHED: Duration = Duration::from_secs(24 * 3600);
/// Files that are removed at a time.
const EXPIRED_MAX: u32 = 100;

const COLUMNS: &str = "id, mimetype, length, sha256, created_at, expires_at";

/// Notes a file that begins to come.
pub async fn begin(
    store: &Store,
    id: MediaId,
    mimetype: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let sql = "-- media::begin
        INSERT INTO media (id, mimetype, created_at, expires_at) VALUES ($1, $2 /* mimetype */, $3 /* now */, $4)";
    let until = now + UNFINISHED;
    store
        .execute(sql, &[&id.as_uuid(), &mimetype, &now, &until])
        .await?;
    Ok(())
}

/// The file has come as a whole: so many bytes with this hash.
pub async fn finish(
    store: &Store,
    id: MediaId,
    (length, sha256): (u64, [u8; 32]),
    expires_at: OffsetDateTime,
) -> Result<MediaRecord, StoreError> {
    let sql = format!(
        "-- media::finish
        UPDATE media SET length = $2 /* length */, sha256 = $3 /* hash */, expires_at = $4 /* expires */
        WHERE id = $1 RETURNING {COLUMNS}"
    );
    let length = i64::try_from(length).map_err(|_| StoreError::Corrupt("length"))?;
    let row = store
        .query_one(&sql, &[&id.as_uuid(), &length, &sha256.as_slice(), &expires_at])
        .await?;
    record(&row)
}

/// A file that has come as a whole, and is still kept.
pub async fn find(store: &Store, id: MediaId) -> Result<Option<MediaRecord>, StoreError> {
    let sql = format!(
        "-- media::find
        SELECT {COLUMNS} FROM media WHERE id = $1 AND length IS NOT NULL AND expires_at > now()"
    );
    let row = store.query_opt(&sql, &[&id.as_uuid()]).await?;
    row.as_ref().map(record).transpose()
}

/// Some files that are to go.
pub async fn expired(store: &Store) -> Result<Vec<MediaId>, StoreError> {
    let sql = "-- media::expired
        SELECT id FROM media WHERE expires_at <= now() ORDER BY expires_at LIMIT $1 /* limit */";
    let rows = store.query(sql, &[&i64::from(EXPIRED_MAX)]).await?;
    let ids = rows
        .iter()
        .map(|row| Ok(MediaId::new(row.try_get::<_, uuid::Uuid>(0)?)));
    ids.collect()
}

/// Forgets a file, which is gone.
pub async fn forget(store: &Store, id: MediaId) -> Result<(), StoreError> {
    let sql = "-- media::forget\nDELETE FROM media WHERE id = $1";
    store.execute(sql, &[&id.as_uuid()]).await?;
    Ok(())
}

fn record(row: &Row) -> Result<MediaRecord, StoreError> {
    let (length, sha256): (i64, &[u8]) = (row.try_get("length")?, row.try_get("sha256")?);
    Ok(MediaRecord {
        id: MediaId::new(row.try_get::<_, uuid::Uuid>("id")?),
        mimetype: row.try_get("mimetype")?,
        length: u64::try_from(length).map_err(|_| StoreError::Corrupt("length"))?,
        sha256: sha256.try_into().map_err(|_| StoreError::Corrupt("sha256"))?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}
