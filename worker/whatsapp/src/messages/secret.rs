//! The secret inside of a message, from which the keys of what refers to it (reactions, votes, edits) come.
//!
//! It looks random, and is derived: a message that is sent again must have the same one, and nobody keeps it.
//!
//! Facts: docs/PROTOCOL.md, "Message content".

use hmac::{Hmac, KeyInit as _, Mac as _};
use prost::Message as _;
use sha2::Sha256;

use crate::device::Device;
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::proto::Message;
use crate::store::SentMessage;

/// Puts the secret into a message that should have one and has none. `chat` is as the owner names it, which is the same
/// however the stanza is addressed.
pub(crate) fn attach(device: &Device, chat: &Jid, id: &MessageId, message: &mut Message) {
    if !wants_secret(message) {
        return;
    }
    let info = message.message_context_info.get_or_insert_default();
    if info.message_secret.is_none() {
        let secret = derive(device, chat, id);
        info.message_secret = Some(bytes::Bytes::copy_from_slice(&secret));
    }
}

/// The same for a message that the owner has kept, so that its bytes are those that were sent.
pub(super) fn attach_to_sent(device: &Device, id: &MessageId, mut sent: SentMessage) -> SentMessage {
    if let Ok(mut message) = Message::decode(sent.message.clone()) {
        attach(device, &sent.chat, id, &mut message);
        sent.message = message.encode_to_vec().into();
    }
    sent
}

/// What refers to another message, and what is not shown, has none.
fn wants_secret(message: &Message) -> bool {
    let refers = message.reaction_message.is_some()
        || message.poll_update_message.is_some()
        || message.protocol_message.is_some()
        || message.keep_in_chat_message.is_some()
        || message.pin_in_chat_message.is_some();
    !refers && message.sender_key_distribution_message.is_none()
}

/// The secret of a message that this device sent: HMAC under a key that only it has, over a label, the chat and the id. Each
/// message has its own, and nobody who knows one can tell another. `chat` is as the owner named it.
pub fn derive(device: &Device, chat: &Jid, id: &MessageId) -> [u8; 32] {
    let key = device.identity.private().as_bytes();
    let mut mac =
        <Hmac<Sha256>>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    for part in [LABEL, chat.user(), chat.server().as_str(), id.as_str()] {
        mac.update(part.as_bytes());
        mac.update(&[0]);
    }
    mac.finalize().into_bytes().into()
}

const LABEL: &str = "message secret";

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::proto::MessageContextInfo;

    fn text() -> Message {
        Message {
            conversation: Some("hi".into()),
            ..Message::default()
        }
    }

    fn secret(seed: u64, chat: &str, id: &str) -> Vec<u8> {
        let device = Device::generate(&mut StdRng::seed_from_u64(seed));
        let mut message = text();
        attach(
            &device,
            &chat.parse().unwrap(),
            &id.parse().unwrap(),
            &mut message,
        );
        message
            .message_context_info
            .unwrap()
            .message_secret
            .unwrap()
            .to_vec()
    }

    #[test]
    fn each_message_of_each_device_has_its_own_and_always_the_same() {
        let first = secret(1, "15550002@s.whatsapp.net", "3EB0A");
        assert_eq!(first.len(), 32);
        assert_eq!(first, secret(1, "15550002@s.whatsapp.net", "3EB0A"));
        for other in [
            secret(2, "15550002@s.whatsapp.net", "3EB0A"),
            secret(1, "15550003@s.whatsapp.net", "3EB0A"),
            secret(1, "15550002@lid", "3EB0A"),
            secret(1, "15550002@s.whatsapp.net", "3EB0B"),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn one_that_is_there_stays_and_what_refers_to_others_has_none() {
        let device = Device::generate(&mut StdRng::seed_from_u64(1));
        let (chat, id) = (
            "15550002@s.whatsapp.net".parse().unwrap(),
            "3EB0A".parse().unwrap(),
        );
        let given = bytes::Bytes::from_static(&[7; 32]);
        let mut message = text();
        message.message_context_info = Some(Box::new(MessageContextInfo {
            message_secret: Some(given.clone()),
            ..MessageContextInfo::default()
        }));
        attach(&device, &chat, &id, &mut message);
        assert_eq!(message.message_context_info.unwrap().message_secret, Some(given));
        let mut revoke = Message {
            protocol_message: Some(Box::default()),
            ..Message::default()
        };
        attach(&device, &chat, &id, &mut revoke);
        assert!(revoke.message_context_info.is_none());
    }

    #[test]
    fn what_is_sent_again_has_the_bytes_that_were_sent() {
        let device = Device::generate(&mut StdRng::seed_from_u64(1));
        let (chat, id): (Jid, MessageId) = (
            "15550002@s.whatsapp.net".parse().unwrap(),
            "3EB0A".parse().unwrap(),
        );
        let mut first = text();
        attach(&device, &chat, &id, &mut first);
        let message = text().encode_to_vec().into();
        let again = attach_to_sent(&device, &id, SentMessage { chat, message });
        assert_eq!(again.message, first.encode_to_vec());
    }
}
