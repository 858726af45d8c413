//! What the WhatsApp connection tells, in the product's words.
//!
//! Pure. The shapes are those of the contract; both identities of a person are told where both are known.

use shared::event::{MessageStatus, UpdateHeader};
use shared::id::StanzaId;
use shared::job::{Answer, FailureCode, NumberAnswer, NumberFailure};
use whatsapp::event::{Event, PasskeyError, QueryError, ReceiptKind, Registration, SendError};
use whatsapp::jid::Jid;

use crate::job::pending::done;

/// The other side of a chat, as events name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) wuid: String,
    pub(crate) lid: Option<String>,
    pub(crate) phone_number: Option<String>,
}

impl Peer {
    /// From the chat's address and what else is known of the person. A person is told by number wherever that is known,
    /// whichever name the wire used: which one it uses is the account's affair, and changes.
    pub(crate) fn new(chat: &Jid, phone: Option<&Jid>, lid: Option<&Jid>) -> Self {
        let chat = chat.to_bare();
        let lid = lid
            .or_else(|| chat.is_lid().then_some(&chat))
            .map(|lid| lid.to_bare().to_string());
        let phone = phone.filter(|phone| phone.is_user());
        let phone = phone
            .or_else(|| chat.is_user().then_some(&chat))
            .map(Jid::to_bare);
        let wuid = phone.as_ref().filter(|_| chat.is_lid()).unwrap_or(&chat);
        Self {
            wuid: wuid.to_string(),
            lid,
            phone_number: phone.map(|phone| phone.user().to_owned()),
        }
    }

    /// From the chat's address and its other name, whichever of both is the number.
    pub(crate) fn called(chat: &Jid, other: Option<&Jid>) -> Self {
        match chat.is_lid() {
            true => Self::new(chat, other, None),
            false => Self::new(chat, None, other),
        }
    }

    /// The header of a status change of a message of ours, or of the other side's, in this chat.
    pub(crate) fn header(&self, id: StanzaId, author: Author) -> UpdateHeader {
        UpdateHeader {
            message_id: id,
            wuid: self.wuid.clone(),
            from_me: author == Author::Us,
            participant: None,
            lid: self.lid.clone(),
            phone_number: self.phone_number.clone(),
        }
    }
}

/// A member of a group, as events name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// As the group calls them, without device.
    pub(crate) jid: String,
    peer: Peer,
}

impl Member {
    /// From the address of one of their devices, and their other name.
    pub(crate) fn new(device: &Jid, other: Option<&Jid>) -> Self {
        let jid = device.to_bare();
        Self {
            peer: Peer::called(&jid, other),
            jid: jid.to_string(),
        }
    }

    /// The header of a status change of one of our messages in their group, which they tell of.
    pub(crate) fn header(&self, group: &Peer, id: StanzaId) -> UpdateHeader {
        UpdateHeader {
            participant: Some(self.jid.clone()),
            lid: self.peer.lid.clone(),
            phone_number: self.peer.phone_number.clone(),
            ..group.header(id, Author::Us)
        }
    }
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// The account, on any of its devices.
    Us,
    /// The other side.
    Them,
}

/// Whether an event means something outside of the connection.
pub(crate) fn concerns_owner(event: &Event) -> bool {
    match event {
        Event::NewChatCap(_) => false,
        Event::CaughtUp { .. } | Event::Undecryptable { .. } | Event::LidMapping { .. } => false,
        // Counted where the step is handed on.
        Event::Misbehaved { .. } | Event::Dropped { .. } => false,
        Event::Receipt(receipt) => receipt.kind != ReceiptKind::Sender,
        _ => true,
    }
}

/// What a receipt of the other side says; those between our own devices change nothing that we tell.
pub(crate) fn status(kind: ReceiptKind) -> Option<MessageStatus> {
    match kind {
        ReceiptKind::Delivered | ReceiptKind::Inactive => Some(MessageStatus::DeliveryAck),
        ReceiptKind::Read => Some(MessageStatus::Read),
        ReceiptKind::Played => Some(MessageStatus::Played),
        ReceiptKind::Sender | ReceiptKind::ReadSelf => None,
    }
}

