//! What a job that asked for an answer (`reply_to`) is told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::recipients::Reading;
use crate::id::QueueId;

/// The answer to a job that asked for one (`reply_to`).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Answer {
    /// The job is accepted, or the command took effect.
    Done {
        /// The queue the job made or the command changed.
        #[serde(skip_serializing_if = "Option::is_none")]
        queue_id: Option<QueueId>,
        /// How the recipients of a send were read, where that is not plain.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reading: Option<Box<Reading>>,
    },
    /// Whether a number is on WhatsApp.
    IsExists {
        /// Whether it is.
        exists: bool,
        /// Its jid, when it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        jid: Option<String>,
        /// Its hidden id, when known.
        #[serde(skip_serializing_if = "Option::is_none")]
        lid: Option<String>,
    },
    /// The code to type into the phone.
    PairingCode {
        /// Eight characters.
        code: String,
    },
    /// The job was not done.
    Failed {
        /// What kind of failure, for programs.
        code: FailureCode,
        /// What was wrong, for people.
        message: String,
        /// The field that was wrong, if it was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
        /// From when on it can be done, in unix milliseconds, where that is known (`look_up_limit`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
}

/// Why a job was not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// No session has this token.
    UnknownSession,
    /// No queue of this session has this id.
    UnknownQueue,
    /// The body is not a job.
    InvalidJob,
    /// The state does not allow it, or the same id came with another body.
    Conflict,
    /// The session is not connected to WhatsApp.
    NotConnected,
    /// WhatsApp did not answer in time.
    Timeout,
    /// WhatsApp refused.
    Refused,
    /// The number is not known, and no other may be looked up before `until`: the session's look-ups have a gap and a
    /// number per day.
    LookUpLimit,
    /// We failed; trying again may help.
    Internal,
}
