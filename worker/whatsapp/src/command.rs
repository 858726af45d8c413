//! What the owner of a session asks of it.

use std::fmt;

use crate::{
    event::{Event, PasskeyStep, QueryError, SendError},
    group::request::GroupRequest,
    jid::{Jid, Server},
    media::MediaKey,
    message_id::MessageId,
    pairing::passkey::webauthn::Assertion,
    profile::{ProfileRequest, Typing},
    proto,
    sync_action::request::SyncRequest,
    time::Timestamp,
};

/// One request of the owner. Answers come as [`Event`]s.
///
/// [`fmt::Debug`] prints neither numbers nor codes.
pub enum Command {
    /// Send a message. Answered by `MessagePrepared`, then `MessageAcked` or `MessageFailed`. While the session is not
    /// open it is answered at once by `MessageFailed` with a reason that says to try again.
    Send(Box<Outgoing>),
    /// Like [`Self::Send`], but only to somebody who has written to us before or whose token we hold. Answered by
    /// `MessageFailed` with [`SendError::NewContact`] if they have not: nothing was asked of the server then, and no
    /// ratchet has moved.
    SendToKnown(Box<Outgoing>),
    /// Ask anew whether the server restricts the account. Answered by `Restricted`, `Unrestricted` or
    /// `RestrictionUnknown` for each restriction, some minutes later if it was asked a moment ago.
    AskRestrictions,
    /// Forget a send whose frame has not left. Answered by `MessageFailed { Cancelled }` if it could be stopped, else
    /// not at all (the send's own answer follows).
    Cancel(MessageId),
    /// Pair by code rather than by QR. Answered by `PairingCode` or `PairingCodeRefused`. A request that comes before an
    /// earlier one is answered takes its place: there is one answer, to the later.
    RequestPairingCode {
        /// The account's number, digits only, with country code.
        phone: String,
        /// Eight characters of the code's alphabet to use instead of random ones.
        custom: Option<String>,
    },
    /// Hand over what the account's passkey signed for [`Event::PasskeyRequested`]. Answered by `PasskeyStep` with the
    /// same ticket when the server has taken it, or why it did not come to that.
    AnswerPasskey {
        /// Comes back with the answer.
        ticket: u64,
        /// What the passkey signed.
        assertion: Box<Assertion>,
    },
    /// Go on after [`Event::PasskeyCode`]: the phone shows the same code. Answered by `PasskeyStep` with the same ticket
    /// when the server has taken what the phone needs; `Paired` follows.
    ConfirmPasskey {
        /// Comes back with the answer.
        ticket: u64,
    },
    /// Give up linking with a passkey: a fresh connection shows QR codes again. Answered by `PasskeyStep`.
    CancelPasskey {
        /// Comes back with the answer.
        ticket: u64,
    },
    /// Say what is kept of a number that was resolved once, in this process or one before: the server is asked nothing.
    /// Answered by `Recalled` with the same ticket.
    Recall {
        /// Comes back with the answer.
        ticket: u64,
        /// Digits only, with country code.
        number: String,
    },
    /// Ask the server which numbers have an account, which it allows an account only so often. What it says is kept, for
    /// sends and for [`Self::Recall`]. Answered by `IsOnWhatsApp` with the same ticket.
    IsOnWhatsApp {
        /// Comes back with the answer.
        ticket: u64,
        /// Digits only, with country code.
        numbers: Vec<String>,
    },
    /// Block or unblock somebody. Answered by `BlockListChanged` with the same ticket.
    ChangeBlockList {
        /// Comes back with the answer.
        ticket: u64,
        /// Whom.
        contact: Box<Contact>,
        /// What becomes of them.
        change: BlockChange,
    },
    /// Ask the server for its media hosts, for files to upload. Answered by `MediaHosts` with the same ticket.
    AskMediaHosts {
        /// Comes back with the answer.
        ticket: u64,
    },
    /// Ask our phone for older messages of a chat. Answered by `HistoryAsked` with the same ticket when the request leaves;
    /// the messages come as [`Event::History`], some time later or never.
    AskHistory {
        /// Comes back with the answer.
        ticket: u64,
        /// Which.
        request: Box<HistoryRequest>,
    },
    /// Ask our phone to upload the file of a message again, which is gone from the media hosts. Answered by `MediaRetried`
    /// with the same ticket.
    AskMediaRetry {
        /// Comes back with the answer.
        ticket: u64,
        /// Which.
        retry: Box<MediaRetry>,
    },
    /// Ask the server something about groups, or to change one. Answered by `GroupAnswered` with the same ticket.
    Group {
        /// Comes back with the answer.
        ticket: u64,
        /// What.
        request: Box<GroupRequest>,
    },
    /// Ask the server something about somebody or the own account, or to change that. Answered by `ProfileAnswered` with the
    /// same ticket.
    Profile {
        /// Comes back with the answer.
        ticket: u64,
        /// What.
        request: Box<ProfileRequest>,
    },
    /// Reject a call that rings. Answered by `CallRejected` with the same ticket.
    RejectCall {
        /// Comes back with the answer.
        ticket: u64,
        /// Its id.
        id: String,
    },
    /// Change something that the account's devices agree on. Answered by `SyncAnswered` with the same ticket when the server
    /// has taken it; what came of it is told by `SyncActions` in the same step.
    Sync {
        /// Comes back with the answer.
        ticket: u64,
        /// What.
        request: Box<SyncRequest>,
    },
    /// Tell the owner from now on, until the connection ends, when this person is there and writes. Not answered.
    FollowPresence(Jid),
    /// Tell a chat that something is being written, or not any more. Not answered.
    Type {
        /// The chat.
        chat: Jid,
        /// What.
        typing: Typing,
    },
    /// Tell the sender (and our other devices) that messages were read.
    MarkRead {
        /// The chat that the messages are in.
        chat: Jid,
        /// Who sent them, where that is not the chat itself (groups).
        sender: Option<Jid>,
        /// The messages, oldest first.
        ids: Vec<MessageId>,
    },
    /// Say whether the account is at the keyboard.
    SetPresence(Presence),
    /// Unlink this device from the account and close. Ends with `Closed` whose action is `LoggedOut`.
    Logout,
    /// Close the connection and end the driver; the credentials stay good.
    Stop,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(outgoing) => f.debug_tuple("Send").field(outgoing).finish(),
            Self::SendToKnown(outgoing) => f.debug_tuple("SendToKnown").field(outgoing).finish(),
            Self::AskRestrictions => f.write_str("AskRestrictions"),
            Self::Cancel(id) => f.debug_tuple("Cancel").field(id).finish(),
            Self::RequestPairingCode { .. } => f.write_str("RequestPairingCode(…)"),
            Self::AnswerPasskey { .. } => f.write_str("AnswerPasskey(…)"),
            Self::ConfirmPasskey { .. } => f.write_str("ConfirmPasskey"),
            Self::CancelPasskey { .. } => f.write_str("CancelPasskey"),
            Self::Recall { ticket, .. } => f
                .debug_struct("Recall")
                .field("ticket", ticket)
                .finish_non_exhaustive(),
            Self::IsOnWhatsApp { ticket, numbers } => f
                .debug_struct("IsOnWhatsApp")
                .field("ticket", ticket)
                .field("numbers", &numbers.len())
                .finish(),
            Self::ChangeBlockList { ticket, change, .. } => f
                .debug_struct("ChangeBlockList")
                .field("ticket", ticket)
                .field("change", change)
                .finish_non_exhaustive(),
            Self::AskMediaHosts { ticket } => f.debug_tuple("AskMediaHosts").field(ticket).finish(),
            Self::AskHistory { ticket, .. } => f.debug_tuple("AskHistory").field(ticket).finish(),
            Self::AskMediaRetry { ticket, .. } => f.debug_tuple("AskMediaRetry").field(ticket).finish(),
            Self::Group { ticket, request } => f
                .debug_struct("Group")
                .field("ticket", ticket)
                .field("request", request)
                .finish(),
            Self::Profile { ticket, request } => f
                .debug_struct("Profile")
                .field("ticket", ticket)
                .field("request", request)
                .finish(),
            Self::RejectCall { ticket, .. } => f
                .debug_struct("RejectCall")
                .field("ticket", ticket)
                .finish_non_exhaustive(),
            Self::Sync { ticket, request } => f
                .debug_struct("Sync")
                .field("ticket", ticket)
                .field("request", request)
                .finish(),
            Self::FollowPresence(_) => f.write_str("FollowPresence(…)"),
            Self::Type { typing, .. } => f.debug_tuple("Type").field(typing).finish(),
            Self::MarkRead { chat, ids, .. } => f
                .debug_struct("MarkRead")
                .field("chat", chat)
                .field("ids", ids)
                .finish_non_exhaustive(),
            Self::SetPresence(presence) => f.debug_tuple("SetPresence").field(presence).finish(),
            Self::Logout => f.write_str("Logout"),
            Self::Stop => f.write_str("Stop"),
        }
    }
}

