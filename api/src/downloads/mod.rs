//! Files of messages, from the media hosts to clients: fetched, decrypted and handed on a piece at a time.
//!
//! Media hosts give a sealed file to whoever knows its path, so no session is needed for that, and no worker carries the
//! bytes. MAC and hashes stand for the whole file: it is read to its end also for a part of it, and the last piece is held
//! back until all of it was checked. What turns out wrong breaks off, and never ends like a whole answer.
//!
//! Knows no route and no message.

pub mod range;
mod settings;
mod stream;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use lru::LruCache;
use media::{BlobRef, MAC_BYTES};
use reqwest::header::{CONTENT_LENGTH, ORIGIN};
use reqwest::{Client, Proxy, Response, StatusCode, redirect};
use sha2::{Digest as _, Sha256};
use shared::proxy::ProxyUrl;
use shared::transfers::TransferThread;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

pub use self::settings::DownloadSettings;

/// Ways out that are remembered: one per proxy.
const WAYS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);
/// Bytes of a block of the cipher; a file is padded to whole ones, by at least a byte.
const BLOCK_BYTES: u64 = 16;

/// Fetches files.
#[derive(Debug)]
pub struct Downloads {
    settings: DownloadSettings,
    turns: Arc<Semaphore>,
    thread: OnceLock<Arc<TransferThread>>,
    direct: OnceLock<Client>,
    /// Clients by the hash of their proxy's address.
    proxied: Mutex<LruCache<[u8; 32], Client>>,
}

/// Why a file is not given.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// As many are on their way as may be.
    #[error("as many files are on their way as may be at a time (MEDIA_DOWNLOADS)")]
    Busy,
    /// The media host has it no more.
    #[error("the media host does not have the file any more")]
    Expired,
    /// The media host does not answer, or not with the file.
    #[error("the media host {0}")]
    Unavailable(String),
}

/// A file that has begun to come.
#[derive(Debug)]
pub struct Download {
    response: Response,
    blob: BlobRef,
    /// The length of what it says, where that is known.
    pub length: Option<u64>,
    settings: DownloadSettings,
    thread: Arc<TransferThread>,
    _turn: OwnedSemaphorePermit,
}

impl Downloads {
    /// As set.
    pub fn new(settings: DownloadSettings) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(settings.at_a_time)),
            thread: OnceLock::new(),
            direct: OnceLock::new(),
            proxied: Mutex::new(LruCache::new(WAYS_MAX)),
            settings,
        }
    }

    /// Asks for a file, by the session's own proxy or as the deployment leaves.
    ///
    /// # Errors
    /// [`DownloadError`].
    pub async fn begin(&self, blob: BlobRef, own: Option<&ProxyUrl>) -> Result<Download, DownloadError> {
        let turn = Arc::clone(&self.turns).try_acquire_owned();
        let turn = turn.map_err(|_| DownloadError::Busy)?;
        let client = self.client(own.or(self.settings.proxy.as_ref()))?;
        let address = format!("{}{}", self.settings.host, blob.path);
        let asked = client.get(address).header(ORIGIN, &self.settings.origin).send();
        let thread = self.thread()?;
        let response = match timeout(self.settings.timeout, thread.spawn(asked)).await {
            Ok(Ok(Ok(response))) => response,
            // Never the error's own words: they hold the address.
            Ok(Ok(Err(_)) | Err(_)) => return Err(DownloadError::Unavailable("can't be reached".to_owned())),
            Err(_) => return Err(DownloadError::Unavailable("does not answer in time".to_owned())),
        };
        match response.status() {
            StatusCode::OK => {}
            // 403: what its path was signed with counts no more.
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => {
                return Err(DownloadError::Expired);
            }
            other => {
                return Err(DownloadError::Unavailable(format!("answered {}", other.as_u16())));
            }
        }
        let length = blob.length.filter(|length| fits(*length, &response));
        Ok(Download {
            response,
            blob,
            length,
            settings: self.settings.clone(),
            thread,
            _turn: turn,
        })
    }

    /// The thread on which files pass, started with the first.
    fn thread(&self) -> Result<Arc<TransferThread>, DownloadError> {
        if let Some(thread) = self.thread.get() {
            return Ok(Arc::clone(thread));
        }
        let unusable = |_| DownloadError::Unavailable("can't be asked for now".to_owned());
        let started = Arc::new(TransferThread::start().map_err(unusable)?);
        Ok(Arc::clone(self.thread.get_or_init(|| started)))
    }

    fn client(&self, proxy: Option<&ProxyUrl>) -> Result<Client, DownloadError> {
        let Some(proxy) = proxy else {
            if let Some(client) = self.direct.get() {
                return Ok(client.clone());
            }
            let client = self.build(None)?;
            return Ok(self.direct.get_or_init(|| client).clone());
        };
        let key: [u8; 32] = Sha256::digest(proxy.expose()).into();
        let known = |proxied: &Mutex<LruCache<[u8; 32], Client>>| {
            let mut proxied = proxied.lock().unwrap_or_else(PoisonError::into_inner);
            proxied.get(&key).cloned()
        };
        if let Some(client) = known(&self.proxied) {
            return Ok(client);
        }
        let client = self.build(Some(proxy))?;
        let mut proxied = self.proxied.lock().unwrap_or_else(PoisonError::into_inner);
        proxied.put(key, client.clone());
        Ok(client)
    }

    fn build(&self, proxy: Option<&ProxyUrl>) -> Result<Client, DownloadError> {
        // reqwest panics without a provider; another one that is installed already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .pool_max_idle_per_host(1)
            .connect_timeout(self.settings.timeout);
        let unusable = |_| DownloadError::Unavailable("can't be asked by this proxy".to_owned());
        let builder = match proxy {
            Some(proxy) => builder.proxy(Proxy::all(proxy.expose()).map_err(unusable)?),
            None => builder,
        };
        builder.build().map_err(unusable)
    }
}

/// Whether a file whose sealed length the host tells can say so much.
fn fits(length: u64, response: &Response) -> bool {
    let told = response.headers().get(CONTENT_LENGTH);
    let told = told.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let sealed = (length / BLOCK_BYTES + 1) * BLOCK_BYTES + MAC_BYTES as u64;
    told.is_none_or(|told| told == sealed)
}
