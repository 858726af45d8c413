//! Commands on a queue.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::send::Delay;
use crate::body::{self, JobError};
use crate::id::QueueId;

/// A command on one queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueCommand {
    /// The queue.
    pub queue_id: QueueId,
}

/// The recipients of one queue that failed, as a new queue.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryJob {
    /// The queue.
    pub queue_id: QueueId,
    /// Only those that failed with one of these statuses; all that failed when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<RetryCodes>,
}

/// Statuses of recipients that failed. Empty, where nobody named any, it means all.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u16>")]
pub struct RetryCodes(Vec<u16>);

impl std::ops::Deref for RetryCodes {
    type Target = [u16];

    fn deref(&self) -> &[u16] {
        &self.0
    }
}

impl TryFrom<Vec<u16>> for RetryCodes {
    type Error = String;

    fn try_from(codes: Vec<u16>) -> Result<Self, String> {
        match codes.len() {
            1..=RETRY_CODES_MAX => Ok(Self(codes)),
            _ => Err(format!("must be 1 to {RETRY_CODES_MAX} statuses")),
        }
    }
}

impl JsonSchema for RetryCodes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RetryCodes".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": generator.subschema_for::<u16>(),
            "minItems": 1,
            "maxItems": RETRY_CODES_MAX,
        })
    }
}

/// Most statuses that one request names.
const RETRY_CODES_MAX: usize = 100;

/// Another pace for one queue, from its next gap on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaceJob {
    /// The queue.
    pub queue_id: QueueId,
    /// The gap between its sends.
    pub delay: Delay,
}

/// The body of a `pace` job.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PaceBody {
    /// The queue.
    queue_id: QueueId,
    /// The gap between its sends, from the next one on.
    #[schemars(with = "Delay")]
    delay: Map<String, Value>,
}

impl TryFrom<PaceBody> for PaceJob {
    type Error = JobError;

    fn try_from(body: PaceBody) -> Result<Self, JobError> {
        Ok(Self {
            queue_id: body.queue_id,
            delay: Delay::parse(body.delay)?,
        })
    }
}

impl PaceJob {
    /// Parses the body of a `pace` job.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, JobError> {
        body::parse::<PaceBody>(body)?.try_into()
    }
}

/// What of a queue is to be changed while it runs.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueuePatch {
    /// The gap between its sends, from the next one on.
    #[schemars(with = "Delay")]
    delay: Map<String, Value>,
}

impl From<Delay> for QueuePatch {
    fn from(delay: Delay) -> Self {
        let fields = serde_json::to_value(delay).ok();
        Self {
            delay: fields
                .and_then(|fields| fields.as_object().cloned())
                .unwrap_or_default(),
        }
    }
}

impl QueuePatch {
    /// The new gap.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn delay(self) -> Result<Delay, JobError> {
        Delay::parse(self.delay)
    }
}
