//! The JSON bodies of jobs as callers write them, and their conversion to parsed jobs.

use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Content, Delay, IsExistsJob, JobError, JobKind, OnUnknown, PairingCodeJob, QueueCommand, SendJob};
use crate::id::{QueueId, StanzaId};
use crate::recipient::Number;

/// Send a message to one or many numbers. `number` and `numbers` are two names of one field; each takes one
/// text or an array.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SendBody {
    /// The queue's id; when absent it is the message_id if that is a UUID, else derived from it.
    queue_id: Option<QueueId>,
    /// One recipient or an array of 1 to 100,000.
    number: Option<OneOrMany>,
    /// The same as `number`; give one of the two.
    numbers: Option<OneOrMany>,
    /// What to send.
    message: Content,
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
            message: body.message,
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
            let number = Number::new(&text).map_err(|e| JobError::new(field, e.to_string()))?;
            return Ok(vec![number]);
        }
        OneOrMany::Many(many) => many,
    };
    if many.len() > super::RECIPIENTS_MAX {
        let problem = format!("must name at most {} recipients", super::RECIPIENTS_MAX);
        return Err(JobError::new(field, problem));
    }
    many.iter()
        .enumerate()
        .map(|(index, text)| {
            Number::new(text).map_err(|e| JobError::new(format!("{field}[{index}]"), e.to_string()))
        })
        .collect()
}

/// Parses a JSON body, naming the field that is wrong.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, JobError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." || path == "?" { "body".to_owned() } else { path };
        JobError::new(field, problem(error.inner()))
    })?;
    json.end().map_err(|_| JobError::new("body", "must be one JSON object and nothing behind it"))?;
    Ok(value)
}

/// serde's words may quote the input, which can hold numbers and texts: only its data errors, which name
/// fields and expected types, are passed on.
fn problem(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => redact(&error.to_string()),
        _ => format!("is not valid JSON (line {}, column {})", error.line(), error.column()),
    }
}

/// Cuts a quoted value (`invalid type: string "secret", expected …`) out of serde's message.
fn redact(message: &str) -> String {
    let quotes_value = ["invalid type:", "invalid value:"].iter().any(|start| message.starts_with(start));
    match message.rfind(", expected ") {
        Some(at) if quotes_value => format!("must be {}", &message[at + ", expected ".len()..]),
        _ => message.to_owned(),
    }
}

/// Parses the body of a job that needs none: nothing, or an empty object.
pub(super) fn parse_empty(body: &[u8]) -> Result<(), JobError> {
    if body.is_empty() { Ok(()) } else { parse::<Empty>(body).map(|_| ()) }
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
