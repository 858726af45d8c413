//! The names of events, and the routing keys made from them.

use serde::{Deserialize, Serialize};

use crate::id::Token;

/// The name of an event, as sent.
#[derive(
    Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum EventName {
    /// The connection with WhatsApp changed.
    #[serde(rename = "connection.update")]
    ConnectionUpdate,
    /// A QR code to scan.
    #[serde(rename = "qrcode.updated")]
    QrCodeUpdated,
    /// A message came in.
    #[serde(rename = "new.message")]
    NewMessage,
    /// The status of a message changed.
    #[serde(rename = "messages.update")]
    MessagesUpdate,
    /// A queue started.
    #[serde(rename = "send.message:START")]
    SendStart,
    /// One recipient of a queue is settled.
    #[serde(rename = "send.message:PROCESSING")]
    SendProcessing,
    /// All recipients of a queue are settled.
    #[serde(rename = "send.message:COMPLETED")]
    SendCompleted,
    /// A recipient of a queue can't be reached.
    #[serde(rename = "send.message:ERROR")]
    SendError,
    /// A queue is paused.
    #[serde(rename = "paused.queue")]
    PausedQueue,
    /// A queue goes on.
    #[serde(rename = "resumed.queue")]
    ResumedQueue,
    /// A queue was deleted.
    #[serde(rename = "deleted.queue")]
    DeletedQueue,
    /// A job was accepted: it is stored and will be done.
    #[serde(rename = "job.accepted")]
    JobAccepted,
    /// A job was refused and will not be done.
    #[serde(rename = "job.rejected")]
    JobRejected,
}

impl EventName {
    /// All names.
    pub const ALL: [Self; 13] = [
        Self::ConnectionUpdate,
        Self::QrCodeUpdated,
        Self::NewMessage,
        Self::MessagesUpdate,
        Self::SendStart,
        Self::SendProcessing,
        Self::SendCompleted,
        Self::SendError,
        Self::PausedQueue,
        Self::ResumedQueue,
        Self::DeletedQueue,
        Self::JobAccepted,
        Self::JobRejected,
    ];

    /// The name as sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionUpdate => "connection.update",
            Self::QrCodeUpdated => "qrcode.updated",
            Self::NewMessage => "new.message",
            Self::MessagesUpdate => "messages.update",
            Self::SendStart => "send.message:START",
            Self::SendProcessing => "send.message:PROCESSING",
            Self::SendCompleted => "send.message:COMPLETED",
            Self::SendError => "send.message:ERROR",
            Self::PausedQueue => "paused.queue",
            Self::ResumedQueue => "resumed.queue",
            Self::DeletedQueue => "deleted.queue",
            Self::JobAccepted => "job.accepted",
            Self::JobRejected => "job.rejected",
        }
    }

    /// The event of a name, if there is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }

    /// The routing key of this event of a session: `<token>.<event, ':' as '.'>`.
    pub fn routing_key(self, token: &Token) -> String {
        routing_key(token, self.as_str())
    }
}

/// The routing key of any event name of a session.
pub fn routing_key(token: &Token, event: &str) -> String {
    format!("{token}.{}", event.replace(':', "."))
}
