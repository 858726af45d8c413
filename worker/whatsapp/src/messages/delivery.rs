//! A decrypted message: which chat it is in, what it is for, and how the owner is shown it.

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::e2e::Directory;
use crate::event::Incoming;
use crate::jid::Jid;
use crate::proto::Message;
use crate::proto::message::protocol_message::Type;
use crate::signal::Address;
use crate::signal::session::{MARK_BYTES, Mark};
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

/// Decides which part takes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The owner is shown it.
    Owner,
    /// It brought a sender key and nothing else.
    SenderKey,
    /// Our phone shares keys of the app state.
    AppStateKeys,
    /// Our phone says where to get a piece of the history.
    HistoryNotice,
    /// Our phone says which hidden ids belong to its contacts.
    LidMappings,
    /// Our phone answers what we asked of it.
    PhoneAnswer,
    /// Devices keep each other in step, or ask one another.
    Peer,
    /// Nothing.
    Nothing,
}

impl Meaning {
    /// Classifies a message. Takes the sender key out, which is none of the owner's business.
    pub(super) fn take(message: &mut Message) -> Self {
        if let Some(protocol) = &message.protocol_message {
            return match protocol.r#type.and_then(|kind| Type::try_from(kind).ok()) {
                Some(Type::Revoke | Type::MessageEdit | Type::EphemeralSetting) => Self::Owner,
                Some(Type::AppStateSyncKeyShare) => Self::AppStateKeys,
                Some(Type::HistorySyncNotification) => Self::HistoryNotice,
                Some(Type::LidMigrationMappingSync) => Self::LidMappings,
                Some(Type::PeerDataOperationRequestResponseMessage) => Self::PhoneAnswer,
                Some(_) => Self::Peer,
                None => Self::Nothing,
            };
        }
        let sender_key = message.sender_key_distribution_message.take();
        if message.conversation.is_some() || message.extended_text_message.is_some() {
            // As most are: the rest need not be looked through.
            return Self::Owner;
        }
        let info = message.message_context_info.take();
        let is_empty = message.encoded_len() == 0;
        message.message_context_info = info;
        match (is_empty, sender_key) {
            (false, _) => Self::Owner,
            (true, Some(_)) => Self::SenderKey,
            (true, None) => Self::Nothing,
        }
    }
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
    /// Whether somebody says what only our own devices may say, or of it what only our phone may.
    pub(crate) fn is_forged(&self) -> bool {
        match self.meaning {
            Meaning::Owner | Meaning::SenderKey | Meaning::Nothing => false,
            Meaning::Peer => !self.from_me,
            Meaning::AppStateKeys | Meaning::HistoryNotice | Meaning::LidMappings | Meaning::PhoneAnswer => {
                !self.is_of_own_phone()
            }
        }
    }

    /// Whether our own phone sent it. Of keys, history and the like, nobody else is believed, not even another device of
    /// ours.
    pub(crate) fn is_of_own_phone(&self) -> bool {
        self.from_me && self.stanza.sender().device() == 0
    }

    /// Our own name, if one of our own devices sent it with that.
    pub(crate) fn own_name(&self) -> Option<&str> {
        let name = self.stanza.push_name.as_deref();
        name.filter(|_| self.from_me)
    }

    /// The event for the owner.
    pub(super) fn into_incoming(self, directory: &Directory) -> Incoming {
        let sender = self.stanza.sender().clone();
        let (bare, other) = (
            sender.to_bare(),
            self.stanza.sender_alt.as_ref().map(Jid::to_bare),
        );
        let other = other.or_else(|| directory.other_name(&sender));
        let chat_alt = self.stanza.recipient_alt.as_ref().map(Jid::to_bare);
        let chat_alt = chat_alt.or_else(|| directory.other_name(&self.chat));
        let (lid, phone) = if sender.is_lid() {
            (Some(bare), other)
        } else {
            (other, Some(bare))
        };
        Incoming {
            id: self.stanza.id,
            chat: self.chat,
            chat_alt,
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

/// The mark of a message among those of its sender, by which it is known that the owner has got it. An id is unique in its
/// chat only.
///
/// A sender that does not know whether a message left sends it again under the same id, encrypted anew: no ratchet takes
/// it for a repeat, and yet it must not be shown twice, not even by another process. The session with its sender
/// remembers it, and is written with the step that shows it.
pub(super) fn mark(stanza: &Received) -> Mark {
    let chat = match &stanza.participant {
        Some(_) => Some(&stanza.from),
        // As the sender addresses it: who repeats a message does so in the same words. Others write to us alone.
        None => stanza.recipient.as_ref(),
    };
    let chat = chat.map(|chat| chat.to_bare().to_string()).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [chat.as_str(), stanza.id.as_str()] {
        hash.update(part);
        hash.update([0]);
    }
    let mut mark = [0; MARK_BYTES];
    mark.copy_from_slice(&hash.finalize()[..MARK_BYTES]);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::Node;
    use crate::proto::MessageContextInfo;
    use crate::proto::message::{ProtocolMessage, SenderKeyDistributionMessage};

    fn protocol(kind: Option<Type>) -> Message {
        let protocol_message = ProtocolMessage {
            r#type: kind.map(Into::into),
            ..ProtocolMessage::default()
        };
        Message {
            protocol_message: Some(Box::new(protocol_message)),
            ..Message::default()
        }
    }

    #[test]
    fn each_kind_of_protocol_message_has_its_meaning() {
        for (kind, meaning) in [
            (Some(Type::Revoke), Meaning::Owner),
            (Some(Type::MessageEdit), Meaning::Owner),
            (Some(Type::EphemeralSetting), Meaning::Owner),
            (Some(Type::AppStateSyncKeyShare), Meaning::AppStateKeys),
            (Some(Type::HistorySyncNotification), Meaning::HistoryNotice),
            (Some(Type::LidMigrationMappingSync), Meaning::LidMappings),
            (Some(Type::AppStateSyncKeyRequest), Meaning::Peer),
            (Some(Type::PeerDataOperationRequestMessage), Meaning::Peer),
            (
                Some(Type::PeerDataOperationRequestResponseMessage),
                Meaning::PhoneAnswer,
            ),
            (None, Meaning::Nothing),
        ] {
            assert_eq!(Meaning::take(&mut protocol(kind)), meaning, "{kind:?}");
        }
    }

    #[test]
    fn a_sender_key_alone_is_not_for_the_owner() {
        let text = |text: Option<&str>| Message {
            conversation: text.map(str::to_owned),
            sender_key_distribution_message: Some(SenderKeyDistributionMessage::default().into()),
            message_context_info: Some(MessageContextInfo::default().into()),
            ..Message::default()
        };
        assert_eq!(Meaning::take(&mut text(None)), Meaning::SenderKey);
        let mut hello = text(Some("hello"));
        assert_eq!(Meaning::take(&mut hello), Meaning::Owner);
        assert!(hello.sender_key_distribution_message.is_none());
        assert!(hello.message_context_info.is_some());
        assert_eq!(Meaning::take(&mut Message::default()), Meaning::Nothing);
    }

    fn of(node: Node) -> Mark {
        mark(&Received::parse(&node.attr("t", 1u64)).unwrap())
    }

    #[test]
    fn a_message_is_known_by_chat_and_id() {
        let message =
            |id: &'static str, from: &'static str| Node::new("message").attr("id", id).attr("from", from);
        let direct = of(message("A", "15550002:5@s.whatsapp.net"));
        assert_eq!(direct, of(message("A", "100:5@lid")), "by either name");
        let group = |group| of(message("A", group).attr("participant", "100:5@lid"));
        let copy = |to: &'static str| of(message("A", "15550001@s.whatsapp.net").attr("recipient", to));
        let all = [
            direct,
            of(message("B", "15550002:5@s.whatsapp.net")),
            group("1-2@g.us"),
            group("1-3@g.us"),
            copy("15550002@s.whatsapp.net"),
            copy("15550003@s.whatsapp.net"),
        ];
        for (at, mark) in all.iter().enumerate() {
            assert!(!all[..at].contains(mark), "{at}");
        }
    }
}
