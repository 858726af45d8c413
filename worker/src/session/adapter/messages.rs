//! A message that came in, in the product's words.
//!
//! Pure. Both identities of a person are told where both are known.

use shared::event::{MessageBody, MessageContext, MessageHeader, NewMessage};
use shared::store::chats::change::SECRET_BYTES;
use whatsapp::event::{Incoming, unwrapped};
use whatsapp::jid::Server;

use super::super::content;
use super::events::Peer;
use super::names::stanza_id;

/// A message that came in, if it is one for people.
pub(crate) fn new_message(incoming: &Incoming) -> Option<NewMessage> {
    let described = content::describe(&incoming.message)?;
    Some(NewMessage {
        header: header(incoming),
        body: MessageBody {
            message_type: described.kind.to_owned(),
            message: described.body,
        },
        context: MessageContext {
            source_device: source_device(incoming.id.as_str()).to_owned(),
            message_timestamp: i64::try_from(incoming.timestamp.as_secs()).unwrap_or(i64::MAX),
            from_group: incoming.chat.is_group(),
        },
    })
}

/// Whether it is a status, or about one.
pub(crate) fn is_status(incoming: &Incoming) -> bool {
    incoming.chat.server() == Server::Broadcast && incoming.chat.user() == "status"
}

/// The secret of a poll, by which votes in it are opened; of other kinds nothing refers to it that is opened here.
pub(crate) fn poll_secret(incoming: &Incoming) -> Option<[u8; SECRET_BYTES]> {
    let message = unwrapped(&incoming.message);
    let is_poll = message.poll_creation_message.is_some()
        || message.poll_creation_message_v2.is_some()
        || message.poll_creation_message_v3.is_some()
        || message.poll_creation_message_v5.is_some();
    // It stands outside of what the poll may be wrapped in, or inside.
    let infos = [&incoming.message, message].map(|message| message.message_context_info.as_ref());
    let secrets = infos
        .into_iter()
        .flatten()
        .filter_map(|info| info.message_secret.as_deref());
    let mut secrets = secrets.filter_map(|secret| secret.try_into().ok());
    secrets.next().filter(|_| is_poll)
}

/// Who and where. The identities of the header are the other person's; in our own copies the chat is the other side. A status
/// is in the chat of who published it.
fn header(incoming: &Incoming) -> MessageHeader {
    let in_group = incoming.chat.is_group();
    let (phone, lid) = if incoming.from_me && !in_group && !is_status(incoming) {
        let other = incoming.chat_alt.as_ref();
        (
            other.filter(|jid| jid.is_user()),
            other.filter(|jid| jid.is_lid()),
        )
    } else {
        (incoming.phone.as_ref(), incoming.lid.as_ref())
    };
    let chat = match is_status(incoming) {
        true => &incoming.sender,
        false => &incoming.chat,
    };
    let peer = Peer::new(chat, phone, lid);
    MessageHeader {
        message_id: stanza_id(&incoming.id),
        from_me: incoming.from_me,
        wuid: peer.wuid,
        lid: peer.lid,
        phone_number: peer.phone_number,
        participant: in_group.then(|| incoming.sender.to_bare().to_string()),
        push_name: incoming.push_name.clone(),
    }
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

#[cfg(test)]
mod tests;
