//! The names of events, and the routing keys made from them.

use crate::id::Token;
use crate::named::named;

named! {
    /// The name of an event, as sent.
    EventName {
        /// The connection with WhatsApp changed.
        ConnectionUpdate = "connection.update",
        /// A QR code to scan.
        QrCodeUpdated = "qrcode.updated",
        /// The account must prove itself with a passkey before it links: how far that is.
        SessionPasskey = "session.passkey",
        /// WhatsApp keeps the account from writing to new contacts.
        SessionRestricted = "session.restricted",
        /// New contacts can be written to again.
        SessionUnrestricted = "session.unrestricted",
        /// Somebody whom the session follows is there, or writes.
        PresenceUpdate = "presence.update",
        /// Somebody is known who was not before, or more is known of them.
        ContactsUpsert = "contacts.upsert",
        /// A contact has another name, picture, about or number.
        ContactsUpdate = "contacts.update",
        /// The security code of a contact changed.
        ContactIdentity = "contact.identity",
        /// Somebody calls, or a call has come further.
        Call = "call",
        /// A message came in.
        NewMessage = "new.message",
        /// The status of a message changed.
        MessagesUpdate = "messages.update",
        /// Messages were deleted.
        MessagesDelete = "messages.delete",
        /// A message was starred, or is not any more.
        MessageStar = "message.star",
        /// Chats were archived, pinned, muted, or marked as read or unread.
        ChatsUpdate = "chats.update",
        /// Chats were deleted.
        ChatsDelete = "chats.delete",
        /// A label was made, changed or deleted.
        LabelsEdit = "labels.edit",
        /// A chat or a message has a label, or not any more.
        LabelsAssociation = "labels.association",
        /// The account is in a group: it was made, or the account came in.
        GroupsUpsert = "groups.upsert",
        /// A group's name, description, picture, settings or link changed.
        GroupsUpdate = "groups.update",
        /// People came into a group, left it, or are admins, or are not any more.
        GroupsParticipants = "groups.participants",
        /// Somebody asks to be let into a group, or does not any more.
        GroupsJoinRequest = "groups.join-request",
        /// A queue started.
        SendStart = "send.message:START",
        /// One recipient of a queue is settled.
        SendProcessing = "send.message:PROCESSING",
        /// All recipients of a queue are settled.
        SendCompleted = "send.message:COMPLETED",
        /// A recipient of a queue can't be reached.
        SendError = "send.message:ERROR",
        /// Nobody knows whether a recipient of a queue got its message, and it is not sent again.
        SendUnknown = "send.message:UNKNOWN",
        /// A queue is paused.
        PausedQueue = "paused.queue",
        /// A queue goes on.
        ResumedQueue = "resumed.queue",
        /// A queue was deleted.
        DeletedQueue = "deleted.queue",
        /// A job was accepted: it is stored and will be done.
        JobAccepted = "job.accepted",
        /// A job was refused and will not be done.
        JobRejected = "job.rejected",
    }
}

/// The routing key of an event of a session: `<token>.<event, ':' as '.'>`.
pub fn routing_key(token: &Token, event: &str) -> String {
    format!("{token}.{}", event.replace(':', "."))
}
