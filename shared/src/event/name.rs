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
        /// Somebody published a status.
        StatusBroadcast = "status.broadcast",
        /// A message has another status, or says something else.
        MessagesUpdate = "messages.update",
        /// Messages were deleted.
        MessagesDelete = "messages.delete",
        /// Somebody reacted to a message.
        MessageReaction = "message.reaction",
        /// Somebody voted in a poll.
        PollVote = "poll.vote",
        /// Somebody came to the chat by an advertisement or a link.
        MessageLinkClick = "message.link_click",
        /// Chats of the past, as the account's phone shares them.
        ChatsSet = "chats.set",
        /// People the account's phone knows.
        ContactsSet = "contacts.set",
        /// Messages of the past.
        MessagesSet = "messages.set",
        /// A piece of the past is taken in.
        HistoryProgress = "history.progress",
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
        /// The account is not in a group any more, or the group is no more.
        GroupsDelete = "groups.delete",
        /// Groups became part of a community, or are no more.
        GroupsLink = "groups.link",
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
