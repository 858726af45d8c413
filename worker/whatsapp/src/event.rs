//! What a session tells its owner.
//!
//! Events leave the core inside a [`Step`](crate::connection::Step) and reach the owner only through
//! [`KeyStore::commit`](crate::store::KeyStore::commit), together with the state changes they belong to.

mod call;
mod contact;
mod dropped;
mod failure;
mod history;
mod incoming;
mod media;
mod misbehaviour;
mod passkey;
mod refusal;

use std::fmt;

pub use self::call::{CallNews, CallStage};
pub use self::contact::{ContactChange, ContactNews, IdentitySource};
pub use self::dropped::Dropped;
pub use self::failure::{DeviceRefusal, MediaRetryError, QueryError, SendError};
pub use self::history::{
    HistoryChat, HistoryContact, HistoryCounts, HistoryKind, HistoryMember, HistoryNews, HistoryPiece,
    HistoryPortion,
};
pub(crate) use self::incoming::taken_back;
pub use self::incoming::{Incoming, unwrapped};
pub use self::media::{MediaAuth, MediaConn, MediaHost};
pub use self::misbehaviour::Misbehaviour;
pub use self::passkey::{Comparison, PasskeyError, PasskeyStep};
pub use self::refusal::{NewChatCap, Refusal, Restriction};
use crate::{
    group::news::GroupNews, group::request::GroupAnswer, jid::Jid, message_id::MessageId,
    profile::PresenceNews, profile::ProfileAnswer, reason::CloseReason, sync_action::SyncActions,
    time::Timestamp, version::ClientVersion,
};

