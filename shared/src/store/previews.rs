//! What is shown of the pages that texts link to: written before anybody is sent to, read by who sends, also again.

use bytes::Bytes;
use tokio_postgres::Row;

use super::leases::{self, Fence};
use super::{Store, StoreError};
use crate::id::QueueId;

/// What is shown of a page.
#[derive(Clone, Eq, PartialEq)]
pub struct Preview {
    /// The link, as it stands in the text.
    pub link: String,
    /// What the page is called.
    pub title: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// A small JPEG of its picture.
    pub thumbnail: Option<Bytes>,
}

impl std::fmt::Debug for Preview {
    /// What is sent is never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Preview")
    }
}

/// What became of the page of a queue; `None` if it was not asked for yet, and nothing where nothing was to be had.
pub async fn find(store: &Store, queue: QueueId) -> Result<Option<Option<Preview>>, StoreError> {
    let sql = "-- previews::find
        SELECT p.link, p.title, p.description, p.thumbnail AS small_picture FROM queue_preview p WHERE p.queue_id = $1 /* queue */";
    let row = store.query_opt(sql, &[&queue.as_uuid()]).await?;
    row.as_ref().map(record).transpose()
}

/// Notes what is shown for a queue, or that nothing is; of a queue that is gone there is nothing to note.
///
/// # Errors
/// [`StoreError::Fenced`] if the shard is another's.
pub async fn save(
    store: &Store,
    fence: Fence,
    queue: QueueId,
    preview: Option<&Preview>,
) -> Result<(), StoreError> {
    let sql = "-- previews::save
        INSERT INTO queue_preview (queue_id, link, title, description, thumbnail)
        SELECT q.id, $2, $3, $4, $5 FROM queue q WHERE q.id = $1 /* queue */ FOR KEY SHARE
        ON CONFLICT DO NOTHING";
    let tx = store.begin("save_preview").await?;
    leases::hold(&tx, fence).await?;
    tx.execute(
        sql,
        &[
            &queue.as_uuid(),
            &preview.map(|preview| &preview.link),
            &preview.map(|preview| &preview.title),
            &preview.and_then(|preview| preview.description.as_ref()),
            &preview.and_then(|preview| preview.thumbnail.as_deref()),
        ],
    )
    .await?;
    tx.commit().await
}

/// The preview of a row that may have none.
pub(super) fn record(row: &Row) -> Result<Option<Preview>, StoreError> {
    let (link, title): (Option<String>, Option<String>) = (row.try_get("link")?, row.try_get("title")?);
    let Some((link, title)) = link.zip(title) else {
        return Ok(None);
    };
    let (description, thumbnail): (_, Option<&[u8]>) =
        (row.try_get("description")?, row.try_get("small_picture")?);
    Ok(Some(Preview {
        link,
        title,
        description,
        thumbnail: thumbnail.map(Bytes::copy_from_slice),
    }))
}
