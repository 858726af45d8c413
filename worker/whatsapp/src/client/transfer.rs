//! Files to and from the media hosts, streamed: never more than a piece of one in memory.
//!
//! An upload names the hash of the sealed file in its address, before the first byte of it: so a file is sealed to a disk
//! first ([`Sealer`](crate::media::Sealer)), and every host that is tried gets it from there. A download is opened as it
//! comes, and is whole and checked when [`MediaRoute::download`] returns, not before.
//!
//! Facts: docs/PROTOCOL.md, "Media".

use std::io::SeekFrom;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::{Request, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::download::{MAX_HOSTS, file_of, is_of_host, unreachable};
use super::http::{self, Answer, Body, Call, Way};
use crate::connection::{Config, DownloadError};
use crate::event::{MediaConn, MediaHost};
use crate::media::{BlobRef, MediaKind, Opener, is_path};
use crate::proxy::Proxy;

/// Bytes of a file that are in memory at a time.
pub const PIECE_BYTES: usize = 64 * 1024;
/// How long a transfer may take, beside what its size allows.
const PATIENCE: Duration = Duration::from_secs(60);
/// The slowest transfer that is waited for, in bytes per second.
const SLOWEST: u64 = 16 * 1024;
/// Largest answer to an upload.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// What a query may hold as it is (RFC 3986, 2.3).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where a session's files go, and by which way.
pub struct MediaRoute {
    conn: MediaConn,
    scheme: String,
    default: String,
    way: Way,
}

/// A sealed file on its way to the media hosts.
#[derive(Debug)]
pub struct Upload<'a> {
    /// What it is.
    pub kind: MediaKind,
    /// SHA-256 of the file.
    pub enc_sha256: [u8; 32],
    /// The length of the file, in bytes.
    pub length: u64,
    /// The file; read from its start for each host that is tried.
    pub file: &'a std::fs::File,
}

/// Where an uploaded file is.
#[derive(Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// Its path and query at any media host.
    pub direct_path: String,
    /// Its whole address, if the host told one.
    pub url: Option<String>,
}

impl std::fmt::Debug for Uploaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Uploaded(…)")
    }
}

/// Why a file was not uploaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// What was shown does not count any more: the hosts are to be asked for anew.
    #[error("the media host takes no upload with what the server said to show")]
    Unauthorized,
    /// No host takes files of this size.
    #[error("no media host takes a file of this size")]
    TooLarge,
    /// The hosts said something else.
    #[error("the media host answered with {0}")]
    Refused(u16),
    /// The answer made no sense.
    #[error("the media host's answer could not be read")]
    Malformed,
    /// It took too long.
    #[error("the upload did not end in time")]
    TimedOut,
    /// No host could be reached.
    #[error("the media host can't be reached: {0}")]
    Unreachable(String),
    /// The file can't be read.
    #[error("the file can't be read: {0}")]
    File(#[from] std::io::Error),
}

impl UploadError {
    /// Whether another host, or this one a while later, may take it.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unauthorized | Self::TimedOut | Self::Unreachable(_) | Self::Malformed => true,
            Self::Refused(code) => *code >= 500 || *code == 429 || *code == 408,
            Self::TooLarge | Self::File(_) => false,
        }
    }
}

impl MediaRoute {
    /// To the hosts that the server named, by the way of these settings or a session's own.
    #[must_use]
    pub fn new(config: &Config, own: Option<Arc<Proxy>>, conn: MediaConn) -> Self {
        let scheme = config
            .media_url
            .split_once("://")
            .map_or("https", |(scheme, _)| scheme);
        Self {
            conn,
            scheme: scheme.to_owned(),
            default: config.media_url.trim_end_matches('/').to_owned(),
            way: Way {
                origin: config.origin.clone(),
                proxy: own.or_else(|| config.proxy.clone()),
            },
        }
    }