impl Command {
    /// The answer where there is no connection that could do it, if anybody waits for one.
    pub(crate) fn not_connected(self) -> Option<Event> {
        match self {
            Self::Send(outgoing) | Self::SendToKnown(outgoing) => {
                Some(SendError::NotConnected.event(outgoing.id))
            }
            Self::Recall { ticket, .. } => Some(Event::Recalled {
                ticket,
                registration: None,
            }),
            Self::IsOnWhatsApp { ticket, .. } => {
                let result = Err(QueryError::NotConnected);
                Some(Event::IsOnWhatsApp { ticket, result })
            }
            Self::ChangeBlockList { ticket, .. } => {
                let result = Err(QueryError::NotConnected);
                Some(Event::BlockListChanged { ticket, result })
            }
            Self::AskMediaHosts { ticket } => {
                let result = Err(QueryError::NotConnected);
                Some(Event::MediaHosts { ticket, result })
            }
            Self::AskMediaRetry { ticket, .. } => {
                let result = Err(QueryError::NotConnected.into());
                Some(Event::MediaRetried { ticket, result })
            }
            Self::AskHistory { ticket, .. } => {
                let result = Err(QueryError::NotConnected);
                Some(Event::HistoryAsked { ticket, result })
            }
            Self::Group { ticket, .. } => {
                let result = Err(QueryError::NotConnected);
                Some(Event::GroupAnswered { ticket, result })
            }
            Self::Profile { ticket, .. } => {
                let result = Err(QueryError::NotConnected);
                Some(Event::ProfileAnswered { ticket, result })
            }
            Self::RejectCall { ticket, .. } => {
                let result = Err(QueryError::NotConnected);
                Some(Event::CallRejected { ticket, result })
            }
            Self::Sync { ticket, .. } => {
                let result = Err(QueryError::NotConnected);
                Some(Event::SyncAnswered { ticket, result })
            }
            Self::AnswerPasskey { ticket, .. } => Some(Event::not_expected(PasskeyStep::Answer, ticket)),
            Self::ConfirmPasskey { ticket } => Some(Event::not_expected(PasskeyStep::Confirmation, ticket)),
            Self::CancelPasskey { ticket } => Some(Event::not_expected(PasskeyStep::Cancellation, ticket)),
            // Nobody waits for an answer to the others.
            _ => None,
        }
    }

