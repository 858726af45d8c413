//! Asking our phone for keys.

use bytes::Bytes;

use crate::proto::Message;
use crate::proto::message::protocol_message::Type;
use crate::proto::message::{AppStateSyncKeyId, AppStateSyncKeyRequest, ProtocolMessage};
use crate::syncd::KeyId;

/// The message that asks for these keys.
pub(super) fn keys(ids: &[KeyId]) -> Message {
    let key_ids = ids.iter().map(|id| AppStateSyncKeyId {
        key_id: Some(Bytes::copy_from_slice(id.as_bytes())),
    });
    let request = AppStateSyncKeyRequest {
        key_ids: key_ids.collect(),
    };
    let protocol_message = ProtocolMessage {
        r#type: Some(Type::AppStateSyncKeyRequest.into()),
        app_state_sync_key_request: Some(request),
        ..ProtocolMessage::default()
    };
    Message {
        protocol_message: Some(Box::new(protocol_message)),
        ..Message::default()
    }
}
