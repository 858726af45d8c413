//! The JSON bodies of jobs as callers write them, and their conversion to parsed jobs.

use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{
    Content, Delay, IsExistsJob, JobError, JobKind, OnUnknown, PairingCodeJob, QueueCommand, SendJob,
};
use crate::id::{QueueId, StanzaId};
use crate::recipient::{Number, NumberKind};

/// Send a message to one or many numbers. `number` and `numbers` are two names of one field; each takes one
/// text or an array.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SendBody {
    /// The queue's id; when absent it is the message_id if that is a UUID, else derived from it.
    queue_id: Option<QueueId>,
    /// One recipient or an array of 1 to 100,000: phone numbers or full jids (@s.whatsapp.net, @lid). No groups yet.
    number: Option<OneOrMany>,
    /// The same as `number`; give one of the two.
    numbers: Option<OneOrMany>,
    /// What to send.
    #[schemars(with = "Content")]
    message: ContentBody,
    /// The gap between two sends; the deployment's MIN and MAX when absent.
    delay: Option<Delay>,
    /// What to do with a recipient whose send was cut off by a crash.
    #[serde(default)]
    on_unknown: OnUnknown,
    /// The WhatsApp message id to use; only with one number.
    message_id: Option<StanzaId>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "must be a text or an array of texts")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// All fields that any kind of content has. Taken apart by hand: serde's own tagged enums lose the name of the
/// field that is wrong.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ContentBody {
    #[serde(rename = "type")]
    kind: ContentKind,
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ContentKind {
    Text,
}

impl TryFrom<ContentBody> for Content {
    type Error = JobError;

    fn try_from(body: ContentBody) -> Result<Self, JobError> {
        match body.kind {
            ContentKind::Text => {
                let text = body
                    .text
                    .ok_or_else(|| JobError::new("message.text", "is required"))?;
                Ok(Self::Text { text })
            }
        }
    }
}

/// The body of jobs that need none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Empty {}

impl TryFrom<SendBody> for SendJob {
    type Error = JobError;

    fn try_from(body: SendBody) -> Result<Self, JobError> {
        let (field, given) = match (body.number, body.numbers) {
            (Some(_), Some(_)) => return Err(JobError::new("numbers", "must not be given beside number")),
            (Some(one), None) => ("number", one),
            (None, Some(many)) => ("numbers", many),
            (None, None) => return Err(JobError::new("numbers", "is required")),
        };
        let delay = match body.delay {
            Some(delay) => Some(
                Delay::new(delay.min, delay.max)
                    .map_err(|e| JobError::new(format!("delay.{}", e.field), e.problem))?,
            ),
            None => None,
        };
        let job = SendJob {
            queue_id: body.queue_id,
            numbers: numbers(field, given)?,
            message: body.message.try_into()?,
            delay,
            on_unknown: body.on_unknown,
            message_id: body.message_id,
        };
        job.check()?;
        Ok(job)
    }
}

fn numbers(field: &str, given: OneOrMany) -> Result<Vec<Number>, JobError> {
    let many = match given {
        OneOrMany::One(text) => {
            let number = recipient(&text).map_err(|problem| JobError::new(field, problem))?;
            return Ok(vec![number]);
        }
        OneOrMany::Many(many) => many,
    };
    if many.len() > super::RECIPIENTS_MAX {
        return Err(JobError::too_many(field));
    }
    many.iter()
        .enumerate()
        .map(|(index, text)| {
            recipient(text).map_err(|problem| JobError::new(format!("{field}[{index}]"), problem))
        })
        .collect()
}

/// One that can be sent to. Groups can't yet, and what can't be done is not accepted.
fn recipient(text: &str) -> Result<Number, String> {
    let number = Number::new(text).map_err(|error| error.to_string())?;
    match number.kind() {
        NumberKind::Phone | NumberKind::Lid => Ok(number),
        NumberKind::Group => Err("is a group, which can't be sent to yet".to_owned()),
    }
}

/// Parses a JSON body, naming the field that is wrong.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, JobError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| field_error(&error.path().to_string(), error.inner()))?;
    json.end()
        .map_err(|_| JobError::new("body", "must be one JSON object and nothing behind it"))?;
    Ok(value)
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
        Some("f64") => "must be a number".to_owned(),
        Some(expected) => format!("must be {expected}"),
        None if text.starts_with("unknown field") => "is not known here".to_owned(),
        None if text.starts_with("UUID") => "must be a UUID".to_owned(),
        // Our own parsers' words, which never repeat the value.
        None => text.to_owned(),
    };
    JobError::new(field, problem)
}

/// Parses the body of a job that needs none: nothing, or an empty object.
pub(super) fn parse_empty(body: &[u8]) -> Result<(), JobError> {
    if body.is_empty() {
        Ok(())
    } else {
        parse::<Empty>(body).map(|_| ())
    }
}

/// The JSON text of a job's body.
pub(super) fn to_vec<T: Serialize>(value: &T) -> Vec<u8> {
    // Unwrap safety: our own types have no maps with other than text keys and no failing serializers.
    #[allow(clippy::unwrap_used)]
    serde_json::to_vec(value).unwrap()
}

/// The JSON Schema of a kind's body.
pub(super) fn schema(kind: JobKind) -> Schema {
    match kind {
        JobKind::Send => schema_for!(SendBody),
        JobKind::Pause | JobKind::Resume | JobKind::Delete => schema_for!(QueueCommand),
        JobKind::SessionStart | JobKind::SessionStop | JobKind::SessionDelete => schema_for!(Empty),
        JobKind::PairingCode => schema_for!(PairingCodeJob),
        JobKind::IsExists => schema_for!(IsExistsJob),
    }
}
