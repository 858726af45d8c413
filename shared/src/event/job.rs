//! The `data` of events of jobs; every field explained.

use schemars::JsonSchema;
use serde::Serialize;

use crate::id::{JobId, QueueId, StanzaId};
use crate::job::{Delay, FailureCode, Label, Reading, Reference};

/// A job was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobAccepted {
    /// The job's identity.
    pub job_id: JobId,
    /// The queue it made.
    pub queue_id: QueueId,
    /// How many recipients it has.
    pub total: u32,
    /// The gap that is kept, in seconds, where the job asked for one below the deployment's `MIN_FLOOR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raised_delay: Option<Delay>,
    /// What its caller calls it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// How the recipients of its job were read, where that is not plain. Absent for jobs of the HTTP API, which has said it
    /// in its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<Box<Reading>>,
}

/// A job was refused.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobRejected {
    /// The job's identity, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// The job's kind as given, if it was text.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Why, for programs.
    pub code: FailureCode,
    /// The field that was wrong, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The queue that a send asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<QueueId>,
    /// The id that a send of one message asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<StanzaId>,
    /// Why, for people.
    pub message: String,
}
