//! The error body of the older API, made from the same [`Problem`] as everywhere else.

use std::sync::Arc;

use axum::http::header;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::{FieldProblem, Problem};

/// The body of every error under `/api/whatsapp`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LegacyError)]
pub struct ErrorBody<'a> {
    /// Always false.
    status: bool,
    /// What was wrong and where.
    message: &'a str,
    /// What was wrong, for programs.
    error: ErrorCode<'a>,
}

/// What was wrong, for programs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LegacyErrorCode)]
struct ErrorCode<'a> {
    /// A stable code.
    code: &'a str,
    /// The field at fault, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// The fields at fault, if there are several.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fields: &'a [FieldProblem],
}

/// Gives a refused request the error body of this API; every other answer passes unchanged.
pub fn dress(response: Response) -> Response {
    let Some(problem) = response.extensions().get::<Arc<Problem>>().cloned() else {
        return response;
    };
    let (parts, _) = response.into_parts();
    // A struct of strings always serialises; an empty body is still a correct status.
    let body = serde_json::to_vec(&body(&problem)).unwrap_or_default();
    let mut dressed = problem.respond("application/json", body);
    // Headers that other layers had added are kept; ours win.
    for (name, value) in &parts.headers {
        if name != header::CONTENT_TYPE
            && name != header::CONTENT_LENGTH
            && !dressed.headers().contains_key(name)
        {
            dressed.headers_mut().append(name.clone(), value.clone());
        }
    }
    dressed
}

/// The body of a refused request.
pub fn body(problem: &Problem) -> ErrorBody<'_> {
    let fields = problem.fields();
    let error = ErrorCode {
        code: problem.code().as_str(),
        field: fields.first().map(|first| first.field.as_str()),
        fields: if fields.len() > 1 { fields } else { &[] },
    };
    ErrorBody {
        status: false,
        message: problem.detail(),
        error,
    }
}
