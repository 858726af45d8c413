//! What an event of the WhatsApp connection means in the product's words.
//!
//! Pure: an event goes in by reference, a [`Happened`] comes out that owns what the actor needs of it. The
//! shapes are those of the contract; both identities of a person are told where both are known.

use shared::event::{
    self, MessageBody, MessageContext, MessageHeader, MessageStatus, NewMessage, UpdateHeader,
};
use shared::id::StanzaId;
use time::OffsetDateTime;
use whatsapp::connection::CloseReason;
use whatsapp::event::{
    DeviceRefusal, Event, Incoming, QueryError, Receipt, ReceiptKind, Registration, SendError,
};
use whatsapp::jid::Jid;
use whatsapp::message_id::MessageId;
use whatsapp::time::Timestamp;

use super::content;

/// What the actor must act on.
#[derive(Debug)]
pub(crate) enum Happened {
    /// A socket is being opened.
    Connecting,
    /// A QR code to show.
    Qr {
        text: String,
        expires_at: OffsetDateTime,
    },
    /// A pairing code to type in.
    PairingCode(String),
    /// The server refused a pairing code.
    PairingCodeRefused(u16),
    /// The device is linked; the credentials are in the same step.
    Paired {
        jid: Jid,
        lid: Option<Jid>,
        platform: String,
        name: Option<String>,
    },
    /// Logged in.
    Open {
        jid: Jid,
        lid: Option<Jid>,
        name: Option<String>,
    },
    /// A send's frame leaves after this commit.
    Prepared(StanzaId),
    /// The server has a send.
    Acked { id: StanzaId, chat: Peer },
    /// A send failed.
    Failed { id: StanzaId, reason: SendError },
    /// A message's status went up.
    Receipt {
        ids: Vec<StanzaId>,
        chat: Peer,
        status: MessageStatus,
    },
    /// A message came in.
    Message(Box<NewMessage>),
    /// A device is left out of what is sent and not believed.
    DeviceRefused(DeviceRefusal),
    /// A device has another identity than before.
    IdentityChanged,
    /// What a device asked for again was not taken from us.
    ResendFailed(SendError),
    /// Answer to a question.
    Exists {
        ticket: u64,
        result: Result<Vec<Registration>, QueryError>,
    },
    /// The connection is gone.
    Closed(CloseReason),
}

/// The other side of a chat, as events name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) wuid: String,
    pub(crate) lid: Option<String>,
    pub(crate) phone_number: Option<String>,
}

impl Peer {
    /// From the chat's address and what else is known of the person.
    pub(crate) fn new(chat: &Jid, phone: Option<&Jid>, lid: Option<&Jid>) -> Self {
        let chat = chat.to_bare();
        let lid = lid
            .or_else(|| chat.is_lid().then_some(&chat))
            .map(|lid| lid.to_bare().to_string());
        let phone = phone
            .or_else(|| chat.is_user().then_some(&chat))
            .map(|phone| phone.user().to_owned());
        Self {
            wuid: chat.to_string(),
            lid,
            phone_number: phone,
        }
    }

    /// The header of a status change of one of our own messages in this chat.
    pub(crate) fn header(&self, id: StanzaId) -> UpdateHeader {
        UpdateHeader {
            message_id: id,
            wuid: self.wuid.clone(),
            from_me: true,
            lid: self.lid.clone(),
            phone_number: self.phone_number.clone(),
        }
    }
}

