//! The `data` of events of jobs; every field explained.

use schemars::JsonSchema;
use serde::Serialize;

use crate::id::{JobId, QueueId};
use crate::job::{FailureCode, Label, Reading, Reference};

/// A job was accepted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobAccepted {
    /// The job's identity.
    pub job_id: JobId,
    /// The queue it made.
    pub queue_id: QueueId,
    /// How many recipients it has.
    pub total: u32,
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
    /// Why, for people.
    pub message: String,
}
