//! Files that callers upload to be sent: in a folder, or in a store that speaks S3.
//!
//! Written and read a piece at a time. Knows a file by its id alone; what is known of it besides stands in the database.

mod bucket;

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientConfigKey, ObjectStore, ObjectStoreExt as _, RetryConfig, WriteMultipart};

use self::bucket::BucketUpload;
use crate::id::MediaId;

/// Bytes that are written to a folder at a time.
const FOLDER_CHUNK_BYTES: usize = 256 * 1024;
/// Bytes that are sent to a bucket at a time: it takes no less but at the end.
const BUCKET_CHUNK_BYTES: usize = 5 * 1024 * 1024;
/// Chunks of one file on their way at a time, beside the one that is being filled.
const CHUNKS_AT_A_TIME: usize = 1;
/// How long a bucket may be silent.
const SILENCE: &str = "60s";
/// How long one request to it may take: a file is read in one.
const REQUEST: &str = "1h";
/// How often a bucket that fails is asked again, and for how long: who waits for an answer is told soon.
const RETRIES: usize = 3;
const RETRIES_FOR: Duration = Duration::from_secs(10);

/// Where files are kept. Cheap to clone.
#[derive(Clone)]
pub struct FileStore {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    at: Whereabouts,
}

/// What of a store depends on where it is.
#[derive(Clone)]
enum Whereabouts {
    Folder(Arc<PathBuf>),
    Bucket(Arc<AmazonS3>),
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileStore")
    }
}

/// `MEDIA_STORE`: a folder, or `s3://bucket/prefix`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StorePlace {
    /// A folder, which all processes see.
    Folder(PathBuf),
    /// A bucket; the rest of it as `AWS_*` variables say.
    Bucket {
        /// Its name.
        name: String,
        /// What the keys begin with.
        prefix: String,
    },
}

impl FromStr for StorePlace {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix("s3://") {
            None => Self::Folder(text.into()),
            Some(rest) => {
                let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                Self::Bucket {
                    name: name.to_owned(),
                    prefix: prefix.to_owned(),
                }
            }
        })
    }
}

/// Why a file is not there, or not written.
#[derive(Debug, thiserror::Error)]
pub enum FileStoreError {
    /// There is none of this id.
    #[error("there is no such file")]
    NotFound,
    /// The store can't be reached, refuses, or has no room.
    #[error("the store of files (MEDIA_STORE) fails: {0}")]
    Unavailable(String),
}

impl From<object_store::Error> for FileStoreError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound,
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl FileStore {
    /// The store at a place; a folder is made where there is none.
    ///
    /// # Errors
    /// [`FileStoreError::Unavailable`] with what is the matter.
    pub fn open(place: &StorePlace) -> Result<Self, FileStoreError> {
        let (store, prefix, at): (Arc<dyn ObjectStore>, &str, Whereabouts) = match place {
            StorePlace::Folder(folder) => {
                let made = std::fs::create_dir_all(folder);
                made.map_err(|error| FileStoreError::Unavailable(error.to_string()))?;
                // What is answered for is on the disk.
                let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
                (Arc::new(store), "", Whereabouts::Folder(Arc::new(folder.clone())))
            }
            StorePlace::Bucket { name, prefix } => {
                let bucket = Arc::new(bucket(name)?);
                (Arc::clone(&bucket) as _, prefix, Whereabouts::Bucket(bucket))
            }
        };
        let prefix = Path::parse(prefix);
        let prefix = prefix.map_err(|error| FileStoreError::Unavailable(error.to_string()))?;
        Ok(Self { store, prefix, at })
    }

    /// Begins a file. Nobody sees it before it is finished.
    ///
    /// # Errors
    /// [`FileStoreError::Unavailable`].
    pub async fn begin(&self, id: MediaId) -> Result<FileWriter, FileStoreError> {
        let path = self.path(id);
        Ok(match &self.at {
            Whereabouts::Folder(_) => FileWriter {
                upload: None,
                parts: WriteMultipart::new_with_chunk_size(
                    self.store.put_multipart(&path).await?,
                    FOLDER_CHUNK_BYTES,
                ),
            },
            Whereabouts::Bucket(bucket) => {
                let upload = BucketUpload::begin(bucket, path).await?;
                FileWriter {
                    upload: Some(upload.id().to_owned()),
                    parts: WriteMultipart::new_with_chunk_size(Box::new(upload), BUCKET_CHUNK_BYTES),
                }
            }
        })
    }

    /// Gives up a file that nobody finishes any more, which the store calls `upload` ([`FileWriter::upload`]).
    ///
    /// # Errors
    /// [`FileStoreError::Unavailable`].
    pub async fn give_up(&self, id: MediaId, upload: Option<&str>) -> Result<(), FileStoreError> {
        match (&self.at, upload) {
            (Whereabouts::Bucket(bucket), Some(upload)) => {
                Ok(BucketUpload::give_up(bucket, &self.path(id), upload).await?)
            }
            (Whereabouts::Bucket(_), None) => Ok(()),
            (Whereabouts::Folder(folder), _) => {
                // So the library calls what it writes before it is whole.
                let part = folder.join(format!("{id}#1"));
                match tokio::fs::remove_file(part).await {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        Err(FileStoreError::Unavailable(error.to_string()))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// What a file says, in pieces.
    ///
    /// # Errors
    /// [`FileStoreError`].
    pub async fn read(
        &self,
        id: MediaId,
    ) -> Result<BoxStream<'static, Result<Bytes, FileStoreError>>, FileStoreError> {
        let found = self.store.get(&self.path(id)).await?;
        Ok(found.into_stream().map_err(FileStoreError::from).boxed())
    }

    /// Removes a file; one that is not there is removed.
    ///
    /// # Errors
    /// [`FileStoreError::Unavailable`].
    pub async fn delete(&self, id: MediaId) -> Result<(), FileStoreError> {
        match self.store.delete(&self.path(id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn path(&self, id: MediaId) -> Path {
        self.prefix.clone().join(id.to_string())
    }
}

/// The bucket of this name, as `AWS_*` variables say.
fn bucket(name: &str) -> Result<AmazonS3, FileStoreError> {
    // Its HTTP client panics without a provider; another one that is installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let patience = RetryConfig {
        max_retries: RETRIES,
        retry_timeout: RETRIES_FOR,
        ..RetryConfig::default()
    };
    let told = std::env::vars_os().filter_map(|(name, value)| {
        let key = name.to_str().filter(|name| name.starts_with("AWS_"))?;
        let value = value.to_str().filter(|value| !value.is_empty())?;
        Some((key.to_ascii_lowercase().parse().ok()?, value.to_owned()))
    });
    let bucket = told
        .fold(
            AmazonS3Builder::new(),
            |builder, (key, value): (AmazonS3ConfigKey, _)| builder.with_config(key, value),
        )
        .with_bucket_name(name)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ReadTimeout), SILENCE)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), REQUEST)
        .with_retry(patience);
    Ok(bucket.build()?)
}

/// A file that is being written. Dropped unfinished it is nobody's; abort it to be rid of what was written.
pub struct FileWriter {
    upload: Option<String>,
    parts: WriteMultipart,
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileWriter")
    }
}

