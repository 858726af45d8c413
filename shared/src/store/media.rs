//! Files that callers upload to be sent, as far as the database knows of them.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{Store, StoreError, Tx};
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

/// A file that begins to come.
#[derive(Clone, Copy, Debug)]
pub struct NewMedia<'a> {
    /// What sends are to name it by.
    pub id: MediaId,
    /// Its type, if its caller says.
    pub mimetype: Option<&'a str>,
    /// How many bytes it has at least.
    pub at_least: u64,
    /// The time.
    pub now: OffsetDateTime,
}

/// What has come of a file, which is all of it.
#[derive(Clone, Copy, Debug)]
pub struct WholeMedia {
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
    /// When it goes.
    pub expires_at: OffsetDateTime,
}

/// What all files may take together, whichever process takes them in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// How many there may be, with those that are under way.
    pub files: u64,
    /// How many bytes those may have that have come as a whole.
    pub bytes: u64,
}

/// After this a file that has not come as a whole is given up.
const UNFINISHED: Duration = Duration::from_secs(24 * 3600);
/// Files that are removed at a time.
const EXPIRED_MAX: u32 = 100;

/// The advisory lock of those who count files; any number that nobody else takes.
const COUNTING_LOCK: i64 = 0x6661_6e66_6d65;

const COLUMNS: &str = "id, mimetype, length, sha256, created_at, expires_at";

/// Notes a file that begins to come, if there is room for it; how many bytes there is room for.
pub async fn begin(store: &Store, new: NewMedia<'_>, room: Room) -> Result<Option<u64>, StoreError> {
    let tx = counting(store, "media_begin").await?;
    let taken = taken(&tx).await?;
    let left = room.bytes.saturating_sub(taken.bytes);
    if taken.files >= room.files || left < new.at_least.max(1) {
        tx.rollback().await?;
        return Ok(None);
    }
    let sql = "-- media::begin
        INSERT INTO media (id, mimetype, created_at, expires_at) VALUES ($1, $2 /* mimetype */, $3 /* now */, $4)";
    let statement = tx.prepare_cached(sql).await?;
    let until = new.now + UNFINISHED;
    tx.execute(&statement, &[&new.id.as_uuid(), &new.mimetype, &new.now, &until])
        .await?;
    tx.commit().await?;
    Ok(Some(left))
}

/// The file has come as a whole; `None` if others have taken its room meanwhile.
pub async fn finish(
    store: &Store,
    id: MediaId,
    whole: &WholeMedia,
    room: Room,
) -> Result<Option<MediaRecord>, StoreError> {
    let tx = counting(store, "media_finish").await?;
    if taken(&tx).await?.bytes.saturating_add(whole.length) > room.bytes {
        tx.rollback().await?;
        return Ok(None);
    }
    let sql = format!(
        "-- media::finish
        UPDATE media SET length = $2 /* length */, sha256 = $3 /* hash */, expires_at = $4 /* expires */
        WHERE id = $1 RETURNING {COLUMNS}"
    );
    let length = i64::try_from(whole.length).map_err(|_| StoreError::Corrupt("length"))?;
    let statement = tx.prepare_cached(&sql).await?;
    let parameters: [&(dyn ToSql + Sync); 4] = [
        &id.as_uuid(),
        &length,
        &whole.sha256.as_slice(),
        &whole.expires_at,
    ];
    let row = tx.query_one(&statement, &parameters).await?;
    tx.commit().await?;
    record(&row).map(Some)
}

/// Waits until nobody else counts what there is: what two see that there is room for, one of them takes.
async fn counting(store: &Store, name: &'static str) -> Result<Tx, StoreError> {
    let tx = store.begin(name).await?;
    let sql = "-- media::counting\nSELECT pg_advisory_xact_lock($1)";
    tx.execute(sql, &[&COUNTING_LOCK]).await?;
    Ok(tx)
}

/// What there is, also what is over its time and not removed yet.
async fn taken(tx: &Tx) -> Result<Room, StoreError> {
    let sql = "-- media::taken\nSELECT count(*), coalesce(sum(length), 0)::bigint FROM media";
    let statement = tx.prepare_cached(sql).await?;
    let row = tx.query_one(&statement, &[]).await?;
    let count = |at: usize| {
        let count: i64 = row.try_get(at)?;
        u64::try_from(count).map_err(|_| StoreError::Corrupt("count of files"))
    };
    Ok(Room {
        files: count(0)?,
        bytes: count(1)?,
    })
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

/// Notes what the file store calls a file that begins to come.
pub async fn note_upload(store: &Store, id: MediaId, upload: &str) -> Result<(), StoreError> {
    let sql = "-- media::note_upload\nUPDATE media SET upload = $2 /* upload */ WHERE id = $1";
    store.execute(sql, &[&id.as_uuid(), &upload]).await?;
    Ok(())
}

/// Whether a file has not come as a whole, and what the file store calls it then.
pub async fn unfinished(store: &Store, id: MediaId) -> Result<Option<Option<String>>, StoreError> {
    let sql = "-- media::unfinished\nSELECT upload FROM media WHERE id = $1 AND length IS NULL";
    let row = store.query_opt(sql, &[&id.as_uuid()]).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
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
