//! What goes into a ciphertext: the message, or for our own devices the message and the chat it went to; padded.
//!
//! Facts: docs/PROTOCOL.md, "Message stanzas" and "Padding".

use prost::Message as _;
use rand::rngs::StdRng;

use crate::jid::Jid;
use crate::proto::Message;
use crate::proto::message::DeviceSentMessage;
use crate::signal::padding;

/// The padded forms of one message.
pub(crate) struct Plaintexts {
    /// For devices of the recipient.
    pub(crate) recipient: Vec<u8>,
    /// For our own other devices.
    pub(crate) own: Vec<u8>,
}

impl Plaintexts {
    /// Encodes and pads a message to this chat.
    pub(crate) fn new(message: Message, chat: &Jid, rng: &mut StdRng) -> Self {
        let recipient = padded(&message, rng);
        let own = padded(&device_sent(message, chat), rng);
        Self { recipient, own }
    }

    /// The form for one device.
    pub(crate) fn for_device(&self, own: bool) -> &[u8] {
        if own { &self.own } else { &self.recipient }
    }
}

/// Encodes and pads.
pub(crate) fn padded(message: &Message, rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.encoded_len() + padding::MAX_PADDING_BYTES);
    // A Vec grows, so that encoding into it can't run out of room.
    message.encode(&mut bytes).ok();
    padding::pad(&mut bytes, rng);
    bytes
}

/// The message as our own other devices get it.
pub(crate) fn device_sent(message: Message, chat: &Jid) -> Message {
    Message {
        message_context_info: message.message_context_info.clone(),
        device_sent_message: Some(Box::new(DeviceSentMessage {
            destination_jid: Some(chat.to_string()),
            message: Some(Box::new(message)),
            phash: None,
        })),
        ..Message::default()
    }
}
