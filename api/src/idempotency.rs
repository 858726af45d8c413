//! `Idempotency-Key`: the same key with the same request gets the same answer and does nothing twice. Requests are the same
//! that mean the same, however they are written.
//!
//! The key is also the identity of the job, so that a request whose answer was lost with its process is still one
//! job when it is sent again, over HTTP or AMQP.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared::id::JobId;
use shared::job::SendJob;
use shared::store::Store;
use shared::store::idempotency::{self, RequestKey, Reservation};
use shared::trace;

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

/// What a request means: two that have the same are one. Nothing where nobody asks, since there is no key.
#[derive(Clone, Copy, Debug)]
pub struct Meaning(Option<[u8; 32]>);

impl Meaning {
    /// That of a job, with the ids that its caller gave it.
    pub fn of_job(key: Option<&JobId>, job: &SendJob) -> Self {
        let meaning = || {
            let ids = format!("{:?} {:?}", job.queue_id, job.message_id);
            Sha256::new()
                .chain_update(job.fingerprint())
                .chain_update(ids)
                .finalize()
                .into()
        };
        Self(key.is_some().then(meaning))
    }
}

impl From<Bytes> for Meaning {
    /// That of a JSON body: the order of fields, white space and fields that are null say nothing.
    fn from(body: Bytes) -> Self {
        let value = serde_json::from_slice(&body).map(without_nulls);
        let value = value.unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        Self(Some(Sha256::digest(value.to_string()).into()))
    }
}

/// The fields of an object, in the order of their names, that are not null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.into_iter().collect();
            let told = fields.into_iter().filter(|(_, value)| !value.is_null());
            told.map(|(name, value)| (name, without_nulls(value))).collect()
        }
        Value::Array(values) => values.into_iter().map(without_nulls).collect(),
        other => other,
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
    request: impl Into<Meaning>,
    work: Work,
) -> Result<Response, Problem> {
    let Meaning(fingerprint) = request.into();
    let Some((key, fingerprint)) = key.zip(fingerprint) else {
        return work.await;
    };
    let store = app.store.clone();
    let done = app.tasks.spawn(trace::carried(async move {
        let name = RequestKey {
            scope: &scope,
            key: key.as_str(),
        };
        with_key(&store, name, fingerprint, work).await
    }));
    done.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request with an Idempotency-Key ended in a panic; it is answered with 500");
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
                tracing::warn!(%error, "an Idempotency-Key could not be given back; it counts as used until its time is over");
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
        tracing::warn!(%error, "the answer to a request with an Idempotency-Key could not be kept; the same request again is told that it is under way");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of_body(body: &'static str) -> Option<[u8; 32]> {
        Meaning::from(Bytes::from_static(body.as_bytes())).0
    }

    fn of_job(body: &str) -> Option<[u8; 32]> {
        let key = JobId::new("k").unwrap();
        Meaning::of_job(Some(&key), &SendJob::parse(body.as_bytes()).unwrap()).0
    }

    #[test]
    fn a_body_means_the_same_in_any_order() {
        let one = of_body(r#"{"url":"https://a.example","events":["a","b"]}"#);
        assert_eq!(
            one,
            of_body(r#"{ "events" : ["a", "b"], "token": null, "url": "https://a.example" }"#)
        );
        assert_ne!(one, of_body(r#"{"url":"https://a.example","events":["b","a"]}"#));
    }

    #[test]
    fn a_job_means_the_same_however_it_is_written() {
        let one = of_job(r#"{"number":"4916200400","message":{"type":"text","text":"hi"}}"#);
        for other in [
            r#"{ "message": { "text": "hi", "type": "text" }, "numbers": ["+49 (0) 162 00400"] }"#,
            r#"{"numbers":["0049 162 00400","tel:+49-162-00400"],"message":{"type":"text","text":"hi"},
                "onUnknown":"resend","duplicates":"drop","invalid":"refuse"}"#,
        ] {
            assert_eq!(one, of_job(other), "{other}");
        }
        for other in [
            r#"{"number":"4916200400","message":{"type":"text","text":"ho"}}"#,
            r#"{"number":"4916200401","message":{"type":"text","text":"hi"}}"#,
            r#"{"number":"4916200400","message":{"type":"text","text":"hi"},"reference":"17"}"#,
            r#"{"number":"4916200400","message":{"type":"text","text":"hi"},"messageId":"3EB0"}"#,
            r#"{"number":"4916200400","message":{"type":"text","text":"hi"},"startAt":1798099200000}"#,
            r#"{"number":{"number":"4916200400","reference":"17"},"message":{"type":"text","text":"hi"}}"#,
        ] {
            assert_ne!(one, of_job(other), "{other}");
        }
        let starts = |at: &str| {
            let body = format!(
                r#"{{"number":"4916200400","message":{{"type":"text","text":"hi"}},"startAt":{at}}}"#
            );
            of_job(&body)
        };
        let at = starts("1798099200000");
        assert_ne!(at, starts("1798099200001"), "another time is another request");
        assert_eq!(
            at,
            starts(r#""2026-12-24T09:00:00+01:00""#),
            "the same one, written otherwise"
        );
    }
}
