//! Events: what a session tells the world, in one envelope, in the shapes of the contract.
//!
//! An event is made by the owner of its session, gets its place in the session's sequence, and is stored in the
//! outbox with the state it tells of ([`Event::envelope`] → [`Envelope::to_json`]). Knows nothing of transport
//! but its routing key.

mod data;
mod queue;

use serde::{Deserialize, Serialize};

pub use data::*;
pub use queue::*;

use crate::id::{EventId, Token};

/// Most jids and message ids that one event lists. Longer lists are cut and say so (`truncated`); the whole is
/// in the queue's recipients. Keeps an event under 1 MiB.
pub const LIST_MAX: usize = 10_000;

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

/// Whose event it is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Instance {
    /// The jid of the account; null while the session is not paired.
    pub owner: Option<String>,
    /// The session's token.
    pub name: Token,
}

/// An event as it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Envelope {
    /// The event's name.
    pub event: EventName,
    /// Whose event it is.
    pub instance: Instance,
    /// What happened.
    pub data: Event,
    /// UUIDv7, the same on every redelivery.
    pub id: EventId,
    /// When it was made, in milliseconds since 1970.
    pub timestamp: i64,
    /// The event's place among those of its session, increasing. 0 where there is no session.
    pub sequence: i64,
}

impl Envelope {
    /// The JSON text.
    pub fn to_json(&self) -> String {
        // Unwrap safety: our own types have no maps with other than text keys and no failing serializers.
        #[allow(clippy::unwrap_used)]
        serde_json::to_string(self).unwrap()
    }

    /// The AMQP routing key.
    pub fn routing_key(&self) -> String {
        self.event.routing_key(&self.instance.name)
    }
}

impl Event {
    /// Puts the event into its envelope. `sequence` is the session's last plus one; `id` a fresh
    /// [`EventId::now_v7`]; `timestamp_ms` the caller's clock.
    pub fn envelope(self, instance: Instance, id: EventId, timestamp_ms: i64, sequence: i64) -> Envelope {
        Envelope {
            event: self.name(),
            instance,
            data: self,
            id,
            timestamp: timestamp_ms,
            sequence,
        }
    }
}

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

#[cfg(test)]
mod tests;
