//! A message that came in, as the owner is shown it.

use std::fmt;

use super::misbehaviour::Misbehaviour;
use crate::{
    jid::Jid,
    message_id::MessageId,
    proto::message::{ProtocolMessage, protocol_message::Type},
    proto::{Message, MessageKey},
    time::Timestamp,
};

/// A decrypted message.
pub struct Incoming {
    /// Its id.
    pub id: MessageId,
    /// The chat, without device: the other side, or the group.
    pub chat: Jid,
    /// The other side of a chat between two by its other name, without device, if known.
    pub chat_alt: Option<Jid>,
    /// Who sent it, with device.
    pub sender: Jid,
    /// The sender by LID, without device, if known.
    pub lid: Option<Jid>,
    /// The sender by phone number, without device, if known.
    pub phone: Option<Jid>,
    /// We sent it from another device.
    pub from_me: bool,
    /// The name the sender gives itself.
    pub push_name: Option<String>,
    /// The server's time.
    pub timestamp: Timestamp,
    /// It waited while we were offline.
    pub offline: bool,
    /// What was said.
    pub message: Message,
}

impl Incoming {
    /// What its sender did wrong, if it changes what somebody else wrote: nobody edits that, and nobody deletes it outside
    /// of groups. In a group only its admins do, which takes asking ([`Self::needs_admin`]).
    pub(crate) fn forgery(&self) -> Option<Misbehaviour> {
        let protocol = unwrapped(&self.message).protocol_message.as_deref()?;
        let is_own = protocol.key.as_ref().is_some_and(|key| key.from_me == Some(true));
        if is_own || self.from_me {
            return None;
        }
        match Type::try_from(protocol.r#type?).ok()? {
            Type::Revoke if !self.chat.is_group() => Some(Misbehaviour::ForgedDeletion),
            Type::MessageEdit => Some(Misbehaviour::ForgedEdit),
            _ => None,
        }
    }

    /// Whether it deletes, in a group, what somebody else wrote: only its admins may.
    pub(crate) fn needs_admin(&self) -> bool {
        let is_own = |key: &MessageKey| key.from_me == Some(true);
        let of_another = |taken: &ProtocolMessage| !taken.key.as_ref().is_some_and(is_own);
        self.chat.is_group() && taken_back(&self.message).is_some_and(of_another)
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("id", &self.id)
            .field("chat", &self.chat)
            .field("sender", &self.sender)
            .field("from_me", &self.from_me)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

/// What a message says that deletes another one, in whatever it is wrapped: apps wrap none, but what is shown of a message
/// is what is inside.
pub(crate) fn taken_back(message: &Message) -> Option<&ProtocolMessage> {
    let protocol = unwrapped(message).protocol_message.as_deref()?;
    (protocol.r#type == Some(Type::Revoke.into())).then_some(protocol)
}

/// The message inside of what it may be wrapped in (view once, disappearing, our own copy…). What is shown of a message, and
/// what is judged, is this.
#[must_use]
pub fn unwrapped(message: &Message) -> &Message {
    let mut message = message;
    for _ in 0..MAX_WRAPPERS {
        let sent = message.device_sent_message.as_ref();
        let wrappers = [
            &message.ephemeral_message,
            &message.view_once_message,
            &message.view_once_message_v2,
            &message.view_once_message_v2_extension,
            &message.document_with_caption_message,
            &message.edited_message,
        ];
        let inner = sent.and_then(|sent| sent.message.as_deref()).or_else(|| {
            let mut inner = wrappers.into_iter().flatten();
            inner.find_map(|wrapper| wrapper.message.as_deref())
        });
        match inner {
            Some(inner) => message = inner,
            None => break,
        }
    }
    message
}

/// Deeper nesting is nothing that an app makes, and nothing that is looked into.
const MAX_WRAPPERS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::message::FutureProofMessage;

    fn revoke(from_me: Option<bool>) -> Message {
        let key = MessageKey {
            from_me,
            ..MessageKey::default()
        };
        let protocol = ProtocolMessage {
            key: Some(key),
            r#type: Some(Type::Revoke.into()),
            ..ProtocolMessage::default()
        };
        Message {
            protocol_message: Some(Box::new(protocol)),
            ..Message::default()
        }
    }

    fn incoming(chat: &str, message: Message) -> Incoming {
        Incoming {
            id: "A".parse().unwrap(),
            chat: chat.parse().unwrap(),
            chat_alt: None,
            sender: "100@lid".parse().unwrap(),
            lid: None,
            phone: None,
            from_me: false,
            push_name: None,
            timestamp: Timestamp::EPOCH,
            offline: false,
            message,
        }
    }

    #[test]
    fn an_admin_is_needed_for_what_others_wrote_in_a_group() {
        let group = |message| incoming("1-2@g.us", message).needs_admin();
        assert!(group(revoke(Some(false))) && group(revoke(None)));
        assert!(!group(revoke(Some(true))) && !group(Message::default()));
        assert!(!incoming("100@lid", revoke(Some(false))).needs_admin());
        assert!(group(wrapped(revoke(Some(false)))), "also where it is wrapped");
    }

    fn wrapped(message: Message) -> Message {
        Message {
            edited_message: Some(Box::new(FutureProofMessage {
                message: Some(Box::new(message)),
            })),
            ..Message::default()
        }
    }

    #[test]
    fn nobody_changes_what_another_wrote() {
        let edit = |from_me| {
            let mut edit = revoke(from_me);
            if let Some(protocol) = &mut edit.protocol_message {
                protocol.r#type = Some(Type::MessageEdit.into());
            }
            edit
        };
        let forged = |chat, message| incoming(chat, message).forgery();
        for chat in ["100@lid", "15550002@s.whatsapp.net", "status@broadcast"] {
            for other in [Some(false), None] {
                let deletion = Some(Misbehaviour::ForgedDeletion);
                assert_eq!(forged(chat, revoke(other)), deletion, "{chat}");
                assert_eq!(forged(chat, wrapped(revoke(other))), deletion, "{chat}");
                assert_eq!(forged(chat, edit(other)), Some(Misbehaviour::ForgedEdit));
            }
            assert_eq!(forged(chat, revoke(Some(true))), None);
            assert_eq!(forged(chat, edit(Some(true))), None);
        }
        assert_eq!(forged("1-2@g.us", revoke(Some(false))), None, "of its admins");
        let edited = forged("1-2@g.us", edit(Some(false)));
        assert_eq!(edited, Some(Misbehaviour::ForgedEdit));
        let ours = Incoming {
            from_me: true,
            ..incoming("100@lid", revoke(None))
        };
        assert_eq!(ours.forgery(), None, "our own phone is believed");
    }
}