/// One thing that happened in a session.
///
/// [`fmt::Debug`] tells which, and nothing that must not be logged: no code to pair with, no name, no number.
#[non_exhaustive]
pub enum Event {
    /// A socket is being opened.
    Connecting,
    /// Show this QR code until it is replaced or expires.
    QrCode {
        /// The text to draw.
        text: String,
        /// When the server stops accepting it.
        expires_at: Timestamp,
    },
    /// Type this code into the phone.
    PairingCode {
        /// Eight characters, without hyphen.
        code: String,
    },
    /// The server refused a pairing code; QR pairing goes on.
    PairingCodeRefused {
        /// The server's code (400, 403, 429, 452, 500), or 408 if it did not answer or nobody typed the code in time,
        /// 422 for a custom code outside of the alphabet, 409 if the device is already paired or a passkey is asked
        /// for, 428 if the connection ended first.
        code: u16,
    },
    /// The account must prove itself with a passkey before it links: ask a browser at `https://web.whatsapp.com` for an
    /// assertion, and hand it over with [`Command::AnswerPasskey`](crate::command::Command::AnswerPasskey). A later one
    /// takes the place of an earlier one. Shown QR codes and pairing codes are done with.
    PasskeyRequested {
        /// `PublicKeyCredentialRequestOptions` in their JSON form, as the server sent them.
        options: String,
        /// Until when an answer counts; then the connection ends with
        /// [`PasskeyRequired`](CloseReason::PasskeyRequired).
        deadline: Timestamp,
    },
    /// Phone and companion have agreed: show this code, and hand
    /// [`Command::ConfirmPasskey`](crate::command::Command::ConfirmPasskey) over if the phone shows the same.
    PasskeyCode {
        /// As the phone shows it: `XXXX-XXXX`.
        code: String,
        /// Whether anybody has to look.
        comparison: Comparison,
        /// Until when a confirmation counts.
        deadline: Timestamp,
    },
    /// The answer to a command that concerns the passkey.
    PasskeyStep {
        /// The command's ticket.
        ticket: u64,
        /// What was asked for.
        step: PasskeyStep,
        /// Whether it was done.
        result: Result<(), PasskeyError>,
    },
    /// The phone linked this device. The credentials of the same commit log in from now on.
    Paired {
        /// Our address by phone number, with device.
        jid: Jid,
        /// Our address by LID, with device.
        lid: Option<Jid>,
        /// What the phone runs on.
        platform: String,
        /// The account's name, where the phone told it.
        name: Option<String>,
    },
    /// Logged in and ready to send.
    Open {
        /// Our address by phone number, with device.
        jid: Jid,
        /// Our address by LID, with device.
        lid: Option<Jid>,
        /// The account's name, if known.
        push_name: Option<String>,
    },
    /// The account's name was learned, or has changed.
    Renamed {
        /// The name.
        name: String,
    },
    /// Everything that waited while we were offline has been handed over.
    CaughtUp {
        /// How many stanzas waited, as the server says.
        count: u32,
    },
    /// The message is encrypted. Its frame leaves after the commit of the step that carries this event.
    MessagePrepared {
        /// Which send.
        id: MessageId,
        /// The chat as it is addressed on the wire.
        to: Jid,
        /// The recipient's LID, if known.
        lid: Option<Jid>,
    },
    /// The server has the message.
    MessageAcked {
        /// Which send.
        id: MessageId,
        /// The chat as it is addressed on the wire.
        to: Jid,
        /// The server's time.
        timestamp: Timestamp,
    },
    /// The message will not be sent by this attempt.
    MessageFailed {
        /// Which send.
        id: MessageId,
        /// Why, and whether another try makes sense.
        reason: SendError,
    },
    /// A device asked for a message again, and the server did not take the answer: the device goes on showing that it
    /// waits for the message.
    ResendFailed {
        /// Which message.
        id: MessageId,
        /// The device that asked.
        device: Jid,
        /// Why. If it is retryable, the device's request comes again at the next login.
        reason: SendError,
    },
    /// What became of messages.
    Receipt(Receipt),
    /// A message came in.
    Message(Box<Incoming>),
    /// A message came in that could not be decrypted; a repeat was asked for where that makes sense.
    Undecryptable {
        /// Its id.
        id: MessageId,
        /// The chat it is in.
        chat: Jid,
        /// Who sent it.
        sender: Jid,
        /// How often it has failed now.
        attempt: u32,
        /// Nothing more will be tried.
        given_up: bool,
    },
    /// A peer did what no app does. It was answered, and nothing else came of it.
    Misbehaved {
        /// What it did.
        how: Misbehaviour,
    },
    /// Something was given up, or left to the next login.
    Dropped {
        /// What it was.
        what: Dropped,
    },
    /// The answer to [`Command::Recall`](crate::command::Command::Recall).
    Recalled {
        /// The ticket of the command.
        ticket: u64,
        /// Where the number had its account when that was learned; `None` if nothing is kept of it, or there is no
        /// connection.
        registration: Option<Registration>,
    },
    /// The answer to [`Command::IsOnWhatsApp`](crate::command::Command::IsOnWhatsApp).
    IsOnWhatsApp {
        /// The request's ticket.
        ticket: u64,
        /// One answer per asked number, in the order asked.
        result: Result<Vec<Registration>, QueryError>,
    },
    /// The answer to [`Command::ChangeBlockList`](crate::command::Command::ChangeBlockList).
    BlockListChanged {
        /// The request's ticket.
        ticket: u64,
        /// Whether the server has taken it.
        result: Result<(), QueryError>,
    },
    /// The answer to [`Command::AskMediaHosts`](crate::command::Command::AskMediaHosts).
    MediaHosts {
        /// The request's ticket.
        ticket: u64,
        /// Where files are uploaded to, and what an upload shows.
        result: Result<Box<MediaConn>, QueryError>,
    },
    /// Our phone shares something of the past. Told once, whatever comes in between, but for what is told last of a piece.
    History(Box<HistoryNews>),
    /// The answer to [`Command::AskHistory`](crate::command::Command::AskHistory).
    HistoryAsked {
        /// The request's ticket.
        ticket: u64,
        /// The id of the request, which leaves with the commit of the step that carries this. What our phone answers names
        /// it.
        result: Result<MessageId, QueryError>,
    },
    /// The answer to [`Command::AskMediaRetry`](crate::command::Command::AskMediaRetry).
    MediaRetried {
        /// The request's ticket.
        ticket: u64,
        /// Its path at any media host from now on.
        result: Result<String, MediaRetryError>,
    },
    /// The answer to [`Command::Group`](crate::command::Command::Group).
    GroupAnswered {
        /// The request's ticket.
        ticket: u64,
        /// What the server says.
        result: Result<Box<GroupAnswer>, QueryError>,
    },
    /// Something has changed in a group that we are in. Told again, under the same id, if the server does not hear that it
    /// was taken.
    GroupChanged(Box<GroupNews>),
    /// Somebody is there or writes, whom the owner follows ([`Command::FollowPresence`](crate::command::Command::FollowPresence)).
    Presence(Box<PresenceNews>),
    /// Somebody calls, or a call has come further.
    Call(Box<CallNews>),
    /// The answer to [`Command::RejectCall`](crate::command::Command::RejectCall).
    CallRejected {
        /// The request's ticket.
        ticket: u64,
        /// Whether the caller is told; refused with 404 if no such call rings.
        result: Result<(), QueryError>,
    },
    /// Something has changed of somebody.
    ContactChanged(Box<ContactNews>),
    /// The answer to [`Command::Profile`](crate::command::Command::Profile).
    ProfileAnswered {
        /// The request's ticket.
        ticket: u64,
        /// What the server says.
        result: Result<Box<ProfileAnswer>, QueryError>,
    },
    /// What became of a collection of the app state: what devices of the account did to chats, contacts and labels, this one
    /// among them.
    SyncActions(Box<SyncActions>),
    /// What the server has of a collection of the app state does not check out: nothing of it counts.
    SyncRefused {
        /// The collection's name on the wire.
        collection: &'static str,
    },
    /// The answer to [`Command::Sync`](crate::command::Command::Sync).
    SyncAnswered {
        /// The request's ticket.
        ticket: u64,
        /// Whether the server has taken it.
        result: Result<(), QueryError>,
    },
    /// A device is left out: nothing is encrypted for it, and what it sent is not believed. The other devices of its
    /// user are not concerned.
    DeviceRefused {
        /// The device.
        device: Jid,
        /// Why.
        reason: DeviceRefusal,
    },
    /// A device has another identity than the one it was known by: its user has installed anew, or somebody takes their
    /// place. Nothing is encrypted for the earlier identity from the step on that carries this. If the device is a phone,
    /// the companions of its account must prove themselves anew.
    IdentityChanged {
        /// The device.
        device: Jid,
        /// The same user by their other name, without device, if known.
        other: Option<Jid>,
        /// How that showed.
        source: IdentitySource,
    },
    /// A phone number and a LID turned out to be one account.
    LidMapping {
        /// The account by phone number.
        phone: Jid,
        /// The account by LID.
        lid: Jid,
    },
    /// The server announces from when on it will refuse our version, or takes that back. The connection goes on.
    VersionExpires {
        /// The version.
        version: ClientVersion,
        /// From when on; `None` takes back what was announced.
        at: Option<Timestamp>,
    },
    /// The server restricts the account, or still does: new contacts can't be written to. Told as often as it says so.
    Restricted {
        /// In which way.
        kind: Restriction,
        /// The server's word for its reason, where it gives one.
        reason: Option<String>,
        /// Until when, where it says so. May be prolonged: ask again then.
        until: Option<Timestamp>,
    },
    /// The server says that this restriction is not in force.
    Unrestricted {
        /// Which.
        kind: Restriction,
    },
    /// The server was asked about this restriction and its answer says nothing: what was known before stays.
    RestrictionUnknown {
        /// Which.
        kind: Restriction,
    },
    /// How many new chats the account may begin, whenever the server says so.
    NewChatCap(Box<NewChatCap>),
    /// The connection is gone. Sends without an answer are of unknown outcome: send them again under the same id.
    Closed {
        /// Why; [`CloseReason::action`] says what follows.
        reason: CloseReason,
    },
}

