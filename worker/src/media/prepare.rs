//! From a source to a sealed file: brought, looked at, sealed, a piece at a time.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt as _;
use shared::content::Source;
use shared::files::FileStoreError;
use shared::id::MediaId;
use shared::store::uploads::Facts;
use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use whatsapp::client::PIECE_BYTES;
use whatsapp::media::{MediaKey, Sealer};

use super::look::{self, Limits, Stop, Unreadable};
use super::sniff::{self, HEAD_BYTES};
use super::{FileError, Files, Prepared, Role, Wish};

impl Files {
    /// Brings a file, looks at it, and seals it under this key.
    ///
    /// # Errors
    /// [`FileError`].
    pub(crate) async fn prepare(&self, wish: Wish<'_>, key: MediaKey) -> Result<Prepared, FileError> {
        let plain = tempfile::tempfile_in(&self.settings.folder)?;
        let told = self.bring(wish.source, plain.try_clone()?).await?;
        let told = wish.mimetype.map(str::to_owned).or(told);
        let (plain, found) = self.find_out(plain, told, (wish.role, wish.or_document)).await?;
        let sealed = tempfile::tempfile_in(&self.settings.folder)?;
        // Reading, ciphering and hashing take no turn of those who drive sessions.
        let done = spawn_blocking(move || seal(plain, sealed, found, key)).await;
        done.unwrap_or_else(|error| Err(FileError::Later(error.to_string())))
    }

    /// Finds out what a file is, for as long as that may take.
    async fn find_out(
        &self,
        plain: File,
        told: Option<String>,
        (wanted, or_document): (Role, bool),
    ) -> Result<(File, Found), FileError> {
        let alone = match wanted {
            // Never closed.
            Role::Image | Role::Sticker => Arc::clone(&self.pictures).acquire_owned().await.ok(),
            _ => None,
        };
        let (limits, stop) = (self.settings.look.limits(), Stop::default());
        let asked = stop.clone();
        let mut work = spawn_blocking(move || {
            let _alone = alone;
            let found = found(&plain, told.as_deref(), (wanted, or_document), (limits, &asked));
            found.map(|found| (plain, found))
        });
        let done = match timeout(self.settings.look.time, &mut work).await {
            Ok(done) => done,
            Err(_) => {
                stop.ask();
                work.await
            }
        };
        done.unwrap_or_else(|error| Err(FileError::Later(error.to_string())))
    }

    async fn bring(&self, source: Source<'_>, into: File) -> Result<Option<String>, FileError> {
        let files = self.clone();
        match source {
            Source::Url(url) => {
                let url = url.to_owned();
                let fetched = async move { files.fetch(&url, &mut in_pieces(into)).await };
                self.apart(fetched).await
            }
            Source::Stored(id) => {
                let read = async move { files.read(id, &mut in_pieces(into)).await };
                self.apart(read).await.map(|()| None)
            }
            Source::Inline(text) => {
                let bytes = STANDARD.decode(text);
                let bytes = bytes.map_err(|_| FileError::NotThere("its base64 can't be read".to_owned()))?;
                let mut into = into;
                into.write_all(&bytes)?;
                Ok(None)
            }
        }
    }
}

impl Files {
    /// Writes what was uploaded under this id into `into`.
    async fn read(&self, id: MediaId, into: &mut tokio::fs::File) -> Result<(), FileError> {
        let Some(files) = &self.uploaded else {
            let words = "it was uploaded, and this worker has no MEDIA_STORE";
            return Err(FileError::NotThere(words.to_owned()));
        };
        let failed = |error: FileStoreError| match error {
            FileStoreError::NotFound => FileError::gone(),
            FileStoreError::Unavailable(_) => FileError::Away(error.to_string()),
        };
        let mut pieces = files.read(id).await.map_err(failed)?;
        let mut length = 0;
        while let Some(piece) = pieces.try_next().await.map_err(failed)? {
            length += piece.len() as u64;
            if length > self.settings.max_bytes {
                return Err(FileError::TooLarge(self.settings.max_bytes));
            }
            into.write_all(&piece).await?;
        }
        Ok(into.flush().await?)
    }
}

/// A file that is written a piece at a time: by itself it would hold two megabytes.
pub(super) fn in_pieces(file: File) -> tokio::fs::File {
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(PIECE_BYTES);
    file
}

/// What a file is.
struct Found {
    mimetype: String,
    role: Role,
    as_document: bool,
    facts: Facts,
}

/// What a file is: what it begins like, and, where it is sent as more than a document, what can be known of it.
fn found(
    mut plain: &File,
    told: Option<&str>,
    (wanted, or_document): (Role, bool),
    (limits, stop): (Limits, &Stop),
) -> Result<Found, FileError> {
    plain.seek(SeekFrom::Start(0))?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    plain.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let (mimetype, fits) = sniff::judge(&head, told, wanted);
    let looked = match fits {
        true => look::look(plain, wanted, limits, stop).map_err(FileError::Unreadable),
        false => Err(FileError::WrongType {
            found: mimetype.clone(),
            wanted: sniff::name(wanted),
        }),
    };
    let (role, facts) = match looked {
        Ok(facts) => (wanted, facts),
        Err(FileError::Unreadable(Unreadable::Disk(error))) => return Err(FileError::Disk(error)),
        Err(_) if or_document => (Role::Document, Facts::default()),
        Err(error) => return Err(error),
    };
    Ok(Found {
        mimetype,
        role,
        as_document: role != wanted,
        facts,
    })
}

/// Seals a file.
fn seal(mut plain: File, mut sealed: File, found: Found, key: MediaKey) -> Result<Prepared, FileError> {
    plain.seek(SeekFrom::Start(0))?;
    let mut sealer = Sealer::new(found.role.kind(), &key);
    let (mut piece, mut out, mut sealed_bytes) = (vec![0; PIECE_BYTES], Vec::new(), 0);
    loop {
        let length = plain.read(&mut piece)?;
        if length == 0 {
            break;
        }
        sealer.push(&piece[..length], &mut out);
        sealed.write_all(&out)?;
        sealed_bytes += out.len() as u64;
        out.clear();
    }
    let seal = sealer.finish(&mut out);
    sealed.write_all(&out)?;
    sealed_bytes += out.len() as u64;
    Ok(Prepared {
        file: sealed,
        role: found.role,
        as_document: found.as_document,
        mimetype: found.mimetype,
        facts: found.facts,
        key,
        seal,
        sealed_bytes,
        place: None,
    })
}
