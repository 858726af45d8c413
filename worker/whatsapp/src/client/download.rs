//! Files from the media hosts: HTTPS, within limits of size, time and number, checked and decrypted.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, StatusCode, Uri,
    body::Incoming,
    client::conn::http1,
    header::{HOST, ORIGIN},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    task::spawn_blocking,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{route, tls};
use crate::{
    connection::{Config, Download, DownloadError, Fetch},
    media,
    proxy::Proxy,
};

/// Most hosts that one file is looked for at.
const MAX_HOSTS: usize = 4;
/// Files that all sessions of a process fetch at a time: each may hold a few times its size in memory.
const MAX_AT_A_TIME: usize = 8;

static TURNS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(MAX_AT_A_TIME));

/// Fetches a file from the first host that has it, checks it and decrypts it.
pub(super) async fn fetch(way: Way, limit: Duration, wanted: Fetch) -> Result<Bytes, DownloadError> {
    // Never closed.
    let _turn = TURNS.acquire().await;
    let mut last = unreachable(&"no host is known");
    for host in wanted.hosts.iter().take(MAX_HOSTS) {
        let file = timeout(limit, get(host, &way, &wanted.file)).await;
        match file.unwrap_or(Err(DownloadError::TimedOut)) {
            Ok(file) => return open(wanted.file, file).await,
            Err(error) if is_of_host(&error) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

async fn open(wanted: Download, file: Vec<u8>) -> Result<Bytes, DownloadError> {
    // A few milliseconds for each megabyte: not on the threads that drive all sessions.
    let opened = spawn_blocking(move || media::open(&wanted.blob, file)).await;
    let content = opened.map_err(|error| unreachable(&error))?;
    Ok(content?.into())
}

/// How media hosts are reached.
pub(super) struct Way {
    pub(super) origin: String,
    pub(super) proxy: Option<Arc<Proxy>>,
}

/// Whether another host may have what this one did not give.
fn is_of_host(error: &DownloadError) -> bool {
    match error {
        DownloadError::Unreachable(_) | DownloadError::TimedOut => true,
        DownloadError::Refused(code) => *code >= 500,
        _ => false,
    }
}

/// What a download needs of the settings.
pub(super) fn settings(config: &Config) -> (Way, Duration) {
    let way = Way {
        origin: config.origin.clone(),
        proxy: config.proxy.clone(),
    };
    (way, config.timing.download)
}

async fn get(host: &str, way: &Way, wanted: &Download) -> Result<Vec<u8>, DownloadError> {
    let address = format!("{host}{}", wanted.blob.path);
    let uri: Uri = address.parse().map_err(|error| unreachable(&error))?;
    let host = uri.host().ok_or_else(|| unreachable(&"no host"))?.to_owned();
    let is_tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let socket = route::connect(way.proxy.as_deref(), &host, port);
    let socket = socket.await.map_err(|error| unreachable(&error))?;
    let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(
            HOST,
            uri.authority()
                .map_or(host.as_str(), |authority| authority.as_str()),
        )
        .header(ORIGIN, way.origin.as_str())
        .body(Empty::new())
        .map_err(|error| unreachable(&error))?;
    if !is_tls {
        return exchange(socket, request, wanted.max_bytes).await;
    }
    let config = tls::config().map_err(|error| unreachable(&error))?;
    let name = ServerName::try_from(host).map_err(|error| unreachable(&error))?;
    let secured = TlsConnector::from(config).connect(name, socket);
    let secured = secured.await.map_err(|error| unreachable(&error))?;
    exchange(secured, request, wanted.max_bytes).await
}

/// One request on a connection of its own.
async fn exchange(
    socket: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Empty<Bytes>>,
    max_bytes: usize,
) -> Result<Vec<u8>, DownloadError> {
    let handshake = http1::handshake(TokioIo::new(socket)).await;
    let (mut sender, connection) = handshake.map_err(|error| unreachable(&error))?;
    let answered = async {
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| unreachable(&error))?;
        match response.status() {
            StatusCode::OK => read(response.into_body(), max_bytes).await,
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(DownloadError::Expired),
            other => Err(DownloadError::Refused(other.as_u16())),
        }
    };
    tokio::pin!(answered);
    tokio::select! {
        biased;
        file = &mut answered => return file,
        // It moves the bytes of the other. When it ends, by itself or by an error, the other has all that there will be.
        _ = connection => {}
    }
    answered.await
}

async fn read(mut body: Incoming, max_bytes: usize) -> Result<Vec<u8>, DownloadError> {
    let mut file = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreachable(&error))?;
        if let Some(bytes) = frame.data_ref() {
            if file.len() + bytes.len() > max_bytes {
                return Err(DownloadError::TooLarge);
            }
            file.extend_from_slice(bytes);
        }
    }
    Ok(file)
}

fn unreachable(error: &dyn std::fmt::Display) -> DownloadError {
    DownloadError::Unreachable(error.to_string())
}
