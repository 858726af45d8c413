//! `Idempotency-Key`: the same key with the same request gets the same answer and does nothing twice.
//!
//! The key is also the identity of the job, so that a request whose answer was lost with its process is still one
//! job when it is sent again, over HTTP or AMQP.

use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};
use shared::id::JobId;
use shared::store::Store;
use shared::store::idempotency::{self, RequestKey, Reservation};

use crate::app::App;
use crate::extract::MAX_BODY_BYTES;
use crate::problem::{Code, Problem};

/// How long a request may be at work before another with its key may take over.
const LOCK: Duration = Duration::from_secs(60);

/// How long an answer is kept.
const KEEP: Duration = Duration::from_secs(24 * 3600);

/// The request header.
pub const HEADER: &str = "idempotency-key";
/// The answer's header when it is one that was given before.
pub const REPLAYED: &str = "idempotent-replayed";

/// The key of a request, if it has one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Key(pub Option<JobId>);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(HEADER) else {
            return Ok(Self(None));
        };
        match value.to_str().ok().map(JobId::new) {
            Some(Ok(key)) => Ok(Self(Some(key))),
            Some(Err(error)) => Err(Problem::field("Idempotency-Key", error.to_string())),
            None => Err(Problem::field("Idempotency-Key", "must be printable ASCII")),
        }
    }
}

/// What a request asks for, not begun yet.
pub type Work = BoxFuture<'static, Result<Response, Problem>>;

/// Does `work` unless a request of the same `scope` and key did it already, then gives its answer. Refusals are
/// not kept: the request may be sent again.
///
/// Work with a key goes on when its client leaves: half done, it would hold the key until the lock's end, and the
/// client that comes back has its answer at once.
///
/// # Errors
/// 409 when the key came with another request, or the first one is still at work; else what `work` says.
pub async fn once(
    app: &App,
    scope: String,
    key: Option<JobId>,
    request: Bytes,
    work: Work,
) -> Result<Response, Problem> {
    let fingerprint = key.is_some().then(|| Sha256::digest(&request).into());
    // The connection reads on into this memory, if nobody holds it while the work is done.
    drop(request);
    let Some((key, fingerprint)) = key.zip(fingerprint) else {
        return work.await;
    };
    let store = app.store.clone();
    let done = app.tasks.spawn(async move {
        let name = RequestKey {
            scope: &scope,
            key: key.as_str(),
        };
        with_key(&store, name, fingerprint, work).await
    });
    done.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request with an idempotency key ended in a panic");
        Err(Problem::new(
            Code::Internal,
            "something failed on our side; the log says what",
        ))
    })
}

async fn with_key(
    store: &Store,
    name: RequestKey<'_>,
    fingerprint: [u8; 32],
    work: Work,
) -> Result<Response, Problem> {
    match idempotency::reserve(store, name, &fingerprint, LOCK, KEEP).await? {
        Reservation::New => {}
        Reservation::Done { status, body } => return Ok(replay(status, body)),
        Reservation::Mismatch => {
            return Err(Problem::new(
                Code::IdempotencyKeyReused,
                "this key came with another request before",
            ));
        }
        Reservation::InProgress => {
            let problem = Problem::new(
                Code::IdempotencyKeyInUse,
                "the first request with this key is under way",
            );
            return Err(problem.retry_after(Duration::from_secs(1)));
        }
    }
    match work.await {
        Ok(response) => keep(store, name, response).await,
        Err(problem) => {
            // Without this the key stays locked for a minute, and is then free again.
            if let Err(error) = idempotency::abandon(store, name).await {
                tracing::warn!(%error, "an idempotency key could not be given back");
            }
            Err(problem)
        }
    }
}

async fn keep(store: &Store, name: RequestKey<'_>, response: Response) -> Result<Response, Problem> {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_| Problem::new(Code::Internal, "the answer could not be put together"))?;
    // The work is done and will be answered so; without the row a repetition is caught by the job's identity.
    if let Err(error) = idempotency::complete(store, name, parts.status.as_u16(), &body).await {
        tracing::warn!(%error, "the answer to a request with an idempotency key could not be kept");
    }
    Ok(Response::from_parts(parts, body.into()))
}

fn replay(status: u16, body: Vec<u8>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = (status, body).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
