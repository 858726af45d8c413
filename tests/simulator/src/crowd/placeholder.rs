//! What a phone answers when a companion asks it for a message that it got no copy of.

use compact_str::CompactString;
use prost::Message as _;
use serde::Deserialize;
use whatsapp::jid::Jid;
use whatsapp::proto::message::peer_data_operation_request_response_message::PeerDataOperationResult;
use whatsapp::proto::message::peer_data_operation_request_response_message::peer_data_operation_result::PlaceholderMessageResendResponse;
use whatsapp::proto::message::{
    PeerDataOperationRequestResponseMessage, PeerDataOperationRequestType, ProtocolMessage, protocol_message,
};
use whatsapp::proto::{Message, MessageKey, WebMessageInfo};

use crate::number::Number;

/// Most messages that phones keep for their companions; beyond, none is added.
pub(super) const MAX_PLACEHOLDERS: usize = 10_000;

/// A message that a phone has and its companions have not.
pub struct Placeholder {
    /// The phone.
    pub phone: Number,
    /// The message.
    pub id: CompactString,
    /// Who sent it.
    pub from: Number,
    /// What it says.
    pub text: String,
    /// What the phone answers.
    pub answer: Has,
}

/// What a phone answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Has {
    /// The message.
    #[default]
    Message,
    /// That it has none.
    Nothing,
    /// The message, to a question that nobody asked.
    ToAnother,
    /// The message, but it is another companion that answers.
    Companion,
    /// Not at all.
    Silence,
}

/// Which message is asked for in what a companion sent to its phone.
pub(super) fn asked(message: &Message) -> Option<MessageKey> {
    let protocol = message.protocol_message.as_ref()?;
    let request = protocol.peer_data_operation_request_message.as_ref()?;
    let wanted = request.placeholder_message_resend_request.first()?;
    wanted.message_key.clone()
}

/// The answer to the request of this id; `None` if there is none. A phone calls a chat by its number.
pub(super) fn answer(request: &str, key: &MessageKey, kept: Option<(&Placeholder, Jid)>) -> Option<Message> {
    let has = kept.as_ref().map_or(Has::Nothing, |(kept, _)| kept.answer);
    if has == Has::Silence {
        return None;
    }
    let message = kept
        .as_ref()
        .filter(|_| has != Has::Nothing)
        .map(|(kept, _)| Message {
            conversation: Some(kept.text.clone()),
            ..Message::default()
        });
    let key = MessageKey {
        remote_jid: kept
            .map(|(_, chat)| chat.to_string())
            .or_else(|| key.remote_jid.clone()),
        ..key.clone()
    };
    let info = WebMessageInfo {
        key: Some(key),
        message,
        ..WebMessageInfo::default()
    };
    let response = PlaceholderMessageResendResponse {
        web_message_info_bytes: Some(info.encode_to_vec().into()),
    };
    let result = PeerDataOperationResult {
        placeholder_message_resend_response: Some(response),
        ..PeerDataOperationResult::default()
    };
    let request = match has {
        Has::ToAnother => "3EB0000000000000000000",
        _ => request,
    };
    let response = PeerDataOperationRequestResponseMessage {
        peer_data_operation_request_type: Some(PeerDataOperationRequestType::PlaceholderMessageResend.into()),
        stanza_id: Some(request.to_owned()),
        peer_data_operation_result: vec![result],
    };
    let protocol = ProtocolMessage {
        r#type: Some(protocol_message::Type::PeerDataOperationRequestResponseMessage.into()),
        peer_data_operation_request_response_message: Some(response),
        ..ProtocolMessage::default()
    };
    Some(Message {
        protocol_message: Some(Box::new(protocol)),
        ..Message::default()
    })
}
