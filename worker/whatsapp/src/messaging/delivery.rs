//! What a decrypted message means: which chat it is in, and whether the owner is told.

use prost::Message as _;

use super::directory::Directory;
use crate::event::Incoming;
use crate::jid::Jid;
use crate::proto::Message;
use crate::proto::message::protocol_message;
use crate::stanza::message::Received;

/// Takes the message out of what another device of ours sent, and says which chat it went to.
pub(super) fn unwrap_device_sent(message: &mut Message) -> Option<Jid> {
    let sent = message.device_sent_message.take()?;
    let info = message.message_context_info.take();
    if let Some(inner) = sent.message {
        *message = *inner;
    }
    if message.message_context_info.is_none() {
        message.message_context_info = info;
    }
    sent.destination_jid?.parse().ok()
}

/// The chat that a message is in, without device.
pub(super) fn chat_of(stanza: &Received, destination: Option<&Jid>) -> Jid {
    if stanza.participant.is_some() {
        return stanza.from.clone();
    }
    stanza
        .recipient
        .as_ref()
        .or(destination)
        .unwrap_or(&stanza.from)
        .to_bare()
}

/// Whether the owner is told of a message: not of those that only keep devices in step.
pub(super) fn is_for_owner(message: &mut Message) -> bool {
    if let Some(protocol) = &message.protocol_message {
        let kind = protocol
            .r#type
            .and_then(|kind| protocol_message::Type::try_from(kind).ok());
        return matches!(
            kind,
            Some(
                protocol_message::Type::Revoke
                    | protocol_message::Type::MessageEdit
                    | protocol_message::Type::EphemeralSetting
            )
        );
    }
    message.sender_key_distribution_message = None;
    let info = message.message_context_info.take();
    let is_empty = message.encoded_len() == 0;
    message.message_context_info = info;
    !is_empty
}

/// The event for the owner.
pub(super) fn incoming(
    directory: &Directory,
    stanza: &Received,
    chat: Jid,
    from_me: bool,
    message: Message,
) -> Incoming {
    let sender = stanza.sender();
    let (bare, other) = (sender.to_bare(), stanza.sender_alt.as_ref().map(Jid::to_bare));
    let other = other.or_else(|| directory.other_name(sender));
    let (lid, phone) = if sender.is_lid() {
        (Some(bare), other)
    } else {
        (other, Some(bare))
    };
    Incoming {
        id: stanza.id.clone(),
        chat,
        sender: sender.clone(),
        lid,
        phone,
        from_me,
        push_name: stanza.push_name.clone(),
        timestamp: stanza.timestamp,
        offline: stanza.offline,
        message,
    }
}
