//! A message that the owner has sent, as a record's value.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::jid::{Jid, Server};

/// What the owner answers for a [`RecordKind::Sent`](super::RecordKind::Sent).
#[derive(Clone, PartialEq, Eq)]
pub struct SentMessage {
    /// Whom the owner sent it to, by LID, phone number or group. Nobody else gets it again.
    pub chat: Jid,
    /// The encoded [`crate::proto::Message`].
    pub message: Bytes,
}

impl SentMessage {
    /// The value: the length of the chat's text (four bytes, big-endian), that text, the message.
    pub fn encode(&self) -> Bytes {
        let chat = self.chat.to_string();
        let mut value = BytesMut::with_capacity(LENGTH_BYTES + chat.len() + self.message.len());
        value.put_u32(u32::try_from(chat.len()).unwrap_or(u32::MAX));
        value.extend_from_slice(chat.as_bytes());
        value.extend_from_slice(&self.message);
        value.freeze()
    }

    /// Reads what [`Self::encode`] wrote; `None` if it is something else.
    pub fn decode(mut value: Bytes) -> Option<Self> {
        let length = value.first_chunk::<LENGTH_BYTES>().copied()?;
        let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
        let chat = value.get(LENGTH_BYTES..)?.get(..length)?;
        let chat = std::str::from_utf8(chat).ok()?.parse().ok()?;
        let message = value.split_off(LENGTH_BYTES + length);
        Some(Self { chat, message })
    }

    /// The same message, its chat by the number that the account has now, if a
    /// [`RecordKind::Renumbered`](super::RecordKind::Renumbered) record says so.
    pub(crate) fn renumbered(mut self, present: Option<&[u8]>) -> Self {
        if let Some(present) = present.and_then(|text| std::str::from_utf8(text).ok())
            && self.chat.is_user()
        {
            self.chat = Jid::new(present, Server::User);
        }
        self
    }
}

const LENGTH_BYTES: usize = 4;

/// Prints nothing of it.
impl fmt::Debug for SentMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SentMessage(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_known_in_its_present_form() {
        let present = |chat: &str, record: Option<&[u8]>| {
            let (chat, message) = (chat.parse().unwrap(), Bytes::new());
            let sent = SentMessage { chat, message }.renumbered(record);
            sent.chat.to_string()
        };
        let (old, new) = ("5511987654321@s.whatsapp.net", "551187654321@s.whatsapp.net");
        assert_eq!(present(old, Some(b"551187654321")), new);
        assert_eq!(present(new, None), new);
        assert_eq!(
            present("5511987654321@lid", Some(b"551187654321")),
            "5511987654321@lid"
        );
    }

    #[test]
    fn the_value_is_read_back_and_nothing_else_is() {
        let sent = SentMessage {
            chat: "15550002@s.whatsapp.net".parse().unwrap(),
            message: Bytes::from_static(b"\x0a\x02hi"),
        };
        let value = sent.encode();
        assert_eq!(SentMessage::decode(value.clone()), Some(sent));
        let chat_ends = value.len() - 4;
        for cut in 0..chat_ends {
            assert!(SentMessage::decode(value.slice(..cut)).is_none(), "{cut}");
        }
    }
}
