//! The `data` of events of messages, in the sampled shapes of the contract; every field explained.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::id::StanzaId;

/// A message came in.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct NewMessage {
    /// Who and where.
    pub header: MessageHeader,
    /// What.
    pub body: MessageBody,
    /// When and how.
    pub context: MessageContext,
}

/// Who sent a message, and in which chat.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageHeader {
    /// The message's id.
    pub message_id: StanzaId,
    /// Whether the account itself sent it, from another device.
    pub from_me: bool,
    /// The jid of the chat.
    pub wuid: String,
    /// The sender's hidden id, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The sender's phone number, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// Who sent it, in a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// The name the sender goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
}

/// The content of a message.
#[derive(Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageBody {
    /// The protocol's name of the kind: `conversation`, `extendedTextMessage`…
    pub message_type: String,
    /// The text of a plain message, else an object of the kind's fields.
    pub message: serde_json::Value,
}

impl fmt::Debug for MessageBody {
    /// Bodies are never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageBody({})", self.message_type)
    }
}

/// When and how a message came.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageContext {
    /// The kind of device it was written on: `android`, `ios`, `web`, `desktop`, `unknown`.
    pub source_device: String,
    /// When it was sent, in seconds since 1970.
    pub message_timestamp: i64,
    /// Whether the chat is a group.
    pub from_group: bool,
}

/// A message has another status, or says something else.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct MessagesUpdate {
    /// The change.
    pub update: Update,
}

/// What is new of a message: its status, or what it says.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// The status now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<MessageStatus>,
    /// What it says now, where its author edited it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited: Option<MessageBody>,
    /// Which message.
    pub header: UpdateHeader,
    /// When it changed, in milliseconds since 1970.
    pub date_time: i64,
}

/// Which message a [`Update`] speaks of.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateHeader {
    /// The message's id.
    pub message_id: StanzaId,
    /// The jid of the chat.
    pub wuid: String,
    /// Whether the account itself sent it.
    pub from_me: bool,
    /// Of a group: the member who has it now, or has read it; of an edit, who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// The other side's hidden id, where known; in a group that of `participant`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The other side's phone number, where known; in a group that of `participant`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
}

/// The status of a message, in WhatsApp's words.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MessageStatus {
    /// It failed.
    Error,
    /// Not with the server yet.
    Pending,
    /// The server has it.
    ServerAck,
    /// A device of the recipient has it.
    DeliveryAck,
    /// It was read.
    Read,
    /// It was played.
    Played,
}
