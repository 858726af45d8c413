//! The JSON of bodies: reading that names the field at fault, writing in canonical form.

mod error;
mod moment;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub use error::*;
pub(crate) use moment::Moment;

/// Parses a JSON object, naming the field that is wrong.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, JobError> {
    // serde would take an array for an object's fields in their order.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(JobError::new("body", "must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = named(&mut json)?;
    json.end()
        .map_err(|_| JobError::new("body", "must be one JSON object and nothing behind it"))?;
    Ok(value)
}

/// Parses the fields of a JSON object.
///
/// # Errors
/// [`JobError`], which names the one that is wrong.
pub fn from_fields<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, JobError> {
    named(Value::Object(fields))
}

fn named<'de, T: Deserialize<'de>>(
    json: impl Deserializer<'de, Error = serde_json::Error>,
) -> Result<T, JobError> {
    serde_path_to_error::deserialize(json)
        .map_err(|error| field_error(&error.path().to_string(), error.inner()))
}

/// Says serde's error in our words. Its own may quote the input, which can hold numbers and texts, so only what
/// it expected is passed on.
fn field_error(path: &str, error: &serde_json::Error) -> JobError {
    let top = path == "." || path == "?";
    let field = if top { "body" } else { path };
    if error.classify() != serde_json::error::Category::Data {
        let problem = format!(
            "is not valid JSON (line {}, column {})",
            error.line(),
            error.column()
        );
        return JobError::new(field, problem);
    }
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message);
    if let Some(name) = text
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'))
    {
        let field = if top {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        return JobError::new(field, "is required");
    }
    let expected = text.rsplit_once(", expected ").map(|(_, expected)| expected);
    let problem = match expected {
        Some(expected) if text.starts_with("unknown field") => {
            format!(
                "is not known here; known are {}",
                expected.trim_start_matches("one of ")
            )
        }
        Some(expected) if expected.contains("struct ") || expected.contains("enum ") => {
            "must be a JSON object".to_owned()
        }
        Some("a map") => "must be a JSON object".to_owned(),
        Some("f64") => "must be a number".to_owned(),
        Some(expected) => format!("must be {expected}"),
        None if text.starts_with("unknown field") => "is not known here".to_owned(),
        None if text.starts_with("UUID") => "must be a UUID".to_owned(),
        // Our own parsers' words, which never repeat the value.
        None => text.to_owned(),
    };
    JobError::new(field, problem)
}

/// The body of jobs that need none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

/// Parses the body of a job that needs none: nothing, or an empty object.
pub(crate) fn parse_empty(body: &[u8]) -> Result<(), JobError> {
    if body.is_empty() {
        Ok(())
    } else {
        parse::<Empty>(body).map(|_| ())
    }
}

/// The JSON text of a job's body.
pub(crate) fn to_vec<T: Serialize>(value: &T) -> Vec<u8> {
    // Unwrap safety: our own types have no maps with other than text keys and no failing serializers.
    #[allow(clippy::unwrap_used)]
    serde_json::to_vec(value).unwrap()
}
