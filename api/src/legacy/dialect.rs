//! The error body of the older API, made from the same [`Problem`] as everywhere else.

use std::sync::Arc;

use axum::http::header;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::problem::Problem;

/// Gives a refused request the error body of this dialect; every other answer passes unchanged.
pub fn dress(response: Response) -> Response {
    let Some(problem) = response.extensions().get::<Arc<Problem>>().cloned() else {
        return response;
    };
    let (parts, _) = response.into_parts();
    let mut dressed = problem.respond("application/json", body(&problem).to_string().into_bytes());
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

/// `{"status":false,"message":…,"error":{"code":…,"field":…,"fields":[…]}}`.
fn body(problem: &Problem) -> Value {
    let mut error = Map::new();
    error.insert("code".into(), problem.code().as_str().into());
    if let Some(first) = problem.fields().first() {
        error.insert("field".into(), first.field.clone().into());
    }
    if problem.fields().len() > 1 {
        error.insert("fields".into(), json!(problem.fields()));
    }
    json!({ "status": false, "message": problem.detail(), "error": error })
}
