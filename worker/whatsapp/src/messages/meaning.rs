//! What a decrypted message is for.

use prost::Message as _;

use crate::proto::Message;
use crate::proto::message::protocol_message::Type;

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
    /// Devices keep each other in step, or ask one another.
    Peer,
    /// Nothing.
    Nothing,
}

/// Classifies a message. Takes the sender key out, which is none of the owner's business.
pub(super) fn take(message: &mut Message) -> Meaning {
    if let Some(protocol) = &message.protocol_message {
        return match protocol.r#type.and_then(|kind| Type::try_from(kind).ok()) {
            Some(Type::Revoke | Type::MessageEdit | Type::EphemeralSetting) => Meaning::Owner,
            Some(Type::AppStateSyncKeyShare) => Meaning::AppStateKeys,
            Some(Type::HistorySyncNotification) => Meaning::HistoryNotice,
            Some(_) => Meaning::Peer,
            None => Meaning::Nothing,
        };
    }
    let sender_key = message.sender_key_distribution_message.take();
    let info = message.message_context_info.take();
    let is_empty = message.encoded_len() == 0;
    message.message_context_info = info;
    match (is_empty, sender_key) {
        (false, _) => Meaning::Owner,
        (true, Some(_)) => Meaning::SenderKey,
        (true, None) => Meaning::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            (Some(Type::AppStateSyncKeyRequest), Meaning::Peer),
            (Some(Type::PeerDataOperationRequestResponseMessage), Meaning::Peer),
            (None, Meaning::Nothing),
        ] {
            assert_eq!(take(&mut protocol(kind)), meaning, "{kind:?}");
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
        assert_eq!(take(&mut text(None)), Meaning::SenderKey);
        let mut hello = text(Some("hello"));
        assert_eq!(take(&mut hello), Meaning::Owner);
        assert!(hello.sender_key_distribution_message.is_none());
        assert!(hello.message_context_info.is_some());
        assert_eq!(take(&mut Message::default()), Meaning::Nothing);
    }
}