impl Event {
    /// The answer to a step of linking with a passkey that nothing waits for.
    pub(crate) const fn not_expected(step: PasskeyStep, ticket: u64) -> Self {
        Self::PasskeyStep {
            ticket,
            step,
            result: Err(PasskeyError::NotExpected),
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut one = |name: &str, field: &str, value: &dyn fmt::Debug| {
            let mut printed = f.debug_struct(name);
            printed.field(field, value).finish_non_exhaustive()
        };
        match self {
            Self::QrCode { expires_at, .. } => one("QrCode", "expires_at", expires_at),
            Self::PairingCodeRefused { code } => one("PairingCodeRefused", "code", code),
            Self::PasskeyRequested { deadline, .. } => one("PasskeyRequested", "deadline", deadline),
            Self::PasskeyCode { comparison, .. } => one("PasskeyCode", "comparison", comparison),
            Self::PasskeyStep { step, result, .. } => one("PasskeyStep", "result", &(step, result)),
            Self::Paired { jid, .. } => one("Paired", "jid", jid),
            Self::Open { jid, .. } => one("Open", "jid", jid),
            Self::Renamed { .. } => f.write_str("Renamed"),
            Self::CaughtUp { count } => one("CaughtUp", "count", count),
            Self::MessagePrepared { id, .. } => one("MessagePrepared", "id", id),
            Self::MessageAcked { id, .. } => one("MessageAcked", "id", id),
            Self::MessageFailed { id, reason } => one("MessageFailed", "why", &(id, reason)),
            Self::ResendFailed { id, device, reason } => one("ResendFailed", "why", &(id, device, reason)),
            Self::Receipt(receipt) => receipt.fmt(f),
            Self::Message(incoming) => incoming.fmt(f),
            Self::Undecryptable { id, attempt, .. } => one("Undecryptable", "how", &(id, attempt)),
            Self::Misbehaved { how } => one("Misbehaved", "how", how),
            Self::Dropped { what } => one("Dropped", "what", what),
            Self::Recalled { ticket, registration } => {
                one("Recalled", "answer", &(ticket, registration.is_some()))
            }
            Self::IsOnWhatsApp { ticket, result } => {
                let answers = result.as_ref().map(Vec::len);
                one("IsOnWhatsApp", "answer", &(ticket, answers))
            }
            Self::ProfileAnswered { ticket, result } => {
                one("ProfileAnswered", "refused", &(ticket, result.as_ref().err()))
            }
            Self::GroupAnswered { ticket, result } => {
                one("GroupAnswered", "refused", &(ticket, result.as_ref().err()))
            }
            Self::GroupChanged(news) => news.fmt(f),
            Self::SyncActions(actions) => actions.fmt(f),
            Self::SyncRefused { collection } => one("SyncRefused", "collection", collection),
            Self::SyncAnswered { ticket, result } => one("SyncAnswered", "answer", &(ticket, result)),
            Self::Presence(news) => news.fmt(f),
            Self::Call(news) => news.fmt(f),
            Self::ContactChanged(news) => news.fmt(f),
            Self::CallRejected { ticket, result } => one("CallRejected", "answer", &(ticket, result)),
            Self::BlockListChanged { ticket, result } => one("BlockListChanged", "answer", &(ticket, result)),
            Self::MediaHosts { ticket, result } => {
                let hosts = result.as_ref().map(|conn| conn.hosts.len());
                one("MediaHosts", "answer", &(ticket, hosts))
            }
            Self::MediaRetried { ticket, result } => {
                one("MediaRetried", "answer", &(ticket, result.as_ref().err()))
            }
            Self::History(news) => news.fmt(f),
            Self::HistoryAsked { ticket, result } => {
                one("HistoryAsked", "answer", &(ticket, result.as_ref().err()))
            }
            Self::DeviceRefused { device, reason } => one("DeviceRefused", "why", &(device, reason)),
            Self::IdentityChanged { device, .. } => one("IdentityChanged", "device", device),
            Self::LidMapping { lid, .. } => one("LidMapping", "lid", lid),
            Self::VersionExpires { version, at } => one("VersionExpires", "when", &(version, at)),
            Self::Closed { reason } => one("Closed", "reason", reason),
            Self::Restricted { kind, until, .. } => one("Restricted", "how", &(kind, until)),
            Self::Unrestricted { kind } => one("Unrestricted", "kind", kind),
            Self::RestrictionUnknown { kind } => one("RestrictionUnknown", "kind", kind),
            Self::NewChatCap(cap) => one("NewChatCap", "used", &(cap.used, cap.total)),
            Self::Connecting => f.write_str("Connecting"),
            Self::PairingCode { .. } => f.write_str("PairingCode(…)"),
        }
    }
}

/// What became of messages that we, or our other devices, sent or got.
#[derive(Debug)]
pub struct Receipt {
    /// The messages.
    pub ids: Vec<MessageId>,
    /// The chat they are in.
    pub chat: Jid,
    /// The chat by its other name (number for LID, LID for number), if known.
    pub other: Option<Jid>,
    /// The device that says so.
    pub from: Jid,
    /// Its user by the other name (number for LID, LID for number), if known.
    pub from_other: Option<Jid>,
    /// What it says.
    pub kind: ReceiptKind,
    /// The server's time.
    pub timestamp: Timestamp,
}

/// The kinds of receipt that carry a meaning for the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptKind {
    /// Reached a device of the recipient.
    Delivered,
    /// Was read.
    Read,
    /// Was played (voice, view once).
    Played,
    /// Reached another device of ours.
    Sender,
    /// Another device of ours read it.
    ReadSelf,
    /// Reached a device of the recipient whose user is away.
    Inactive,
}

