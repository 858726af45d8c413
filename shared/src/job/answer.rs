//! What a job that asked for an answer (`reply_to`) is told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chats::Forgotten;
use super::dry_run::DryRunAnswer;
use super::group::GroupAnswer;
use super::history::HistoryAsked;
use super::profile::ProfileAnswer;
use super::recipients::Reading;
use crate::id::QueueId;
use crate::named::named;

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
    /// What is so of each number that was asked for, blocked or unblocked, each once.
    Numbers {
        /// In the order in which they were named first.
        numbers: Vec<NumberAnswer>,
    },
    /// What came of a job about groups.
    Group(Box<GroupAnswer>),
    /// What came of a job about somebody or the own account.
    Profile(Box<ProfileAnswer>),
    /// The phone was asked for older messages.
    History(HistoryAsked),
    /// How much was forgotten of a chat or a person.
    Forgotten(Forgotten),
    /// What a send would do.
    DryRun(Box<DryRunAnswer>),
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

/// What is so of one number.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NumberAnswer {
    /// The number, digits only.
    pub number: String,
    /// Whether it is on WhatsApp.
    pub exists: bool,
    /// Its jid, when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jid: Option<String>,
    /// Its hidden id, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// Whether the account blocks it now; of numbers that were to be blocked or unblocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<bool>,
    /// Why it was not done, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<NumberFailure>,
}

/// Why a number was not blocked or unblocked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NumberFailure {
    /// It is not on WhatsApp.
    NotOnWhatsapp,
    /// WhatsApp did not tell its hidden id, by which block lists go.
    NoHiddenId,
    /// The session is not connected to WhatsApp.
    NotConnected,
    /// WhatsApp did not answer in time.
    Timeout,
    /// WhatsApp refused.
    Refused,
}

named! {
    /// Why a job was not done.
    FailureCode {
        /// No session has this token.
        UnknownSession = "unknown_session",
        /// No queue of this session has this id.
        UnknownQueue = "unknown_queue",
        /// The body is not a job.
        InvalidJob = "invalid_job",
        /// The state does not allow it, or the same id came with another body.
        Conflict = "conflict",
        /// The session is not connected to WhatsApp.
        NotConnected = "not_connected",
        /// WhatsApp did not answer in time.
        Timeout = "timeout",
        /// WhatsApp refused.
        Refused = "refused",
        /// A number is not known, and no other may be looked up before `until`: the session's look-ups have a gap and a
        /// number per day.
        LookUpLimit = "look_up_limit",
        /// The session has as many questions open as it may have; in a moment it takes more.
        Busy = "busy",
        /// No message of the session that came in with a file has this id, or not any more.
        UnknownMessage = "unknown_message",
        /// There is no such call that rings.
        UnknownCall = "unknown_call",
        /// The phone does not have it any more either.
        Gone = "gone",
        /// We failed; trying again may help.
        Internal = "internal",
    }
}
