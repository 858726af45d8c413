//! Files that callers upload to be sent: taken in a piece at a time, and removed when their time is over.
//!
//! A row is made before a file and removed after it, so that whatever is killed when, no file is forgotten. Knows no route.

mod settings;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use shared::clock::Clock;
use shared::files::{FileStore, FileStoreError, FileWriter};
use shared::id::MediaId;
use shared::store::media::{self, MediaRecord, NewMedia, Room, WholeMedia};
use shared::store::{Store, StoreError};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use self::settings::UploadSettings;

/// How long the next piece of a file may take.
const PIECE_PATIENCE: Duration = Duration::from_secs(60);
/// How often files whose time is over are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Takes files in.
#[derive(Clone, Debug)]
pub struct Uploads {
    files: Option<FileStore>,
    max_bytes: u64,
    keep: Duration,
    room: Room,
    turns: Arc<Semaphore>,
}

/// A file that a caller gives.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// What it is to be named by.
    pub id: MediaId,
    /// Its type, if that is said.
    pub mimetype: Option<String>,
    /// Its length, if that is said.
    pub length: Option<u64>,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// There is nowhere to put it.
    #[error("files can't be uploaded: MEDIA_STORE is not set")]
    NoStore,
    /// As many come in as may at a time.
    #[error("as many files are being uploaded as may be at a time (MEDIA_UPLOADS)")]
    Busy,
    /// There is no room for it.
    #[error(
        "there is no room for it: all uploaded files may be {} and have {} bytes (MEDIA_STORE_FILES, MEDIA_STORE_BYTES); \
         delete some, or wait until they expire",
        .0.files, .0.bytes
    )]
    Full(Room),
    /// It is larger than it may be.
    #[error("the file is larger than {0} bytes (MEDIA_MAX_BYTES)")]
    TooLarge(u64),
    /// It says nothing.
    #[error("must not be empty")]
    Empty,
    /// It did not come in time.
    #[error("nothing more of the file came for {} seconds", PIECE_PATIENCE.as_secs())]
    Late,
    /// It broke off.
    #[error("the file did not come to its end: {0}")]
    BrokeOff(String),
    /// The store fails.
    #[error(transparent)]
    Files(#[from] FileStoreError),
    /// The database fails.
    #[error(transparent)]
    Database(#[from] StoreError),
}

impl Default for Uploads {
    /// Takes none.
    fn default() -> Self {
        Self::of(None, &UploadSettings::default())
    }
}

impl Uploads {
    /// As set.
    ///
    /// # Errors
    /// [`FileStoreError`]: the place where files are to be kept is none.
    pub fn new(settings: &UploadSettings) -> Result<Self, FileStoreError> {
        let files = settings.place.as_ref().map(FileStore::open).transpose()?;
        Ok(Self::of(files, settings))
    }

    fn of(files: Option<FileStore>, settings: &UploadSettings) -> Self {
        Self {
            files,
            max_bytes: settings.max_bytes,
            keep: settings.keep,
            room: settings.room,
            turns: Arc::new(Semaphore::new(settings.at_a_time)),
        }
    }

    /// Takes a file in.
    ///
    /// # Errors
    /// [`UploadError`]: nothing of it is kept.
    pub async fn take(
        &self,
        store: &Store,
        clock: Clock,
        new: NewFile,
        pieces: impl Stream<Item = Result<Bytes, String>> + Unpin,
    ) -> Result<MediaRecord, UploadError> {
        let files = self.files.as_ref().ok_or(UploadError::NoStore)?;
        let _turn = self.turns.try_acquire().map_err(|_| UploadError::Busy)?;
        if new.length.is_some_and(|length| length > self.max_bytes) {
            return Err(UploadError::TooLarge(self.max_bytes));
        }
        let room = self.begin(store, clock, &new).await?;
        let writer = match files.begin(new.id).await {
            Ok(writer) => writer,
            Err(error) => {
                media::forget(store, new.id).await?;
                return Err(error.into());
            }
        };
        let taken = async {
            if let Some(upload) = writer.upload() {
                media::note_upload(store, new.id, upload).await?;
            }
            let (length, sha256) = self.write((pieces, new.length), writer, room).await?;
            let whole = WholeMedia {
                length,
                sha256,
                expires_at: clock.wall() + self.keep,
            };
            let finished = media::finish(store, new.id, &whole, self.room).await?;
            finished.ok_or(UploadError::Full(self.room))
        };
        let taken = taken.await;
        if taken.is_err() {
            // Where that fails too, it goes when its time is over.
            self.delete(store, new.id).await.ok();
        }
        taken
    }

    /// Notes a file; how many bytes there is room for.
    async fn begin(&self, store: &Store, clock: Clock, new: &NewFile) -> Result<u64, UploadError> {
        let noted = NewMedia {
            id: new.id,
            mimetype: new.mimetype.as_deref(),
            at_least: new.length.unwrap_or_default(),
            now: clock.wall(),
        };
        if let Some(left) = media::begin(store, noted, self.room).await? {
            return Ok(left);
        }
        // What is over its time takes room until it is removed.
        self.sweep_once(store).await?;
        let left = media::begin(store, noted, self.room).await?;
        left.ok_or(UploadError::Full(self.room))
    }

    /// Writes a whole file; answers its length and hash. Of one that does not come to its end nothing is left.
    async fn write(
        &self,
        (pieces, told): (impl Stream<Item = Result<Bytes, String>> + Unpin, Option<u64>),
        mut writer: FileWriter,
        room: u64,
    ) -> Result<(u64, [u8; 32]), UploadError> {
        let copied = match self.copy(pieces, &mut writer, room).await {
            Ok((length, _)) if told.is_some_and(|told| told != length) => {
                Err(UploadError::BrokeOff("it is shorter than was said".to_owned()))
            }
            copied => copied,
        };
        match copied {
            Ok(copied) => {
                writer.finish().await?;
                Ok(copied)
            }
            Err(error) => {
                writer.abort().await;
                Err(error)
            }
        }
    }

    /// Writes all pieces; answers their length and hash.
    async fn copy(
        &self,
        mut pieces: impl Stream<Item = Result<Bytes, String>> + Unpin,
        writer: &mut FileWriter,
        room: u64,
    ) -> Result<(u64, [u8; 32]), UploadError> {
        let (mut length, mut hash) = (0, Sha256::new());
        loop {
            let piece = timeout(PIECE_PATIENCE, pieces.next()).await;
            let Some(piece) = piece.map_err(|_| UploadError::Late)? else {
                break;
            };
            let piece = piece.map_err(UploadError::BrokeOff)?;
            length += piece.len() as u64;
            if length > self.max_bytes {
                return Err(UploadError::TooLarge(self.max_bytes));
            }
            if length > room {
                return Err(UploadError::Full(self.room));
            }
            hash.update(&piece);
            writer.write(piece).await?;
        }
        match length {
            0 => Err(UploadError::Empty),
            length => Ok((length, hash.finalize().into())),
        }
    }

    /// Removes a file.
    ///
    /// # Errors
    /// [`UploadError`]: it may still be there, and is removed when its time is over.
    pub async fn delete(&self, store: &Store, id: MediaId) -> Result<(), UploadError> {
        let files = self.files.as_ref().ok_or(UploadError::NoStore)?;
        if let Some(upload) = media::unfinished(store, id).await? {
            files.give_up(id, upload.as_deref()).await?;
        }
        files.delete(id).await?;
        Ok(media::forget(store, id).await?)
    }

    /// Removes files whose time is over, until it is stopped. Several may do so at once.
    pub async fn sweep(self, store: Store, stop: CancellationToken) {
        if self.files.is_none() {
            return;
        }
        loop {
            if let Err(error) = self.sweep_once(&store).await {
                tracing::warn!(%error, "files whose time is over could not be removed; the next sweep will");
            }
            tokio::select! {
                () = sleep(SWEEP_EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Removes the files whose time is over.
    ///
    /// # Errors
    /// [`UploadError`]: some are left.
    pub async fn sweep_once(&self, store: &Store) -> Result<(), UploadError> {
        loop {
            let expired = media::expired(store).await?;
            if expired.is_empty() {
                return Ok(());
            }
            for id in expired {
                self.delete(store, id).await?;
            }
        }
    }
}