impl ReceiptKind {
    /// The same from a device of ours: it tells of that device, and nothing of the recipient.
    #[must_use]
    pub const fn of_ours(self) -> Self {
        match self {
            Self::Delivered | Self::Inactive | Self::Sender => Self::Sender,
            Self::Read | Self::Played | Self::ReadSelf => Self::ReadSelf,
        }
    }
}

/// Whether one number has an account.
#[derive(Clone, PartialEq, Eq)]
pub struct Registration {
    /// The number as asked.
    pub number: String,
    /// The account's canonical address; none if there is no account.
    pub jid: Option<Jid>,
    /// The account's LID, if the server told it.
    pub lid: Option<Jid>,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("jid", &self.jid)
            .field("lid", &self.lid)
            .finish_non_exhaustive()
    }
}

impl SendError {
    /// What the owner is told of the send with this id.
    pub(crate) fn event(self, id: MessageId) -> Event {
        Event::MessageFailed { id, reason: self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_be_logged_is_not_printed() {
        let jid = || Jid::phone("15550002").unwrap();
        let secret = || "secret".to_owned();
        let events = [
            Event::QrCode {
                text: secret(),
                expires_at: Timestamp::EPOCH,
            },
            Event::PairingCode { code: secret() },
            Event::PasskeyRequested {
                options: secret(),
                deadline: Timestamp::EPOCH,
            },
            Event::PasskeyCode {
                code: secret(),
                comparison: Comparison::Needed,
                deadline: Timestamp::EPOCH,
            },
            Event::Paired {
                jid: jid(),
                lid: None,
                platform: secret(),
                name: Some(secret()),
            },
            Event::Open {
                jid: jid(),
                lid: None,
                push_name: Some(secret()),
            },
            Event::Renamed { name: secret() },
            Event::IsOnWhatsApp {
                ticket: 1,
                result: Ok(vec![Registration {
                    number: "15550002".to_owned(),
                    jid: Some(jid()),
                    lid: None,
                }]),
            },
        ];
        for event in &events {
            let printed = format!("{event:?}");
            assert!(
                !printed.contains("secret") && !printed.contains("15550"),
                "{printed}"
            );
        }
    }
}
