//! The files of queues, as they were uploaded: written before anybody is sent to, read by who sends, also again.

use bytes::Bytes;
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::leases::{self, Fence};
use super::{Store, StoreError};
use crate::id::QueueId;

/// A file at the media hosts.
#[derive(Clone, Eq, PartialEq)]
pub struct Upload {
    /// When it was taken.
    pub uploaded_at: OffsetDateTime,
    /// Its type.
    pub mimetype: String,
    /// Whether it goes as a document, not being of the kind that it was to be sent as.
    pub as_document: bool,
    /// The length of what it says, in bytes.
    pub length: u64,
    /// Its key.
    pub key: [u8; 32],
    /// SHA-256 of what it says.
    pub sha256: [u8; 32],
    /// SHA-256 of the encrypted file.
    pub enc_sha256: [u8; 32],
    /// Where it is at any media host.
    pub direct_path: String,
    /// The same with a host.
    pub url: Option<String>,
    /// When it is there no more.
    pub expires_at: Option<OffsetDateTime>,
    /// What is known of it.
    pub facts: Facts,
}

/// Parts of a voice note whose loudness is told.
pub const WAVEFORM_PARTS: usize = 64;

/// What is known of a file, as far as it is: phones show it before the file is loaded.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Facts {
    /// How wide and how high a picture or a film is shown, in points.
    pub size: Option<(u32, u32)>,
    /// How long a film or a sound is.
    pub seconds: Option<u32>,
    /// A small JPEG of a picture.
    pub thumbnail: Option<Bytes>,
    /// How loud a voice note is in each part of it, 0 to 100.
    pub waveform: Option<[u8; WAVEFORM_PARTS]>,
    /// Whether a sticker moves.
    pub is_animated: bool,
}

impl std::fmt::Debug for Facts {
    /// What a file shows is never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Facts(size {:?}, seconds {:?})", self.size, self.seconds)
    }
}

impl std::fmt::Debug for Upload {
    /// Keys and places are never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upload({} bytes)", self.length)
    }
}

/// The newest upload of a queue's file.
pub async fn find(store: &Store, queue: QueueId) -> Result<Option<Upload>, StoreError> {
    let sql = "-- uploads::find
        SELECT u.uploaded_at, u.mimetype, u.as_document, u.length, u.media_key, u.sha256, u.enc_sha256, u.direct_path, u.url,
            u.expires_at, u.width, u.height, u.seconds, u.thumbnail, u.waveform, u.is_animated
        FROM queue_upload u WHERE u.queue_id = $1 /* queue */ ORDER BY u.uploaded_at DESC LIMIT 1";
    let row = store.query_opt(sql, &[&queue.as_uuid()]).await?;
    row.as_ref().and_then(|row| record(row).transpose()).transpose()
}

/// Notes an upload; of a queue that is gone there is nothing to note.
///
/// # Errors
/// [`StoreError::Fenced`] if the shard is another's.
pub async fn save(store: &Store, fence: Fence, queue: QueueId, upload: &Upload) -> Result<(), StoreError> {
    let sql = "-- uploads::save
        INSERT INTO queue_upload (queue_id, uploaded_at, mimetype, as_document, length, media_key, sha256, enc_sha256,
            direct_path, url, expires_at, width, height, seconds, thumbnail, waveform, is_animated)
        SELECT q.id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17 FROM queue q WHERE q.id = $1 /* queue */ FOR KEY SHARE
        ON CONFLICT DO NOTHING";
    let length = i64::try_from(upload.length).map_err(|_| StoreError::Corrupt("length"))?;
    let facts = &upload.facts;
    let (width, height) = facts.size.map(stored_size).unzip();
    let seconds = facts.seconds.and_then(|seconds| i32::try_from(seconds).ok());
    let tx = store.begin("save_upload").await?;
    leases::hold(&tx, fence).await?;
    tx.execute(
        sql,
        &[
            &queue.as_uuid(),
            &upload.uploaded_at,
            &upload.mimetype,
            &upload.as_document,
            &length,
            &upload.key.as_slice(),
            &upload.sha256.as_slice(),
            &upload.enc_sha256.as_slice(),
            &upload.direct_path,
            &upload.url,
            &upload.expires_at,
            &width,
            &height,
            &seconds,
            &facts.thumbnail.as_deref(),
            &facts.waveform.as_ref().map(<[u8; WAVEFORM_PARTS]>::as_slice),
            &facts.is_animated,
        ],
    )
    .await?;
    tx.commit().await
}

/// The upload of a row that may have none.
pub(super) fn record(row: &Row) -> Result<Option<Upload>, StoreError> {
    let Some(uploaded_at) = row.try_get("uploaded_at")? else {
        return Ok(None);
    };
    let length: i64 = row.try_get("length")?;
    Ok(Some(Upload {
        uploaded_at,
        mimetype: row.try_get("mimetype")?,
        as_document: row.try_get("as_document")?,
        length: u64::try_from(length).map_err(|_| StoreError::Corrupt("length"))?,
        key: bytes32(row, "media_key")?,
        sha256: bytes32(row, "sha256")?,
        enc_sha256: bytes32(row, "enc_sha256")?,
        direct_path: row.try_get("direct_path")?,
        url: row.try_get("url")?,
        expires_at: row.try_get("expires_at")?,
        facts: facts(row)?,
    }))
}

fn facts(row: &Row) -> Result<Facts, StoreError> {
    let (width, height): (Option<i32>, Option<i32>) = (row.try_get("width")?, row.try_get("height")?);
    let whole = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok());
    let thumbnail: Option<&[u8]> = row.try_get("thumbnail")?;
    let waveform: Option<&[u8]> = row.try_get("waveform")?;
    let waveform = waveform.map(|parts| parts.try_into().map_err(|_| StoreError::Corrupt("waveform")));
    Ok(Facts {
        size: whole(width).zip(whole(height)),
        seconds: whole(row.try_get("seconds")?),
        thumbnail: thumbnail.map(Bytes::copy_from_slice),
        waveform: waveform.transpose()?,
        is_animated: row.try_get("is_animated")?,
    })
}

/// No picture or film is larger than what is stored of it can say.
fn stored_size((width, height): (u32, u32)) -> (i32, i32) {
    let stored = |points: u32| i32::try_from(points).unwrap_or(i32::MAX);
    (stored(width), stored(height))
}

fn bytes32(row: &Row, name: &'static str) -> Result<[u8; 32], StoreError> {
    let bytes: &[u8] = row.try_get(name)?;
    bytes.try_into().map_err(|_| StoreError::Corrupt(name))
}
