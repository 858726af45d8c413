//! The `data` of events of queues, in the sampled shapes of the contract; every field explained.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::content::{Content, SentForm};
use crate::id::{QueueId, StanzaId, Token};
use crate::job::Reference;

/// Most jids and message ids that one event lists. Longer lists are cut and say so (`truncated`), and `recipients` says
/// where the whole is. Keeps what lists them under 64 KiB beside the message.
pub const LIST_MAX: usize = 1_000;

/// The progress of a queue in percent: rounded half up, 100 only when all are settled.
pub fn progress(settled: u32, total: u32) -> u8 {
    if settled >= total {
        return 100;
    }
    let rounded = (u64::from(settled) * 200 + u64::from(total)) / (u64::from(total) * 2);
    // Unwrap safety: the value is at most 99 after `min`.
    #[allow(clippy::unwrap_used)]
    u8::try_from(rounded.min(99)).unwrap()
}

/// A queue, as its events name it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueueName {
    /// Its id.
    pub id: QueueId,
    /// What its caller calls it by.
    pub reference: Option<Reference>,
}

impl From<QueueId> for QueueName {
    fn from(id: QueueId) -> Self {
        let reference = None;
        Self { id, reference }
    }
}

/// A queue started.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct SendStart {
    /// The queue.
    pub queue: Started,
}

/// The queue of a [`SendStart`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// Its id.
    pub queue_id: QueueId,
    /// Always `STARTED`.
    pub status: &'static str,
    /// Always 0.
    pub progress: u8,
    /// What its caller calls it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// One more recipient is settled.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct SendProcessing {
    /// The queue.
    pub queue: Processing,
}

/// The queue of a [`SendProcessing`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Processing {
    /// The message that was settled; absent when none was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<StanzaId>,
    /// Percent of recipients settled.
    pub progress: u8,
    /// The queue's id.
    pub queue_id: QueueId,
    /// When it was settled, in milliseconds since 1970.
    pub queue_timestamp: i64,
    /// What the queue's caller calls it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Who was settled.
    pub recipient: Settled,
}

/// A recipient that is settled.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
pub struct Settled {
    /// Its jid, as the job named it.
    pub number: String,
    /// `sent`, `failed`, `unknown`, or `duplicate`: its account is that of another recipient, and it got nothing.
    pub state: &'static str,
    /// What the caller calls it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

impl fmt::Debug for Settled {
    /// Numbers are never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settled({})", self.state)
    }
}

/// All recipients of a queue are settled.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SendCompleted {
    /// The queue.
    pub queue: QueueState,
}

/// A queue was paused, resumed or deleted.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct QueueChanged {
    /// What was done.
    pub action: QueueAction,
    /// The queue.
    pub queue: QueueState,
}

/// What can be done to a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueAction {
    /// Stop sending.
    Pause,
    /// Go on.
    Resume,
    /// Never send what is left.
    Delete,
}

/// A queue, with all that the contract's samples show.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueState {
    /// Its id.
    pub queue_id: QueueId,
    /// Percent of recipients settled.
    pub progress: u8,
    /// Its recipients and message.
    pub data: QueueData,
    /// When this happened, in milliseconds since 1970.
    pub queue_timestamp: i64,
    /// What its caller calls it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// Recipients, message and message ids of a queue.
#[derive(Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueData {
    /// The recipients' jids, in order; at most [`LIST_MAX`].
    pub jids: Vec<String>,
    /// The kind of the message, beside `message` because one of the samples has it there.
    pub message_type: &'static str,
    /// The message.
    pub message: QueueMessage,
    /// The ids of the messages sent so far, in order; at most [`LIST_MAX`].
    pub message_ids: Vec<StanzaId>,
    /// How many recipients the queue has.
    pub total: u32,
    /// Present and true when a list is cut at [`LIST_MAX`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
    /// Where all of them are, with what became of each, when a list is cut: a path of the HTTP API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipients: Option<String>,
}

impl fmt::Debug for QueueData {
    /// Numbers and bodies are never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueData({} of {} jids)", self.jids.len(), self.total)
    }
}

impl QueueData {
    /// Puts a queue's data together; lists are cut at [`LIST_MAX`].
    pub fn new(content: &Content, mut jids: Vec<String>, mut message_ids: Vec<StanzaId>, total: u32) -> Self {
        jids.truncate(LIST_MAX);
        message_ids.truncate(LIST_MAX);
        let truncated = (u64::from(total) > LIST_MAX as u64).then_some(true);
        let message = QueueMessage::new(content);
        Self {
            jids,
            message_type: message.message_type,
            message,
            message_ids,
            total,
            truncated,
            recipients: None,
        }
    }

    /// Says where the whole of a list is that was cut.
    #[must_use]
    pub fn found_at(mut self, token: &Token, queue: QueueId) -> Self {
        let path = || format!("/v1/sessions/{token}/queues/{queue}/recipients");
        self.recipients = self.truncated.map(|_| path());
        self
    }
}

/// The message of a queue.
#[derive(Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueMessage {
    /// The protocol's name of the kind.
    pub message_type: &'static str,
    /// The kind's fields.
    pub message: serde_json::Value,
    /// In which form buttons or a list go out: `nativeFlow`, `legacy` or `text`; absent for what has one form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<SentForm>,
}

impl QueueMessage {
    /// The message of a job, in the protocol's words.
    pub fn new(content: &Content) -> Self {
        Self {
            message_type: content.message_type(),
            message: content.message(),
            form: content.form(),
        }
    }
}

impl fmt::Debug for QueueMessage {
    /// Bodies are never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueMessage({})", self.message_type)
    }
}

/// A recipient of a queue can't be reached.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendError {
    /// The recipient's jid.
    pub number: String,
    /// What was wrong, for people.
    pub message: String,
    /// What was wrong, in the manner of HTTP: 404 not on WhatsApp, 4xx refused, 5xx failed.
    pub status: u16,
    /// The status in words.
    pub error: &'static str,
    /// The queue.
    pub queue_id: QueueId,
    /// What the caller calls the recipient by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// What the caller calls the queue by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_reference: Option<Reference>,
}

/// Nobody knows whether a recipient of a queue got its message, and it is not sent again. If an answer or a receipt comes
/// after all, `messages.update` tells it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendUnknown {
    /// The recipient's jid.
    pub number: String,
    /// The id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<StanzaId>,
    /// Why, for people.
    pub message: String,
    /// Why, in the manner of HTTP: 504 not answered, or cut off and held; else how the last attempt was refused.
    pub status: u16,
    /// The status in words.
    pub error: &'static str,
    /// The queue.
    pub queue_id: QueueId,
    /// What the caller calls the recipient by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// What the caller calls the queue by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_reference: Option<Reference>,
}
