//! Files of messages that came in: where they are, and what opens them. Written with the event of their message
//! ([`commit`](super::commit)); read by who downloads one.

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::leases::{self, Fence};
use super::{Store, StoreError};
use crate::id::{SessionId, StanzaId};

/// The file of a message that came in.
#[derive(Clone, Eq, PartialEq)]
pub struct ReceivedMedia {
    /// The message.
    pub message: StanzaId,
    /// The chat, as the message named it.
    pub chat: String,
    /// Who sent it, in a group.
    pub participant: Option<String>,
    /// Whether another device of the account sent it.
    pub from_me: bool,
    /// What its keys are derived for.
    pub kind: FileKind,
    /// Its type, as its sender says.
    pub mimetype: String,
    /// Its name, as its sender says.
    pub file_name: Option<String>,
    /// The length of what it says in bytes, as its sender says.
    pub length: Option<u64>,
    /// Its key.
    pub key: [u8; 32],
    /// SHA-256 of what it says.
    pub sha256: [u8; 32],
    /// SHA-256 of the encrypted file.
    pub enc_sha256: [u8; 32],
    /// Where it is at any media host.
    pub direct_path: String,
    /// When it came.
    pub received_at: OffsetDateTime,
    /// When it is forgotten.
    pub expires_at: OffsetDateTime,
}

impl std::fmt::Debug for ReceivedMedia {
    /// Keys, names and places are never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReceivedMedia({}, {:?})", self.message, self.kind)
    }
}

/// What the keys of a file are derived for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileKind {
    /// A picture or a sticker.
    Image,
    /// A film.
    Video,
    /// Sound.
    Audio,
    /// Any other file.
    Document,
}

impl FileKind {
    const ALL: [Self; 4] = [Self::Image, Self::Video, Self::Audio, Self::Document];

    pub(in crate::store) fn code(self) -> i16 {
        self as i16
    }

    fn from_code(code: i16) -> Result<Self, StoreError> {
        let kind = Self::ALL.into_iter().find(|kind| kind.code() == code);
        kind.ok_or(StoreError::Corrupt("kind"))
    }
}

/// Rows that are forgotten at a time.
const PURGE_MAX: u32 = 10_000;

/// The file of a message. An id names one message of a chat; of two chats the message that came first counts, so that
/// nobody takes the place of another's by repeating an id.
pub async fn find(
    store: &Store,
    session: SessionId,
    message: &StanzaId,
) -> Result<Option<ReceivedMedia>, StoreError> {
    let sql = "-- received::find
        SELECT m.message_id, m.chat, m.participant, m.from_me, m.kind, m.mimetype, m.file_name, m.length, m.media_key,
            m.sha256, m.enc_sha256, m.direct_path, m.received_at, m.expires_at
        FROM received_media m WHERE m.session_id = $1 /* session */ AND m.message_id = $2 /* message */
            AND m.expires_at > now()
        ORDER BY m.received_at, m.chat LIMIT 1";
    let row = store.query_opt(sql, &[&session.get(), &message.as_str()]).await?;
    row.as_ref().map(record).transpose()
}

/// The file is at another path from now on.
///
/// # Errors
/// [`StoreError::Fenced`] if the shard is another's.
pub async fn moved(
    store: &Store,
    fence: Fence,
    session: SessionId,
    (file, path): (&ReceivedMedia, &str),
) -> Result<(), StoreError> {
    let sql = "-- received::moved
        UPDATE received_media SET direct_path = $4 /* path */
        WHERE session_id = $1 /* session */ AND message_id = $2 /* message */ AND chat = $3 /* chat */";
    let tx = store.begin("move_media").await?;
    leases::hold(&tx, fence).await?;
    let message = file.message.as_str();
    tx.execute(sql, &[&session.get(), &message, &file.chat, &path])
        .await?;
    tx.commit().await
}

/// Forgets what has expired, a piece at a time; returns how much.
pub async fn purge(store: &Store) -> Result<u64, StoreError> {
    let sql = "-- received::purge
        DELETE FROM received_media WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM received_media WHERE expires_at <= now() LIMIT $1 /* limit */))";
    store.execute(sql, &[&i64::from(PURGE_MAX)]).await
}

fn record(row: &Row) -> Result<ReceivedMedia, StoreError> {
    let message: &str = row.try_get("message_id")?;
    let length: Option<i64> = row.try_get("length")?;
    Ok(ReceivedMedia {
        message: StanzaId::new(message).map_err(|_| StoreError::Corrupt("message_id"))?,
        chat: row.try_get("chat")?,
        participant: row.try_get("participant")?,
        from_me: row.try_get("from_me")?,
        kind: FileKind::from_code(row.try_get("kind")?)?,
        mimetype: row.try_get("mimetype")?,
        file_name: row.try_get("file_name")?,
        length: length.and_then(|length| u64::try_from(length).ok()),
        key: bytes32(row, "media_key")?,
        sha256: bytes32(row, "sha256")?,
        enc_sha256: bytes32(row, "enc_sha256")?,
        direct_path: row.try_get("direct_path")?,
        received_at: row.try_get("received_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}

fn bytes32(row: &Row, name: &'static str) -> Result<[u8; 32], StoreError> {
    let bytes: &[u8] = row.try_get(name)?;
    bytes.try_into().map_err(|_| StoreError::Corrupt(name))
}
