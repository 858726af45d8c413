//! A file that is written to a bucket in parts, under a name of the bucket's: who knows that can give it up, also for a process
//! that was killed.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{Error, MultipartId, MultipartUpload, PutPayload, PutResult, Result, UploadPart};

/// A file on its way.
#[derive(Debug)]
pub(super) struct BucketUpload {
    bucket: Arc<AmazonS3>,
    path: Path,
    id: MultipartId,
    /// How many parts were begun.
    begun: usize,
    /// Those that the bucket has, by their places, in the order in which it took them.
    parts: Arc<Mutex<Vec<(usize, PartId)>>>,
}

impl BucketUpload {
    pub(super) async fn begin(bucket: &Arc<AmazonS3>, path: Path) -> Result<Self> {
        Ok(Self {
            id: bucket.create_multipart(&path).await?,
            bucket: Arc::clone(bucket),
            path,
            begun: 0,
            parts: Arc::default(),
        })
    }

    /// What the bucket calls it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    fn taken(&self) -> Vec<(usize, PartId)> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *parts)
    }

    /// Gives up what was begun under this name; of what is given up already there is nothing to do.
    pub(super) async fn give_up(bucket: &AmazonS3, path: &Path, id: &str) -> Result<()> {
        match bucket.abort_multipart(path, &id.to_owned()).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl MultipartUpload for BucketUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let at = self.begun;
        self.begun += 1;
        let (bucket, parts) = (Arc::clone(&self.bucket), Arc::clone(&self.parts));
        let (path, id) = (self.path.clone(), self.id.clone());
        Box::pin(async move {
            let part = bucket.put_part(&path, &id, at, data).await?;
            let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
            parts.push((at, part));
            Ok(())
        })
    }

    fn complete<'a, 'b>(&'a mut self) -> BoxFuture<'b, Result<PutResult>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let mut parts = self.taken();
            parts.sort_unstable_by_key(|(at, _)| *at);
            let parts = parts.into_iter().map(|(_, part)| part).collect();
            self.bucket.complete_multipart(&self.path, &self.id, parts).await
        })
    }

    fn abort<'a, 'b>(&'a mut self) -> BoxFuture<'b, Result<()>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(Self::give_up(&self.bucket, &self.path, &self.id))
    }
}