    /// Whether it is for devices that are not paired yet.
    pub(crate) const fn is_of_pairing(&self) -> bool {
        matches!(
            self,
            Self::RequestPairingCode { .. }
                | Self::AnswerPasskey { .. }
                | Self::ConfirmPasskey { .. }
                | Self::CancelPasskey { .. }
        )
    }
}

/// Which messages our phone is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct HistoryRequest {
    /// The chat, as our phone may call it: by number or hidden id, or the group.
    pub chat: Jid,
    /// The oldest message that is known of it; those before are wanted. Its newest, without one.
    pub oldest: Option<OldestMessage>,
    /// How many at most; the phone may have a mind of its own.
    pub count: u32,
}

/// The oldest message of a chat that is known.
#[derive(Clone, PartialEq, Eq)]
pub struct OldestMessage {
    /// Its id.
    pub id: MessageId,
    /// Whether the account sent it.
    pub from_me: bool,
    /// When it was sent.
    pub timestamp: Timestamp,
}

/// The message whose file our phone is to upload again.
pub struct MediaRetry {
    /// Which message.
    pub about: About,
    /// The key of its file.
    pub key: MediaKey,
}

/// The message whose file is gone from the media hosts.
#[derive(Clone, PartialEq, Eq)]
pub struct About {
    /// Its id.
    pub id: MessageId,
    /// The chat, as the message named it.
    pub chat: Jid,
    /// Who sent it, where that is not the chat itself (groups).
    pub participant: Option<Jid>,
    /// Whether the account sent it.
    pub from_me: bool,
}