    /// Uploads a file to the first host that takes it.
    ///
    /// # Errors
    /// [`UploadError`] of the last host that was tried.
    pub async fn upload(&self, upload: Upload<'_>) -> Result<Uploaded, UploadError> {
        let takes = |host: &MediaHost| host.max_bytes.is_none_or(|most| upload.length <= most);
        let fitting: Vec<_> = self
            .conn
            .hosts
            .iter()
            .filter(|host| takes(host))
            .cloned()
            .collect();
        let hosts = MediaConn {
            hosts: fitting,
            ..self.conn.clone()
        };
        let mut last = UploadError::TooLarge;
        for host in hosts.addresses(&self.scheme).iter().take(MAX_HOSTS) {
            let sent = timeout(patience(upload.length), self.upload_to(host, &upload)).await;
            match sent.unwrap_or(Err(UploadError::TimedOut)) {
                Ok(uploaded) => return Ok(uploaded),
                Err(error @ (UploadError::Unauthorized | UploadError::File(_))) => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn upload_to(&self, host: &str, upload: &Upload<'_>) -> Result<Uploaded, UploadError> {
        let token = URL_SAFE_NO_PAD.encode(upload.enc_sha256);
        let auth = utf8_percent_encode(self.conn.auth.as_str(), PLAIN);
        let kind = upload.kind.mms_type();
        let address = format!("{host}/mms/{kind}/{token}?auth={auth}&token={token}");
        let mut file = File::from_std(upload.file.try_clone()?);
        file.seek(SeekFrom::Start(0)).await?;
        let request = Request::post("/")
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, upload.length)
            .body(body(file));
        let request = request.map_err(|error| UploadError::Unreachable(error.to_string()))?;
        let call = Call::new(&address, request);
        let call = call.map_err(|error| UploadError::Unreachable(error.to_string()))?;
        let answer = http::exchange(&self.way, call).await;
        let answer = answer.map_err(|error| UploadError::Unreachable(error.to_string()))?;
        match answer.status() {
            StatusCode::OK => read_uploaded(answer).await,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(UploadError::Unauthorized),
            StatusCode::PAYLOAD_TOO_LARGE => Err(UploadError::TooLarge),
            other => Err(UploadError::Refused(other.as_u16())),
        }
    }

    /// Downloads a file of at most `max_bytes` from the first host that has it, and writes what it says, decrypted, into
    /// `into` from its start. When this returns `Ok` all of it is there, and MAC and hashes are right.
    ///
    /// # Errors
    /// [`DownloadError`]: what is in `into` by then must not be used.
    pub async fn download(
        &self,
        blob: &BlobRef,
        max_bytes: u64,
        into: &std::fs::File,
    ) -> Result<(), DownloadError> {
        let mut hosts = self.conn.addresses(&self.scheme);
        if !hosts.contains(&self.default) {
            hosts.push(self.default.clone());
        }
        let mut last = unreachable(&"no host is known");
        for host in hosts.iter().take(MAX_HOSTS) {
            let address = format!("{host}{}", blob.path);
            let taken = self.download_from(&address, (blob, max_bytes), into);
            match timeout(patience(max_bytes), taken)
                .await
                .unwrap_or(Err(DownloadError::TimedOut))
            {
                Err(error) if is_of_host(&error) => last = error,
                done => return done,
            }
        }
        Err(last)
    }

    async fn download_from(
        &self,
        address: &str,
        (blob, max_bytes): (&BlobRef, u64),
        into: &std::fs::File,
    ) -> Result<(), DownloadError> {
        let call = Call::get(address).map_err(|error| unreachable(&error))?;
        let answer = http::exchange(&self.way, call).await;
        let mut answer = file_of(answer.map_err(|error| unreachable(&error))?)?;
        let mut file = File::from_std(into.try_clone().map_err(|error| unreachable(&error))?);
        let emptied = async {
            file.seek(SeekFrom::Start(0)).await?;
            file.set_len(0).await
        };
        emptied
            .await
            .map_err(|error: std::io::Error| unreachable(&error))?;
        let (mut opener, mut length, mut said) = (Opener::new(blob), 0_u64, Vec::new());
        while let Some(piece) = answer.piece().await {
            let piece = piece.map_err(|error| unreachable(&error))?;
            length += piece.len() as u64;
            if length > max_bytes {
                return Err(DownloadError::TooLarge);
            }
            opener.push(&piece, &mut said);
            file.write_all(&said).await.map_err(|error| unreachable(&error))?;
            said.clear();
        }
        opener.finish(&mut said)?;
        file.write_all(&said).await.map_err(|error| unreachable(&error))?;
        file.flush().await.map_err(|error| unreachable(&error))
    }
}

/// The file in pieces.
fn body(file: File) -> Body {
    let pieces = stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let length = file.read(&mut piece).await?;
        piece.truncate(length);
        Ok((length > 0).then(|| (Frame::data(Bytes::from(piece)), file)))
    });
    StreamBody::new(pieces).boxed_unsync()
}

async fn read_uploaded(mut answer: Answer) -> Result<Uploaded, UploadError> {
    let mut text = Vec::new();
    while let Some(piece) = answer.piece().await {
        text.extend_from_slice(&piece.map_err(|error| UploadError::Unreachable(error.to_string()))?);
        if text.len() > MAX_ANSWER_BYTES {
            return Err(UploadError::Malformed);
        }
    }
    uploaded(&text).ok_or(UploadError::Malformed)
}

/// What an answer says: a path, or an address that has one.
fn uploaded(text: &[u8]) -> Option<Uploaded> {
    let told: serde_json::Value = serde_json::from_slice(text).ok()?;
    let url = told["url"].as_str().map(str::to_owned);
    let path = told["direct_path"].as_str().or_else(|| {
        let (_, behind) = url.as_deref()?.split_once("://")?;
        behind.find('/').map(|at| &behind[at..])
    });
    let direct_path = path.filter(|path| is_path(path))?.to_owned();
    Some(Uploaded { direct_path, url })
}

/// How long a transfer of so many bytes may take.
fn patience(bytes: u64) -> Duration {
    PATIENCE + Duration::from_secs(bytes / SLOWEST)
}
