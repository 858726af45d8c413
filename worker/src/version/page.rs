//! One reading of the page: the request that a browser would make, how long and how large its answer may be.
//!
//! Must not know what is held, or when to fetch.

use std::time::Duration;

use reqwest::header::{CONNECTION, USER_AGENT};
use reqwest::{Client, Url, redirect};
use whatsapp::proxy::Proxy;
use whatsapp::version::{BadPage, Published};

/// Why a page could not be read, or is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the page gave no answer in time")]
    TimedOut,
    #[error("the page can't be reached: connection refused, name not found, or TLS failed")]
    Unreachable,
    #[error("the connection to the page broke off")]
    Lost,
    #[error("the page answered with an error or a redirect")]
    Status,
    #[error("the page is larger than {} MiB", BYTES_MAX >> 20)]
    TooLarge,
    #[error(transparent)]
    Bad(#[from] BadPage),
}

impl FetchError {
    /// The label of its metric, one of a closed set.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Lost => "lost",
            Self::Status => "status",
            Self::TooLarge => "too_large",
            Self::Bad(BadPage::Unreadable) => "unreadable",
            Self::Bad(BadPage::Older) => "older",
            Self::Bad(BadPage::TooNew) => "too_new",
        }
    }
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else if error.is_connect() || error.is_builder() {
            Self::Unreachable
        } else {
            Self::Lost
        }
    }
}

/// Reads the page. It is asked for once a day: nothing of the connection is kept.
pub(super) async fn fetch(
    page: &Url,
    proxy: Option<&Proxy>,
    timeout: Duration,
) -> Result<Published, FetchError> {
    // reqwest panics without a provider; another one that is installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The environment of the process names none: only what the settings say counts.
    let mut client = Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false);
    if let Some(proxy) = proxy {
        client = client.proxy(reqwest::Proxy::all(proxy.to_url().as_str())?);
    }
    let client = client.build()?;
    // Without the second one the page answers 400; the first one is a browser's, as everything else that we say is.
    let request = client
        .get(page.clone())
        .header(USER_AGENT, BROWSER)
        .header("sec-fetch-site", "none")
        .header(CONNECTION, "close");
    let mut response = request.send().await?;
    if !response.status().is_success() {
        return Err(FetchError::Status);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > BYTES_MAX {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Published::read(&body)?)
}

/// A browser as other clients name one.
const BROWSER: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
/// Most bytes of a page that are read.
const BYTES_MAX: usize = 8 << 20;
