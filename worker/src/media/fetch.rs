//! A file from an address that a user chose, onto the disk: within limits of size and time, and never from a network that
//! is not allowed, however many redirects lead there.

use std::time::Duration;

use reqwest::header::{LOCATION, USER_AGENT};
use reqwest::{Response, StatusCode, Url};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::{FileError, Files};
use crate::guard::AGENT;

/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 5;
/// How many times [`Settings::timeout`](super::Settings::timeout) a whole file may take.
const WHOLE: u32 = 10;

impl Files {
    /// Writes what is at `url` into `into`; answers the type that its host tells.
    pub(super) async fn fetch(&self, url: &str, into: &mut File) -> Result<Option<String>, FileError> {
        let limit: Duration = self.settings.timeout * WHOLE;
        let fetched = timeout(limit, self.fetch_all(url, into)).await;
        fetched.unwrap_or_else(|_| Err(FileError::Later("it did not come in time".to_owned())))
    }

    async fn fetch_all(&self, url: &str, into: &mut File) -> Result<Option<String>, FileError> {
        let mut response = self.follow(url).await?;
        let most = self.settings.max_bytes;
        if response.content_length().is_some_and(|length| length > most) {
            return Err(FileError::TooLarge(most));
        }
        let told = response.headers().get(reqwest::header::CONTENT_TYPE);
        let told = told.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut length = 0;
        while let Some(piece) = response.chunk().await.map_err(|error| later(&error))? {
            length += piece.len() as u64;
            if length > most {
                return Err(FileError::TooLarge(most));
            }
            into.write_all(&piece).await?;
        }
        into.flush().await?;
        Ok(told)
    }

    /// Asks for an address and where it leads; each is checked before it is called.
    pub(super) async fn follow(&self, url: &str) -> Result<Response, FileError> {
        let mut url = self.allowed(url)?;
        for _ in 0..=MAX_REDIRECTS {
            let asked = self
                .http()?
                .get(url.clone())
                .header(USER_AGENT, AGENT)
                .send()
                .await;
            let response = asked.map_err(|error| later(&error))?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if !status.is_redirection() {
                return Err(refused(status));
            }
            let target = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok());
            let target = target.and_then(|target| url.join(target).ok());
            let target =
                target.ok_or_else(|| FileError::NotThere("its host redirects to nowhere".to_owned()))?;
            url = self.allowed(target.as_str())?;
        }
        Err(FileError::NotThere(format!(
            "more than {MAX_REDIRECTS} redirects"
        )))
    }

    fn allowed(&self, url: &str) -> Result<Url, FileError> {
        let checked = self.reach().check(url);
        checked.map_err(|error| FileError::NotAllowed(error.to_string()))
    }
}

fn refused(status: StatusCode) -> FileError {
    let words = format!("its host answered {}", status.as_u16());
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => FileError::Later(words),
        status if status.is_server_error() => FileError::Later(words),
        _ => FileError::NotThere(words),
    }
}

/// Never anything that holds the address: it may be a secret.
fn later(error: &reqwest::Error) -> FileError {
    let words = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "connection refused, name not found, address not allowed or TLS failed"
    } else {
        "connection lost"
    };
    FileError::Later(words.to_owned())
}