impl FileWriter {
    /// What the store calls it until it is whole, if it does: by that and its id it can be given up.
    pub fn upload(&self) -> Option<&str> {
        self.upload.as_deref()
    }

    /// Takes the next piece, when there is room for it.
    ///
    /// # Errors
    /// [`FileStoreError::Unavailable`].
    pub async fn write(&mut self, piece: Bytes) -> Result<(), FileStoreError> {
        self.parts.wait_for_capacity(CHUNKS_AT_A_TIME).await?;
        self.parts.put(piece);
        Ok(())
    }

    /// All of it has come.
    ///
    /// # Errors
    /// [`FileStoreError::Unavailable`]: it is not there.
    pub async fn finish(self) -> Result<(), FileStoreError> {
        self.parts.finish().await?;
        Ok(())
    }

    /// It comes to nothing.
    pub async fn abort(self) {
        if let Err(error) = self.parts.abort().await {
            tracing::warn!(%error, "what was written of a file could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_bucket() {
        let read = |text: &str| text.parse::<StorePlace>().unwrap();
        assert_eq!(read("/var/media"), StorePlace::Folder("/var/media".into()));
        let bucket = |prefix: &str| StorePlace::Bucket {
            name: "files".to_owned(),
            prefix: prefix.to_owned(),
        };
        assert_eq!(read("s3://files"), bucket(""));
        assert_eq!(read("s3://files/fanfare/a"), bucket("fanfare/a"));
    }

    #[tokio::test]
    async fn a_file_is_there_when_it_is_finished_and_gone_when_it_is_deleted() {
        let folder = std::env::temp_dir().join(format!("fanfare-files-{}", uuid::Uuid::new_v4().simple()));
        let store = FileStore::open(&StorePlace::Folder(folder.clone())).unwrap();
        let id = MediaId::new(uuid::Uuid::from_u128(7));
        let mut writer = store.begin(id).await.unwrap();
        for piece in 0..7_u8 {
            writer.write(vec![piece; 1 << 20].into()).await.unwrap();
        }
        assert!(matches!(store.read(id).await, Err(FileStoreError::NotFound)));
        writer.finish().await.unwrap();
        let said: Vec<Bytes> = store.read(id).await.unwrap().try_collect().await.unwrap();
        let said = said.concat();
        assert_eq!((said.len(), said[0], said[7 * (1 << 20) - 1]), (7 << 20, 0, 6));
        store.delete(id).await.unwrap();
        store.delete(id).await.unwrap();
        assert!(matches!(store.read(id).await, Err(FileStoreError::NotFound)));
        let mut given_up = store.begin(id).await.unwrap();
        given_up.write(Bytes::from_static(b"x")).await.unwrap();
        given_up.abort().await;
        let is_empty = || std::fs::read_dir(&folder).unwrap().next().is_none();
        assert!(is_empty(), "nothing is left");
        let mut killed = store.begin(id).await.unwrap();
        killed.write(vec![7; 1 << 20].into()).await.unwrap();
        // Nobody runs what comes at its end.
        std::mem::forget(killed);
        assert!(!is_empty());
        for _ in 0..2 {
            store.give_up(id, None).await.unwrap();
            assert!(is_empty(), "it can be given up");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