/// The answer to whether a number is on WhatsApp.
pub(crate) fn registration(result: Result<Vec<Registration>, QueryError>) -> Answer {
    match result.map(|mut found| found.pop()) {
        Ok(found) => {
            let (jid, lid) = found.map_or((None, None), |found| (found.jid, found.lid));
            Answer::IsExists {
                exists: jid.is_some(),
                jid: jid.map(|jid| jid.to_bare().to_string()),
                lid: lid.map(|lid| lid.to_bare().to_string()),
            }
        }
        Err(error) => query_failure(&error),
    }
}

/// The answer to a question that WhatsApp gave none to.
pub(crate) fn query_failure(error: &QueryError) -> Answer {
    Answer::Failed {
        code: match error {
            QueryError::TimedOut => FailureCode::Timeout,
            QueryError::Refused { .. } => FailureCode::Refused,
            QueryError::NotConnected => FailureCode::NotConnected,
            QueryError::Busy => FailureCode::Busy,
            QueryError::Malformed => FailureCode::Internal,
        },
        message: error.to_string(),
        field: None,
        until: None,
    }
}

/// What WhatsApp says of one of some numbers.
pub(crate) fn number_answer(found: Registration) -> NumberAnswer {
    NumberAnswer {
        number: found.number,
        exists: found.jid.is_some(),
        jid: found.jid.map(|jid| jid.to_bare().to_string()),
        lid: found.lid.map(|lid| lid.to_bare().to_string()),
        blocked: None,
        error: None,
    }
}

/// Why a number was not blocked or unblocked.
pub(crate) fn number_failure(error: &QueryError) -> NumberFailure {
    match error {
        QueryError::TimedOut => NumberFailure::Timeout,
        QueryError::NotConnected => NumberFailure::NotConnected,
        QueryError::Refused { .. } | QueryError::Malformed | QueryError::Busy => NumberFailure::Refused,
    }
}

/// The answer to a step of linking with a passkey.
pub(crate) fn passkey_step(result: Result<(), PasskeyError>) -> Answer {
    let Err(error) = result else {
        return done(None);
    };
    let (code, message) = match &error {
        PasskeyError::NotExpected => (
            FailureCode::Conflict,
            "the session does not wait for this at this moment".to_owned(),
        ),
        PasskeyError::BadAssertion { problem, .. } => (FailureCode::InvalidJob, (*problem).to_owned()),
        PasskeyError::Failed(why) => (FailureCode::Refused, why.clone()),
    };
    let field = match error {
        PasskeyError::BadAssertion { field, .. } => Some(field.to_owned()),
        PasskeyError::NotExpected | PasskeyError::Failed(_) => None,
    };
    Answer::Failed {
        code,
        message,
        field,
        until: None,
    }
}

/// Why a recipient was not sent to, as events tell it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// In the manner of HTTP.
    pub(crate) status: u16,
    /// The status in words; one of a closed set.
    pub(crate) error: &'static str,
    /// What happened, without personal data.
    pub(crate) words: String,
}

impl Failure {
    /// Nobody knows whether it arrived.
    pub(crate) fn unknown(words: String) -> Self {
        Self {
            status: 504,
            error: "Gateway Timeout",
            words,
        }
    }

    /// A repeat was refused, which says nothing of the attempt before.
    pub(crate) fn of_repeat(reason: &SendError) -> Self {
        let refused = Self::from(reason);
        let words = format!(
            "it may have arrived at an earlier attempt; the next one was refused: {}",
            refused.words
        );
        Self { words, ..refused }
    }
}

impl From<&SendError> for Failure {
    fn from(reason: &SendError) -> Self {
        let (status, error) = match reason {
            SendError::NotOnWhatsApp => (404, "Not Found"),
            SendError::Blocked | SendError::MayNotWrite => (403, "Forbidden"),
            SendError::NoDevices => (410, "Gone"),
            SendError::Unsupported(_) => (400, "Bad Request"),
            SendError::Nack { code: 479 } => (500, "Internal Server Error"),
            SendError::Nack { .. } => (502, "Bad Gateway"),
            SendError::Query(_) | SendError::Unconfirmed => (504, "Gateway Timeout"),
            _ => (503, "Service Unavailable"),
        };
        let words = match reason {
            SendError::Nack { code: 479 } => {
                "WhatsApp took the message for malformed (479): a mistake of this client, not of \
                 the recipient; the same again would be refused again"
                    .to_owned()
            }
            SendError::NotOnWhatsApp => "The number entered is not a valid whatsapp contact".to_owned(),
            other => other.to_string(),
        };
        Self { status, error, words }
    }
}

#[cfg(test)]
mod tests;
