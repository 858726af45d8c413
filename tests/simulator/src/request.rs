//! What all handlers of the control API read and answer alike: bodies, numbers, refusals.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::number::Number;
use crate::refusal::Refusal;

/// What a handler answers.
pub(crate) type Answer = Result<Response, Refusal>;

/// The body of a request, refused as everything else is.
pub(crate) struct Body(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|rejection| Refusal {
            status: rejection.status().as_u16(),
            field: "body".into(),
            problem: rejection.body_text(),
        })
    }
}

/// 200 with this.
pub(crate) fn done(value: &impl Serialize) -> Answer {
    Ok(Json(value).into_response())
}

/// 201 with this.
pub(crate) fn created(value: &Value) -> Answer {
    Ok((StatusCode::CREATED, Json(value)).into_response())
}

/// A number, refused under the name of its field.
pub(crate) fn number(field: &str, text: &str) -> Result<Number, Refusal> {
    text.parse()
        .map_err(|error: crate::number::BadNumber| Refusal::bad(field, error.to_string()))
}

/// Parses a body; the error names the field, as far as the parser knows it.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let refusal = |field: String, problem: String| Refusal {
        status: 400,
        field,
        problem,
    };
    let mut parser = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        let problem = error.inner().to_string();
        let path = error.path().to_string();
        // A field that is missing has no path, only its name in the message.
        let missing = problem.strip_prefix("missing field `");
        let missing = missing
            .and_then(|rest| rest.split('`').next())
            .filter(|_| path == ".");
        let field = match missing {
            Some(name) => name,
            None if path == "." || !error.inner().is_data() => "body",
            None => &path,
        };
        refusal(field.to_owned(), problem.clone())
    })?;
    parser
        .end()
        .map_err(|error| refusal("body".into(), error.to_string()))?;
    Ok(parsed)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (
            status,
            Json(json!({ "error": self.to_string(), "field": self.field, "problem": self.problem })),
        )
            .into_response()
    }
}
