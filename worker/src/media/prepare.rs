//! From a source to a sealed file: brought, looked at, sealed, a piece at a time.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt as _;
use shared::content::Source;
use shared::files::FileStoreError;
use shared::id::MediaId;
use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_blocking;
use whatsapp::client::PIECE_BYTES;
use whatsapp::media::{MediaKey, Sealer};

use super::sniff::{self, HEAD_BYTES};
use super::{FileError, Files, Prepared, Role, Wish};

impl Files {
    /// Brings a file and seals it under this key.
    ///
    /// # Errors
    /// [`FileError`].
    pub(crate) async fn prepare(&self, wish: Wish<'_>, key: MediaKey) -> Result<Prepared, FileError> {
        let plain = tempfile::tempfile_in(&self.settings.folder)?;
        let told = self.bring(wish.source, plain.try_clone()?).await?;
        let told = wish.mimetype.map(str::to_owned).or(told);
        let (role, or_document) = (wish.role, wish.or_document);
        let sealed = tempfile::tempfile_in(&self.settings.folder)?;
        // Reading, ciphering and hashing take no turn of those who drive sessions.
        let done = spawn_blocking(move || finish(plain, sealed, (role, or_document), (told, key))).await;
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
fn in_pieces(file: File) -> tokio::fs::File {
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(PIECE_BYTES);
    file
}

/// Looks at a file and seals it.
fn finish(
    mut plain: File,
    mut sealed: File,
    (wanted, or_document): (Role, bool),
    (told, key): (Option<String>, MediaKey),
) -> Result<Prepared, FileError> {
    plain.seek(SeekFrom::Start(0))?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    (&plain).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let (mimetype, fits) = sniff::judge(&head, told.as_deref(), wanted);
    if !fits && !or_document {
        return Err(FileError::WrongType {
            found: mimetype,
            wanted: sniff::name(wanted),
        });
    }
    let role = if fits { wanted } else { Role::Document };
    plain.seek(SeekFrom::Start(0))?;
    let mut sealer = Sealer::new(role.kind(), &key);
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
        role,
        as_document: !fits,
        mimetype,
        key,
        seal,
        sealed_bytes,
        place: None,
    })
}
