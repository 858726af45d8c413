//! One attempt: the signed POST, where it may go, how long it may take, and what its answer means.
//!
//! Owns the HTTP client. Must not know rows, schedules or the broker.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, Response, StatusCode, Url};
use shared::egress::Reach;
use shared::trace::{TRACEPARENT, TraceContext};
use standardwebhooks::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook, WebhookError,
};

use super::schedule;
use crate::guard::{self, AGENT};

/// Most bytes of an answer that are read before the connection is given up; its content means nothing.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Bytes of an answer that are kept for who asked what came back.
const EXCERPT_BYTES: usize = 400;

/// How long an idle connection to an endpoint is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

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

/// What an attempt came to, and the beginning of what the receiver sent, if it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) excerpt: Option<String>,
}

/// What is to be posted.
#[derive(Debug, Clone)]
pub(super) struct Post<'a> {
    pub(super) url: &'a Url,
    /// The secrets that sign it (`whsec_…`), each on its own; without one it is posted without a signature.
    pub(super) secrets: &'a [&'a str],
    /// Headers of the endpoint's own.
    pub(super) headers: &'a HeaderMap,
    /// The same on each attempt.
    pub(super) id: &'a str,
    pub(super) body: Bytes,
    /// Seconds since 1970 at the attempt.
    pub(super) now_unix_secs: i64,
    /// What the endpoint is told of the trace, unless a header of its own says otherwise.
    pub(super) trace: Option<TraceContext>,
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
        let client = |reach| {
            guard::client(reach)
                .timeout(timeout)
                .connect_timeout(timeout)
                .pool_idle_timeout(IDLE_CONNECTION)
                .build()
        };
        Ok(Self {
            guarded: client(reach)?,
            trusted: client(Reach::Anywhere)?,
            reach,
        })
    }

    /// Posts to an address that a user of the API chose.
    pub(super) async fn post(&self, post: Post<'_>) -> Answer {
        // A literal address never meets the resolver, so it is checked here.
        match self.reach.check(post.url.as_str()) {
            Ok(_) => attempt(&self.guarded, post).await,
            Err(_) => failed("address not allowed"),
        }
    }

    /// Posts to an address from the operator's own settings.
    pub(super) async fn post_trusted(&self, post: Post<'_>) -> Answer {
        attempt(&self.trusted, post).await
    }
}

async fn attempt(client: &Client, post: Post<'_>) -> Answer {
    let mut request = client
        .post(post.url.clone())
        .headers(post.headers.clone())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, AGENT)
        .header(HEADER_WEBHOOK_ID, post.id)
        .header(HEADER_WEBHOOK_TIMESTAMP, post.now_unix_secs);
    if let Some(trace) = post.trace.filter(|_| !post.headers.contains_key(TRACEPARENT)) {
        request = request.header(TRACEPARENT, trace.to_string());
    }
    if !post.secrets.is_empty() {
        match signatures(&post) {
            Ok(signatures) => request = request.header(HEADER_WEBHOOK_SIGNATURE, signatures),
            Err(_) => return failed("secret not usable"),
        }
    }
    match request.body(post.body).send().await {
        Ok(response) => read_answer(response, post.now_unix_secs).await,
        Err(error) => failed(reason_of(&error)),
    }
}

/// A signature by each secret, with blanks between them: a receiver takes the post if one of them is right.
fn signatures(post: &Post<'_>) -> Result<String, WebhookError> {
    let sign = |secret: &&str| Webhook::new(secret)?.sign(post.id, post.now_unix_secs, &post.body);
    let signatures: Vec<String> = post.secrets.iter().map(sign).collect::<Result<_, _>>()?;
    Ok(signatures.join(" "))
}

async fn read_answer(mut response: Response, now_unix_secs: i64) -> Answer {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| schedule::retry_after(value, now_unix_secs));
    let excerpt = Some(drain(&mut response).await);
    let outcome = meaning(status, retry_after);
    Answer { outcome, excerpt }
}

fn meaning(status: StatusCode, retry_after: Option<Duration>) -> Outcome {
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

/// Reads a short answer to its end, so that the connection can serve again; a long one is cut off. Returns how it begins.
async fn drain(response: &mut Response) -> String {
    let (mut left, mut start) = (MAX_ANSWER_BYTES, Vec::new());
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = (EXCERPT_BYTES - start.len()).min(chunk.len());
        start.extend_from_slice(&chunk[..room]);
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => break,
        }
    }
    // The database takes no zeroes in texts.
    String::from_utf8_lossy(&start).replace('\0', "\u{fffd}")
}

fn failed(reason: &'static str) -> Answer {
    let outcome = Outcome::Failed {
        status: None,
        retry_after: None,
        reason,
    };
    Answer {
        outcome,
        excerpt: None,
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