/// Somebody by both names, as a look-up tells them.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    /// The hidden id, which block lists go by.
    pub lid: Jid,
    /// The number, which the server wants beside it when somebody is blocked.
    pub phone: Option<Jid>,
}

/// What becomes of somebody on the block list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockChange {
    /// They can't write to the account, and are not written to.
    Block,
    /// They are as everybody else.
    Unblock,
}

impl BlockChange {
    /// The value of the stanza's `action`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Unblock => "unblock",
        }
    }

    /// Reads the value of a stanza's `action`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Block, Self::Unblock]
            .into_iter()
            .find(|change| change.as_str() == text)
    }
}

/// Own presence, as contacts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Online. The phone stays silent and receipts are normal ones.
    Available,
    /// Away. The phone shows notifications.
    Unavailable,
}

impl Presence {
    /// The value of the stanza's `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A message to send.
pub struct Outgoing {
    /// The stanza id. Sending again under the same id is how an unknown outcome is repaired: recipients show an id once.
    /// Events name a send by it alone, so of sends under way no two may share one: the later is taken for a repeat.
    pub id: MessageId,
    /// Who gets it.
    pub to: Recipient,
    /// What they get.
    pub message: proto::Message,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed = f.debug_struct("Outgoing");
        printed.field("id", &self.id).finish_non_exhaustive()
    }
}

/// The addressee of a message.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// A phone number (digits with country code) that may or may not have an account. One that was never resolved is
    /// looked up first, which servers allow an account only so often.
    Phone(String),
    /// The same, without leave to look it up: if it was never resolved, in this process or one before, nothing is asked
    /// and the send is answered by [`SendError::NeedsLookUp`].
    KnownPhone(String),
    /// A known address.
    Jid(Jid),
}

impl Recipient {
    /// The chat as the owner names it: messages are asked of the owner under this address, whichever one their stanzas
    /// had. `None` if the number is none.
    pub fn chat(&self) -> Option<Jid> {
        match self {
            Self::Phone(digits) | Self::KnownPhone(digits) => Jid::phone(digits).ok(),
            Self::Jid(jid) if jid.server() == Server::Legacy => Some(Jid::new(jid.user(), Server::User)),
            Self::Jid(jid) => Some(jid.to_bare()),
        }
    }
}

impl Recipient {
    /// Whether it is a group.
    pub(crate) fn is_group(&self) -> bool {
        matches!(self, Self::Jid(jid) if jid.is_group())
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phone(_) => f.write_str("Phone(…)"),
            Self::KnownPhone(_) => f.write_str("KnownPhone(…)"),
            Self::Jid(jid) => f.debug_tuple("Jid").field(jid).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_are_not_printed() {
        let commands = [
            Command::RequestPairingCode {
                phone: "15550002".to_owned(),
                custom: Some("ABCD1234".to_owned()),
            },
            Command::Recall {
                ticket: 1,
                number: "15550002".to_owned(),
            },
            Command::IsOnWhatsApp {
                ticket: 1,
                numbers: vec!["15550002".to_owned()],
            },
        ];
        for command in &commands {
            let printed = format!("{command:?}");
            assert!(
                !printed.contains("15550002") && !printed.contains("ABCD"),
                "{printed}"
            );
        }
    }
}
