//! A message is deleted for everyone.

use shared::content::Delete;
use whatsapp::proto;
use whatsapp::proto::message::{ProtocolMessage, protocol_message::Type};

use super::described::Described;
use super::rendering::Rendering;
use super::{described, key};

pub(super) fn render(delete: &Delete, to: &Rendering<'_>) -> proto::Message {
    proto::Message {
        protocol_message: Some(Box::new(ProtocolMessage {
            key: Some(key::render(&delete.key, to)),
            r#type: Some(Type::Revoke.into()),
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let protocol = message.protocol_message.as_ref()?;
    if protocol.r#type != Some(Type::Revoke.into()) {
        return None;
    }
    let fields = [
        ("type", "REVOKE".into()),
        ("key", described::key(protocol.key.as_ref())),
    ];
    Some(Described::new("protocolMessage", fields))
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"delete","key":{"id":"3EB0A1","fromMe":true,"remoteJid":"5531900000042"}}"#,
    "622c0a280a1c3535333139303030303030343240732e77686174736170702e6e657410011a063345423041311000",
);