/// Reads an event; `None` when it means nothing outside of the connection.
pub(crate) fn happened(event: &Event) -> Option<Happened> {
    Some(match event {
        Event::Connecting => Happened::Connecting,
        Event::QrCode { text, expires_at } => Happened::Qr {
            text: text.clone(),
            expires_at: wall(*expires_at),
        },
        Event::PairingCode { code } => Happened::PairingCode(code.clone()),
        Event::PairingCodeRefused { code } => Happened::PairingCodeRefused(*code),
        Event::Paired {
            jid,
            lid,
            platform,
            name,
        } => Happened::Paired {
            jid: jid.clone(),
            lid: lid.clone(),
            platform: platform.clone(),
            name: name.clone(),
        },
        Event::Open { jid, lid, push_name } => Happened::Open {
            jid: jid.clone(),
            lid: lid.clone(),
            name: push_name.clone(),
        },
        Event::MessagePrepared { id, .. } => Happened::Prepared(stanza(id)?),
        Event::MessageAcked { id, to, .. } => Happened::Acked {
            id: stanza(id)?,
            chat: Peer::new(to, None, None),
        },
        Event::MessageFailed { id, reason } => Happened::Failed {
            id: stanza(id)?,
            reason: reason.clone(),
        },
        Event::Receipt(receipt) => return status_change(receipt),
        Event::Message(incoming) => Happened::Message(Box::new(new_message(incoming)?)),
        Event::DeviceRefused { reason, .. } => Happened::DeviceRefused(*reason),
        Event::IdentityChanged { .. } => Happened::IdentityChanged,
        Event::ResendFailed { reason, .. } => Happened::ResendFailed(reason.clone()),
        Event::IsOnWhatsApp { ticket, result } => Happened::Exists {
            ticket: *ticket,
            result: result.clone(),
        },
        Event::Closed { reason } => Happened::Closed(reason.clone()),
        _ => return None,
    })
}

/// A receipt of the other side; those between our own devices change nothing that we tell.
fn status_change(receipt: &Receipt) -> Option<Happened> {
    let status = match receipt.kind {
        ReceiptKind::Delivered | ReceiptKind::Inactive => MessageStatus::DeliveryAck,
        ReceiptKind::Read => MessageStatus::Read,
        ReceiptKind::Played => MessageStatus::Played,
        ReceiptKind::Sender | ReceiptKind::ReadSelf => return None,
    };
    let ids: Vec<_> = receipt.ids.iter().filter_map(stanza).collect();
    Some(Happened::Receipt {
        ids,
        chat: Peer::new(&receipt.chat, None, None),
        status,
    })
}

fn new_message(incoming: &Incoming) -> Option<NewMessage> {
    let described = content::describe(&incoming.message)?;
    let in_group = incoming.chat.is_group();
    // The identities of the header are the other person's; in our own copies the chat is the other side.
    let (phone, lid) = if incoming.from_me && !in_group {
        (None, None)
    } else {
        (incoming.phone.as_ref(), incoming.lid.as_ref())
    };
    let peer = Peer::new(&incoming.chat, phone, lid);
    Some(NewMessage {
        header: MessageHeader {
            message_id: stanza(&incoming.id)?,
            from_me: incoming.from_me,
            wuid: peer.wuid,
            lid: peer.lid,
            phone_number: peer.phone_number,
            participant: in_group.then(|| incoming.sender.to_bare().to_string()),
            push_name: incoming.push_name.clone(),
        },
        body: MessageBody {
            message_type: described.kind.to_owned(),
            message: described.body,
        },
        context: MessageContext {
            source_device: source_device(incoming.id.as_str()).to_owned(),
            message_timestamp: i64::try_from(incoming.timestamp.as_secs()).unwrap_or(i64::MAX),
            from_group: in_group,
        },
    })
}

/// The kind of device that made a message id, by the habits of the official clients.
fn source_device(id: &str) -> &'static str {
    match id.len() {
        20 if id.starts_with("3A") => "ios",
        22 if id.starts_with("3E") => "web",
        21 | 32 => "android",
        18 => "desktop",
        _ if id.starts_with("3F") => "desktop",
        _ => "unknown",
    }
}

/// An id of the wire as the product writes it; none if it is none that we could name.
pub(crate) fn stanza(id: &MessageId) -> Option<StanzaId> {
    StanzaId::new(id.as_str()).ok()
}

/// A time of the library as the product writes it.
fn wall(at: Timestamp) -> OffsetDateTime {
    let nanos = i128::from(at.as_millis()) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// How far a status is; a message's status only goes up.
pub(crate) fn rank(status: event::MessageStatus) -> u8 {
    match status {
        MessageStatus::Error => 0,
        MessageStatus::Pending => 1,
        MessageStatus::ServerAck => 2,
        MessageStatus::DeliveryAck => 3,
        MessageStatus::Read => 4,
        MessageStatus::Played => 5,
    }
}

#[cfg(test)]
mod tests;
