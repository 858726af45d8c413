//! The `data` of each event, in the sampled shapes of the contract; every field explained.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::EventName;
use super::queue::{
    JobAccepted, JobRejected, Processing, QueueAction, QueueChanged, QueueData, QueueState, SendCompleted,
    SendError, SendProcessing, SendStart, Started,
};
use crate::id::{QueueId, StanzaId, Token};

/// What happened. Serializes as the bare `data` of its envelope.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Event {
    /// `connection.update`.
    ConnectionUpdate(ConnectionUpdate),
    /// `qrcode.updated`.
    QrCodeUpdated(QrCodeUpdated),
    /// `new.message`.
    NewMessage(Box<NewMessage>),
    /// `messages.update`.
    MessagesUpdate(MessagesUpdate),
    /// `send.message:START`.
    SendStart(SendStart),
    /// `send.message:PROCESSING`.
    SendProcessing(SendProcessing),
    /// `send.message:COMPLETED`.
    SendCompleted(SendCompleted),
    /// `send.message:ERROR`.
    SendError(SendError),
    /// `paused.queue`, `resumed.queue` or `deleted.queue`, by its action.
    Queue(QueueChanged),
    /// `job.accepted`.
    JobAccepted(JobAccepted),
    /// `job.rejected`.
    JobRejected(JobRejected),
}

impl Event {
    /// The name this event is sent under.
    pub fn name(&self) -> EventName {
        match self {
            Self::ConnectionUpdate(_) => EventName::ConnectionUpdate,
            Self::QrCodeUpdated(_) => EventName::QrCodeUpdated,
            Self::NewMessage(_) => EventName::NewMessage,
            Self::MessagesUpdate(_) => EventName::MessagesUpdate,
            Self::SendStart(_) => EventName::SendStart,
            Self::SendProcessing(_) => EventName::SendProcessing,
            Self::SendCompleted(_) => EventName::SendCompleted,
            Self::SendError(_) => EventName::SendError,
            Self::Queue(change) => match change.action {
                QueueAction::Pause => EventName::PausedQueue,
                QueueAction::Resume => EventName::ResumedQueue,
                QueueAction::Delete => EventName::DeletedQueue,
            },
            Self::JobAccepted(_) => EventName::JobAccepted,
            Self::JobRejected(_) => EventName::JobRejected,
        }
    }

    /// `connection.update` of a session.
    pub fn connection(
        name: Token,
        id: impl fmt::Display,
        state: ConnectionState,
        status_reason: u16,
    ) -> Self {
        let instance = ConnectionInstance {
            name,
            id: id.to_string(),
        };
        Self::ConnectionUpdate(ConnectionUpdate {
            instance,
            state,
            status_reason,
        })
    }

    /// `qrcode.updated`: the text of the QR code and its picture as a data URL.
    pub fn qr_code(name: Token, code: String, base64: String) -> Self {
        Self::QrCodeUpdated(QrCodeUpdated {
            name,
            qrcode: QrCode { code, base64 },
        })
    }

    /// `messages.update` of one message.
    pub fn message_status(status: MessageStatus, header: UpdateHeader, date_time_ms: i64) -> Self {
        Self::MessagesUpdate(MessagesUpdate {
            update: Update {
                status,
                header,
                date_time: date_time_ms,
            },
        })
    }

    /// `send.message:START`.
    pub fn send_start(queue_id: QueueId) -> Self {
        Self::SendStart(SendStart {
            queue: Started {
                queue_id,
                status: "STARTED",
                progress: 0,
            },
        })
    }

    /// `send.message:PROCESSING`: one more recipient is settled. Without a message id where none was sent.
    pub fn send_processing(
        queue_id: QueueId,
        message_id: Option<StanzaId>,
        progress: u8,
        queue_timestamp_ms: i64,
    ) -> Self {
        let queue = Processing {
            message_id,
            progress,
            queue_id,
            queue_timestamp: queue_timestamp_ms,
        };
        Self::SendProcessing(SendProcessing { queue })
    }

    /// `send.message:COMPLETED`.
    pub fn send_completed(queue_id: QueueId, data: QueueData, queue_timestamp_ms: i64) -> Self {
        let queue = QueueState {
            queue_id,
            progress: 100,
            data,
            queue_timestamp: queue_timestamp_ms,
        };
        Self::SendCompleted(SendCompleted { queue })
    }

    /// `send.message:ERROR` for a number that is not on WhatsApp.
    pub fn not_on_whatsapp(queue_id: QueueId, jid: String) -> Self {
        let message = "The number entered is not a valid whatsapp contact".to_owned();
        Self::send_error(queue_id, jid, 404, "Not Found", message)
    }

    /// `send.message:ERROR` with a status in the manner of HTTP.
    pub fn send_error(
        queue_id: QueueId,
        jid: String,
        status: u16,
        error: &'static str,
        message: String,
    ) -> Self {
        Self::SendError(SendError {
            number: jid,
            message,
            status,
            error,
            queue_id,
        })
    }

    /// `paused.queue`, `resumed.queue` or `deleted.queue`.
    pub fn queue(
        action: QueueAction,
        queue_id: QueueId,
        progress: u8,
        data: QueueData,
        queue_timestamp_ms: i64,
    ) -> Self {
        let queue = QueueState {
            queue_id,
            progress,
            data,
            queue_timestamp: queue_timestamp_ms,
        };
        Self::Queue(QueueChanged { action, queue })
    }
}

/// The connection with WhatsApp changed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionUpdate {
    /// The session.
    pub instance: ConnectionInstance,
    /// Its state now.
    pub state: ConnectionState,
    /// Why, in the manner of HTTP: 200 open, 401 logged out, 408 timed out, 428 closed, 440 replaced, 515 restart…
    pub status_reason: u16,
}

/// The session of a [`ConnectionUpdate`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct ConnectionInstance {
    /// Its token.
    pub name: Token,
    /// Its unique id.
    pub id: String,
}

/// The states of a connection that `connection.update` knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// Not connected.
    Close,
    /// Logged in.
    Open,
    /// Connecting or pairing.
    Connecting,
    /// Pairing ran out of time, or WhatsApp refused the account.
    Refused,
}

/// A QR code to scan.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct QrCodeUpdated {
    /// The session's token.
    pub name: Token,
    /// The code.
    pub qrcode: QrCode,
}

/// A QR code as text and as picture.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct QrCode {
    /// The text in the QR code.
    pub code: String,
    /// The picture, as `data:image/png;base64,…`.
    pub base64: String,
}

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

/// The status of a message changed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct MessagesUpdate {
    /// The change.
    pub update: Update,
}

/// The new status of a message.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// The status now.
    pub status: MessageStatus,
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
    /// The other side's hidden id, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The other side's phone number, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
}

/// The status of a message, in WhatsApp's words.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, JsonSchema)]
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
