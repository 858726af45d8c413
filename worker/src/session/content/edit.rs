//! Another text for a message that was sent.

use serde_json::json;
use shared::content::{Edit, Text};
use whatsapp::proto;
use whatsapp::proto::message::{ProtocolMessage, protocol_message::Type};

use super::described::Described;
use super::rendering::Rendering;
use super::{described, key, text};

pub(super) fn render(edit: &Edit, to: &Rendering<'_>) -> proto::Message {
    let edited = text::render(&Text::new(edit.text.as_str()));
    proto::Message {
        protocol_message: Some(Box::new(ProtocolMessage {
            key: Some(key::render(&edit.key, to)),
            r#type: Some(Type::MessageEdit.into()),
            edited_message: Some(Box::new(edited)),
            timestamp_ms: Some(to.millis()),
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let protocol = message.protocol_message.as_ref()?;
    if protocol.r#type != Some(Type::MessageEdit.into()) {
        return None;
    }
    let edited = protocol.edited_message.as_deref().and_then(text::describe);
    let fields = [
        ("type", "MESSAGE_EDIT".into()),
        ("key", described::key(protocol.key.as_ref())),
        (
            "editedMessage",
            edited.map(|told| json!({ told.kind: told.body })).into(),
        ),
    ];
    Some(Described::new("protocolMessage", fields))
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"edit","key":{"id":"3EB0A1","fromMe":true,"remoteJid":"5531900000042"},"text":"We open at ten."}"#,
    "62480a280a1c3535333139303030303030343240732e77686174736170702e6e657410011a06334542304131100e721332110a0f5765206f70656e2061742074656e2e7880d0c1b8aa34",
);
