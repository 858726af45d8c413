//! How requests are read: JSON bodies, path parts and query strings, each error naming its field.
//!
//! Must not know what a route does with the values.

use std::str::FromStr;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use shared::id::Token;
use shared::job;

use crate::problem::{Code, Problem};

/// Largest request body, in bytes. A broker of today takes no larger message.
pub const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// How long a request may take from the end of its head to the end of its body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A body that was announced as JSON, or not announced at all; not parsed yet.
#[derive(Debug)]
pub struct JsonBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                "send the body with Content-Type: application/json",
            ));
        }
        match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await {
            Ok(body) => body.map(Self).map_err(body_problem),
            Err(_) => Err(Problem::new(
                Code::BodyTimeout,
                format!("the body did not come within {} seconds", BODY_TIMEOUT.as_secs()),
            )),
        }
    }
}

/// The query string, in the shape `T`.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(error) => Err(query_problem(&error.body_text())),
        }
    }
}

/// serde's words for a parameter that comes twice name it; those for what can't be decoded name none.
fn query_problem(message: &str) -> Problem {
    let twice = message.split_once("duplicate field `");
    match twice.and_then(|(_, rest)| rest.split_once('`')) {
        Some((name, _)) => Problem::field(name, "must be given once"),
        None => Problem::new(Code::MalformedBody, "the query string can't be read"),
    }
}

/// The session that a path names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionPath(pub Token);

impl<S: Send + Sync> FromRequestParts<S> for SessionPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(token)) => text("token", &token).map(Self),
            Err(_) => Err(Problem::field("token", "must be UTF-8")),
        }
    }
}

/// Reads `bytes` as a JSON object whose fields that `T` does not know are left alone; null counts as missing.
///
/// # Errors
/// 400 that names the field at fault.
pub fn fields<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut fields = object(bytes)?;
    fields.retain(|_, value| !value.is_null());
    Ok(job::from_fields(fields)?)
}

/// Reads `bytes` as a JSON object.
///
/// # Errors
/// 400 when it is none.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Problem::new(
            Code::MalformedBody,
            "the body must be a JSON object",
        )),
        Err(error) => Err(Problem::new(
            Code::MalformedBody,
            format!("the body is not JSON: {error}"),
        )),
    }
}

/// Reads a part of the path or of the query string; `name` is what its problem is called by.
///
/// # Errors
/// 400 that names it.
pub fn text<T>(name: &str, text: &str) -> Result<T, Problem>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| Problem::field(name, error.to_string()))
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let essence = value
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let essence = essence.to_ascii_lowercase();
    essence.is_empty()
        || essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn body_problem(rejection: BytesRejection) -> Problem {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => too_large(),
        _ => Problem::new(Code::MalformedBody, "the body could not be read to its end"),
    }
}

/// The answer to a body beyond [`MAX_BODY_BYTES`].
pub fn too_large() -> Problem {
    Problem::new(Code::BodyTooLarge, "")
        .with_field("body", format!("must have at most {MAX_BODY_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only its parsing is of interest")]
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its parsing is of interest")]
        size: u8,
    }

    fn refused(body: &str) -> (Code, String) {
        let problem = fields::<Outer>(body.as_bytes()).unwrap_err();
        (problem.code(), problem.detail().to_owned())
    }

    #[test]
    fn shape_errors_name_the_field() {
        let field = |text: &str| (Code::InvalidField, text.to_owned());
        assert_eq!(refused("{}"), field("inner: is required"));
        assert_eq!(refused(r#"{"inner":{}}"#), field("inner.size: is required"));
        assert_eq!(
            refused(r#"{"inner":{"size":1,"x":1}}"#),
            field("inner.x: is not known here; known are `size`")
        );
        assert_eq!(
            refused(r#"{"inner":{"size":"a"}}"#),
            field("inner.size: must be u8")
        );
    }

    #[test]
    fn text_that_is_no_json_says_where_it_ends() {
        assert_eq!(refused("{").0, Code::MalformedBody);
        assert_eq!(refused(r#"{"inner":{"size":1}} x"#).0, Code::MalformedBody);
        assert_eq!(refused("[]").0, Code::MalformedBody);
        assert_eq!(object(b"[]").unwrap_err().code(), Code::MalformedBody);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let body =
            axum::body::Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let request = Request::post("/").body(body).unwrap();
        let refused = JsonBytes::from_request(request, &()).await.unwrap_err();
        assert_eq!(refused.code(), Code::BodyTimeout);
    }

    #[test]
    fn null_is_missing() {
        let refused = |body: &[u8]| fields::<Inner>(body).unwrap_err().detail().to_owned();
        assert_eq!(refused(br#"{"size":null,"other":null}"#), "size: is required");
        assert_eq!(refused(br#"{"size":"a"}"#), "size: must be u8");
    }
}
