//! Files from the media hosts: HTTPS, within limits of size, time and number, checked and decrypted.

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;
use hyper::StatusCode;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::http::{self, Answer, Call, Way};
use crate::{
    connection::{Config, Download, DownloadError, Fetch},
    media,
};

/// Most hosts that one file is looked for at.
pub(super) const MAX_HOSTS: usize = 4;
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

/// Whether another host may have what this one did not give.
pub(super) fn is_of_host(error: &DownloadError) -> bool {
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
    let call = Call::get(&address).map_err(|error| unreachable(&error))?;
    let answer = http::exchange(way, call).await;
    let answer = answer.map_err(|error| unreachable(&error))?;
    read(file_of(answer)?, wanted.max_bytes).await
}

/// What a host answers that has the file.
pub(super) fn file_of(answer: Answer) -> Result<Answer, DownloadError> {
    match answer.status() {
        StatusCode::OK => Ok(answer),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(DownloadError::Expired),
        other => Err(DownloadError::Refused(other.as_u16())),
    }
}

async fn read(mut answer: Answer, max_bytes: usize) -> Result<Vec<u8>, DownloadError> {
    let mut file = Vec::new();
    while let Some(bytes) = answer.piece().await {
        let bytes = bytes.map_err(|error| unreachable(&error))?;
        if file.len() + bytes.len() > max_bytes {
            return Err(DownloadError::TooLarge);
        }
        file.extend_from_slice(&bytes);
    }
    Ok(file)
}

pub(super) fn unreachable(error: &dyn std::fmt::Display) -> DownloadError {
    DownloadError::Unreachable(error.to_string())
}
