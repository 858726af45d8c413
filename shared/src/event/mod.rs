//! Events: what a session tells the world, in one envelope, in the shapes of the contract.
//!
//! An event is made by the owner of its session, gets its place in the session's sequence, and is stored in the
//! outbox with the state it tells of ([`Event::envelope`] → [`Envelope::to_json`]). Knows nothing of transport
//! but its routing key.

mod about;
mod call;
mod chat;
mod contact;
mod group;
mod history;
mod job;
pub mod legacy;
mod message;
mod name;
mod passkey;
mod presence;
mod queue;
mod session;
pub mod socket;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use about::*;
pub use call::*;
pub use chat::*;
pub use contact::*;
pub use group::*;
pub use history::*;
pub use job::*;
pub use message::*;
pub use name::*;
pub use passkey::*;
pub use presence::*;
pub use queue::*;
pub use session::*;

use crate::id::{EventId, StanzaId, Token};

/// Whose event it is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// The jid of the account; null while the session is not paired.
    pub owner: Option<String>,
    /// The session's token.
    pub name: Token,
}

/// An event as it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
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
}

/// What happened. Serializes as the bare `data` of its envelope.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Event {
    /// `connection.update`.
    ConnectionUpdate(ConnectionUpdate),
    /// `qrcode.updated`.
    QrCodeUpdated(QrCodeUpdated),
    /// `session.passkey`.
    SessionPasskey(SessionPasskey),
    /// `session.restricted`.
    SessionRestricted(SessionRestricted),
    /// `session.unrestricted`.
    SessionUnrestricted(SessionUnrestricted),
    /// `presence.update`.
    PresenceUpdate(PresenceUpdate),
    /// `contacts.upsert`.
    ContactsUpsert(Vec<Contact>),
    /// `contacts.update`.
    ContactsUpdate(Vec<Contact>),
    /// `contact.identity`.
    ContactIdentity(ContactIdentity),
    /// `call`.
    Call(Call),
    /// `new.message`.
    NewMessage(Box<NewMessage>),
    /// `status.broadcast`.
    StatusBroadcast(Box<NewMessage>),
    /// `messages.update`.
    MessagesUpdate(Box<MessagesUpdate>),
    /// `messages.delete`.
    MessagesDelete(MessagesDelete),
    /// `message.reaction`.
    MessageReaction(Box<MessageReaction>),
    /// `poll.vote`.
    PollVote(Box<PollVote>),
    /// `message.link_click`.
    MessageLinkClick(Box<LinkClick>),
    /// `chats.set`: at most so many that the event stays small.
    ChatsSet(Vec<SetChat>),
    /// `contacts.set`: the same.
    ContactsSet(Vec<SetContact>),
    /// `messages.set`: the same.
    MessagesSet(Vec<NewMessage>),
    /// `history.progress`.
    HistoryProgress(HistoryProgress),
    /// `message.star`.
    MessageStar(MessageStar),
    /// `chats.update`.
    ChatsUpdate(Vec<ChatUpdate>),
    /// `chats.delete`: the jids of the chats.
    ChatsDelete(Vec<String>),
    /// `labels.edit`.
    LabelsEdit(LabelEdit),
    /// `labels.association`.
    LabelsAssociation(LabelAssociation),
    /// `groups.upsert`.
    GroupJoined(Box<GroupJoined>),
    /// `groups.update`.
    GroupUpdate(Box<GroupUpdate>),
    /// `groups.participants`.
    GroupParticipants(Box<GroupParticipants>),
    /// `groups.join-request`.
    GroupJoinRequest(Box<GroupJoinRequest>),
    /// `groups.delete`.
    GroupGone(Box<GroupGone>),
    /// `groups.link`.
    GroupLink(Box<GroupLink>),
    /// `send.message:START`.
    SendStart(SendStart),
    /// `send.message:PROCESSING`.
    SendProcessing(SendProcessing),
    /// `send.message:COMPLETED`.
    SendCompleted(SendCompleted),
    /// `send.message:ERROR`.
    SendError(SendError),
    /// `send.message:UNKNOWN`.
    SendUnknown(SendUnknown),
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
            Self::SessionPasskey(_) => EventName::SessionPasskey,
            Self::SessionRestricted(_) => EventName::SessionRestricted,
            Self::SessionUnrestricted(_) => EventName::SessionUnrestricted,
            Self::PresenceUpdate(_) => EventName::PresenceUpdate,
            Self::ContactsUpsert(_) => EventName::ContactsUpsert,
            Self::ContactsUpdate(_) => EventName::ContactsUpdate,
            Self::ContactIdentity(_) => EventName::ContactIdentity,
            Self::Call(_) => EventName::Call,
            Self::NewMessage(_) => EventName::NewMessage,
            Self::StatusBroadcast(_) => EventName::StatusBroadcast,
            Self::MessagesUpdate(_) => EventName::MessagesUpdate,
            Self::MessagesDelete(_) => EventName::MessagesDelete,
            Self::MessageReaction(_) => EventName::MessageReaction,
            Self::PollVote(_) => EventName::PollVote,
            Self::MessageLinkClick(_) => EventName::MessageLinkClick,
            Self::ChatsSet(_) => EventName::ChatsSet,
            Self::ContactsSet(_) => EventName::ContactsSet,
            Self::MessagesSet(_) => EventName::MessagesSet,
            Self::HistoryProgress(_) => EventName::HistoryProgress,
            Self::MessageStar(_) => EventName::MessageStar,
            Self::ChatsUpdate(_) => EventName::ChatsUpdate,
            Self::ChatsDelete(_) => EventName::ChatsDelete,
            Self::LabelsEdit(_) => EventName::LabelsEdit,
            Self::LabelsAssociation(_) => EventName::LabelsAssociation,
            Self::GroupJoined(_) => EventName::GroupsUpsert,
            Self::GroupUpdate(_) => EventName::GroupsUpdate,
            Self::GroupParticipants(_) => EventName::GroupsParticipants,
            Self::GroupJoinRequest(_) => EventName::GroupsJoinRequest,
            Self::GroupGone(_) => EventName::GroupsDelete,
            Self::GroupLink(_) => EventName::GroupsLink,
            Self::SendStart(_) => EventName::SendStart,
            Self::SendProcessing(_) => EventName::SendProcessing,
            Self::SendCompleted(_) => EventName::SendCompleted,
            Self::SendError(_) => EventName::SendError,
            Self::SendUnknown(_) => EventName::SendUnknown,
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

    /// `session.passkey`.
    pub fn passkey(name: Token, passkey: Passkey) -> Self {
        Self::SessionPasskey(SessionPasskey { name, passkey })
    }

    /// `messages.update` of one message.
    pub fn message_status(status: MessageStatus, header: UpdateHeader, date_time_ms: i64) -> Self {
        Self::MessagesUpdate(Box::new(MessagesUpdate {
            update: Update {
                status: Some(status),
                edited: None,
                header,
                date_time: date_time_ms,
            },
        }))
    }

    /// `messages.update` of a message whose author has edited it.
    pub fn message_edited(edited: MessageBody, header: UpdateHeader, date_time_ms: i64) -> Self {
        Self::MessagesUpdate(Box::new(MessagesUpdate {
            update: Update {
                status: None,
                edited: Some(edited),
                header,
                date_time: date_time_ms,
            },
        }))
    }

    /// `send.message:START`.
    pub fn send_start(queue: impl Into<QueueName>) -> Self {
        let QueueName { id, reference } = queue.into();
        Self::SendStart(SendStart {
            queue: Started {
                queue_id: id,
                status: "STARTED",
                progress: 0,
                reference,
            },
        })
    }

    /// `send.message:PROCESSING`: one more recipient is settled. Without a message id where none was sent.
    pub fn send_processing(
        queue: impl Into<QueueName>,
        message_id: Option<StanzaId>,
        recipient: Settled,
        progress: u8,
        queue_timestamp_ms: i64,
    ) -> Self {
        let QueueName { id, reference } = queue.into();
        let queue = Processing {
            message_id,
            progress,
            queue_id: id,
            queue_timestamp: queue_timestamp_ms,
            reference,
            recipient,
        };
        Self::SendProcessing(SendProcessing { queue })
    }

    /// `send.message:COMPLETED`.
    pub fn send_completed(queue: impl Into<QueueName>, data: QueueData, queue_timestamp_ms: i64) -> Self {
        let QueueName { id, reference } = queue.into();
        let queue = QueueState {
            queue_id: id,
            progress: 100,
            data,
            queue_timestamp: queue_timestamp_ms,
            reference,
        };
        Self::SendCompleted(SendCompleted { queue })
    }

    /// `paused.queue`, `resumed.queue` or `deleted.queue`.
    pub fn queue(
        action: QueueAction,
        queue: impl Into<QueueName>,
        progress: u8,
        data: QueueData,
        queue_timestamp_ms: i64,
    ) -> Self {
        let QueueName { id, reference } = queue.into();
        let queue = QueueState {
            queue_id: id,
            progress,
            data,
            queue_timestamp: queue_timestamp_ms,
            reference,
        };
        Self::Queue(QueueChanged { action, queue })
    }

    /// Puts the event into its envelope. `sequence` is the session's last plus one; `id` a fresh
    /// [`EventId::fresh`]; `timestamp_ms` the caller's clock.
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

#[cfg(test)]
pub(crate) mod tests;
