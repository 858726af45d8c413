//! A decrypted message: which chat it is in, what it is for, and how the owner is shown it.

use super::meaning::Meaning;
use crate::e2e::Directory;
use crate::event::Incoming;
use crate::jid::Jid;
use crate::proto::Message;
use crate::signal::Address;
use crate::stanza::message::Received;

/// A decrypted message, acknowledged.
pub(crate) struct Content {
    /// Which part takes it.
    pub(crate) meaning: Meaning,
    /// How it came.
    pub(crate) stanza: Received,
    /// The device that sent it, as its ratchet is kept.
    pub(crate) sender: Address,
    /// Which chat it is in.
    pub(crate) chat: Jid,
    /// Whether one of our own devices sent it. Of others, only what is for the owner is believed.
    pub(crate) from_me: bool,
    /// What it says.
    pub(crate) message: Message,
}

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

impl Content {
    /// The event for the owner.
    pub(super) fn into_incoming(self, directory: &Directory) -> Incoming {
        let sender = self.stanza.sender().clone();
        let (bare, other) = (
            sender.to_bare(),
            self.stanza.sender_alt.as_ref().map(Jid::to_bare),
        );
        let other = other.or_else(|| directory.other_name(&sender));
        let (lid, phone) = if sender.is_lid() {
            (Some(bare), other)
        } else {
            (other, Some(bare))
        };
        Incoming {
            id: self.stanza.id,
            chat: self.chat,
            sender,
            lid,
            phone,
            from_me: self.from_me,
            push_name: self.stanza.push_name,
            timestamp: self.stanza.timestamp,
            offline: self.stanza.offline,
            message: self.message,
        }
    }
}
