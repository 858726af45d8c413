//! One attempt: the signed POST, where it may go, how long it may take, and what its answer means.
//!
//! Owns the HTTP client and the address guard. Must not know rows, schedules or the broker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use shared::egress::Reach;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};

use super::schedule;

/// Most bytes of an answer that are read before the connection is given up; its content is not used.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// How long an idle connection to an endpoint is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// What is told of ourselves.
const AGENT: &str = concat!("fanfare/", env!("CARGO_PKG_VERSION"));

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Answered 2xx.
    Delivered { status: u16 },
    /// To be tried again.
    Failed {
        /// The status, if there was an answer.
        status: Option<u16>,
        /// What the receiver asked for.
        retry_after: Option<Duration>,
        /// What happened, in a few words; never anything that the receiver sent.
        reason: &'static str,
    },
    /// Answered 410: the receiver wants no more.
    Gone,
}

/// What is to be posted.
#[derive(Debug, Clone)]
pub(super) struct Post<'a> {
    pub(super) url: &'a Url,
    /// The secret that signs it (`whsec_…`); `None` posts without a signature.
    pub(super) secret: Option<&'a str>,
    /// The same on each attempt.
    pub(super) id: &'a str,
    pub(super) body: Bytes,
    /// Seconds since 1970 at the attempt.
    pub(super) now_unix_secs: i64,
}

/// Makes attempts. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Poster {
    guarded: Client,
    trusted: Client,
    reach: Reach,
}

impl Poster {
    /// A poster whose attempts take at most `timeout`, and which reaches no further than `reach`.
    ///
    /// # Errors
    /// When the TLS roots of this machine can't be read.
    pub(super) fn new(reach: Reach, timeout: Duration) -> Result<Self, reqwest::Error> {
        // reqwest panics without a provider; another one that is installed already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = |reach| {
            Client::builder()
                .timeout(timeout)
                .connect_timeout(timeout)
                .pool_idle_timeout(IDLE_CONNECTION)
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .dns_resolver(Arc::new(GuardedResolver { reach }))
                .build()
        };
        Ok(Self {
            guarded: client(reach)?,
            trusted: client(Reach::Anywhere)?,
            reach,
        })
    }

    /// Posts to an address that a user of the API chose.
    pub(super) async fn post(&self, post: Post<'_>) -> Outcome {
        // A literal address never meets the resolver, so it is checked here.
        match self.reach.check(post.url.as_str()) {
            Ok(_) => attempt(&self.guarded, post).await,
            Err(_) => failed("address not allowed"),
        }
    }

    /// Posts to an address from the operator's own settings.
    pub(super) async fn post_trusted(&self, post: Post<'_>) -> Outcome {
        attempt(&self.trusted, post).await
    }
}

async fn attempt(client: &Client, post: Post<'_>) -> Outcome {
    let mut request = client
        .post(post.url.clone())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, AGENT)
        .header(HEADER_WEBHOOK_ID, post.id)
        .header(HEADER_WEBHOOK_TIMESTAMP, post.now_unix_secs);
    if let Some(secret) = post.secret {
        let signature =
            Webhook::new(secret).and_then(|key| key.sign(post.id, post.now_unix_secs, &post.body));
        match signature {
            Ok(signature) => request = request.header(HEADER_WEBHOOK_SIGNATURE, signature),
            Err(_) => return failed("secret not usable"),
        }
    }
    match request.body(post.body).send().await {
        Ok(response) => read_answer(response, post.now_unix_secs).await,
        Err(error) => failed(reason_of(&error)),
    }
}

async fn read_answer(mut response: Response, now_unix_secs: i64) -> Outcome {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| schedule::retry_after(value, now_unix_secs));
    drain(&mut response).await;
    if status.is_success() {
        return Outcome::Delivered {
            status: status.as_u16(),
        };
    }
    if status == StatusCode::GONE {
        return Outcome::Gone;
    }
    let reason = if status.is_redirection() {
        "redirects are not followed"
    } else {
        "answered an error"
    };
    Outcome::Failed {
        status: Some(status.as_u16()),
        retry_after,
        reason,
    }
}

/// Reads a short answer to its end, so that the connection can serve again; a long one is cut off.
async fn drain(response: &mut Response) {
    let mut left = MAX_ANSWER_BYTES;
    while let Ok(Some(chunk)) = response.chunk().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn failed(reason: &'static str) -> Outcome {
    Outcome::Failed {
        status: None,
        retry_after: None,
        reason,
    }
}

fn reason_of(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "connection refused, name not found, address not allowed or TLS failed"
    } else {
        "connection lost"
    }
}

/// Resolves names and drops every address that may not be called. The check is made on the addresses that are
/// then connected to, so a name that changes its mind in between gains nothing.
#[derive(Debug)]
struct GuardedResolver {
    reach: Reach,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| reach.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err("the name has no address that may be called".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
