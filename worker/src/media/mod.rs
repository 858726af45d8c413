//! Files that messages carry: brought to this machine's disk, looked at, and sealed for WhatsApp.
//!
//! A file is never in memory beyond a piece of it. It lies on the disk twice for as long as it is worked on, as it came and
//! sealed: the address of an upload names the hash of the sealed file, so that must be known before its first byte leaves.
//! Both files have no name and are gone with the process, however that ends. Knows no session, no queue and no message.

mod fetch;
mod look;
mod prepare;
mod preview;
pub mod settings;
mod sniff;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use shared::egress::Reach;
use shared::files::{FileStore, FileStoreError};
use shared::store::uploads::Facts;
use shared::transfers::TransferThread;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use whatsapp::media::{MediaKey, MediaKind, Seal};

use self::look::Unreadable;
pub use self::settings::Settings;
use crate::guard;

/// Brings and prepares files. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    http: Arc<OnceLock<reqwest::Client>>,
    thread: Arc<OnceLock<TransferThread>>,
    settings: Settings,
    turns: Arc<Semaphore>,
    /// One picture is decoded at a time: it is in memory as a whole.
    pictures: Arc<Semaphore>,
    /// Only so many pages are asked at a time.
    pages: Arc<Semaphore>,
    /// Room for sealed files that wait to be uploaded again, in KiB.
    room: Arc<Semaphore>,
    /// What callers have uploaded.
    uploaded: Option<FileStore>,
}

impl Files {
    /// Of a worker with these settings.
    ///
    /// # Errors
    /// [`FileStoreError`]: the place where uploaded files are is none.
    pub(crate) fn new(settings: Settings) -> Result<Self, FileStoreError> {
        let turns = Arc::new(Semaphore::new(settings.at_a_time.get()));
        let room = usize::try_from(settings.kept_bytes / 1024).unwrap_or(Semaphore::MAX_PERMITS);
        Ok(Self {
            uploaded: settings.place.as_ref().map(FileStore::open).transpose()?,
            room: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))),
            http: Arc::default(),
            pages: Arc::new(Semaphore::new(settings.preview.at_a_time.get())),
            pictures: Arc::new(Semaphore::new(1)),
            thread: Arc::default(),
            settings,
            turns,
        })
    }

    /// The client, made when a file is first fetched: it holds the certificates of this machine.
    fn http(&self) -> Result<&reqwest::Client, FileError> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        let client = guard::client(self.settings.reach)
            .connect_timeout(self.settings.timeout)
            .read_timeout(self.settings.timeout)
            .build();
        let client = client.map_err(|error| FileError::Later(error.to_string()))?;
        Ok(self.http.get_or_init(|| client))
    }

    /// Does this on the thread of files, which is started when one is first brought.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, FileError>> + Send + 'static,
    ) -> Result<T, FileError> {
        let thread = match self.thread.get() {
            Some(thread) => thread,
            None => {
                let started = TransferThread::start();
                let started = started.map_err(|error| FileError::Later(error.to_string()))?;
                self.thread.get_or_init(|| started)
            }
        };
        let done = thread.spawn(work).await;
        done.unwrap_or_else(|error| Err(FileError::Later(error.to_string())))
    }

    /// How long files of messages that came in can be downloaded, if they can.
    pub(crate) fn kept_for(&self) -> Option<Duration> {
        self.settings.keep
    }

    fn reach(&self) -> Reach {
        self.settings.reach
    }

    /// Waits for a turn: only so many files are worked on at a time, over all sessions.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// Keeps a file that was not uploaded for now, if there is room for it on the disk; else it is fetched again.
    pub(crate) fn keep(&self, mut prepared: Box<Prepared>) -> Option<Box<Prepared>> {
        if prepared.place.is_none() {
            let kibibytes = u32::try_from(prepared.sealed_bytes / 1024 + 1).ok()?;
            let place = Arc::clone(&self.room).try_acquire_many_owned(kibibytes);
            prepared.place = Some(place.ok()?);
        }
        Some(prepared)
    }
}

/// What a file is to be, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    /// Where it comes from.
    pub(crate) source: shared::content::Source<'a>,
    /// Its type, if the caller said.
    pub(crate) mimetype: Option<&'a str>,
    /// What it is sent as.
    pub(crate) role: Role,
    /// Whether it goes as a document if it is something else.
    pub(crate) or_document: bool,
}

/// What a file is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Image,
    Video,
    Audio,
    VoiceNote,
    Document,
    Sticker,
}

impl Role {
    /// What its keys are derived for.
    pub(crate) const fn kind(self) -> MediaKind {
        match self {
            Self::Image | Self::Sticker => MediaKind::Image,
            Self::Video => MediaKind::Video,
            Self::Audio | Self::VoiceNote => MediaKind::Audio,
            Self::Document => MediaKind::Document,
        }
    }
}

/// A sealed file, ready to be uploaded.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The sealed file.
    pub(crate) file: std::fs::File,
    /// What it goes as.
    pub(crate) role: Role,
    /// Whether that is another than was wished.
    pub(crate) as_document: bool,
    pub(crate) mimetype: String,
    /// What is known of it.
    pub(crate) facts: Facts,
    pub(crate) key: MediaKey,
    pub(crate) seal: Seal,
    /// The length of the sealed file, in bytes.
    pub(crate) sealed_bytes: u64,
    /// Its room on the disk, from when it waits to be uploaded again.
    place: Option<OwnedSemaphorePermit>,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// Its address may not be called.
    #[error("the address of its file is not allowed: {0}")]
    NotAllowed(String),
    /// Its host does not give it.
    #[error("its file could not be fetched: {0}")]
    NotThere(String),
    /// It is larger than it may be.
    #[error("its file is larger than {0} bytes (MEDIA_MAX_BYTES)")]
    TooLarge(u64),
    /// It is of another kind than it is to be sent as.
    #[error("its file is {found}, and can't be sent as {wanted}")]
    WrongType { found: String, wanted: &'static str },
    /// It is to be a picture, and none that phones could show.
    #[error("its file can't be shown as a picture: {0}")]
    Unreadable(Unreadable),
    /// It may be there another time.
    #[error("its file could not be fetched: {0}")]
    Later(String),
    /// What we keep ourselves can't be reached.
    #[error("its file can't be read for now: {0}")]
    Away(String),
    /// This machine's disk.
    #[error("its file could not be stored by the worker: {0}")]
    Disk(#[from] std::io::Error),
}

impl FileError {
    /// It was uploaded once.
    pub(crate) fn gone() -> Self {
        Self::NotThere("no uploaded file has its `media.id`, or not any more".to_owned())
    }

    /// Whether it may go better another time.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::Later(_) | Self::Away(_) | Self::Disk(_))
    }

    /// Whether it is waited for however long that takes: it was taken in, and is not its caller's to mend.
    pub(crate) const fn is_ours(&self) -> bool {
        matches!(self, Self::Away(_))
    }
}
