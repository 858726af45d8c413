//! What goes into a ciphertext: the message, or for our own devices the message and the chat it went to; padded.
//!
//! Facts: docs/PROTOCOL.md, "Message stanzas" and "Padding".

use prost::Message as _;
use rand::rngs::StdRng;

use crate::jid::Jid;
use crate::proto::Message;
use crate::proto::message::DeviceSentMessage;
use crate::signal::padding;

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
