//! What is told of a message that came in, and the pieces that several kinds tell in the same way.

use serde_json::{Map, Value, json};
use whatsapp::proto;

/// A message as events tell it.
#[derive(Debug, PartialEq)]
pub struct Described {
    /// The kind, for example `conversation`.
    pub kind: &'static str,
    /// A plain text for a conversation, an object for everything else.
    pub body: Value,
}

impl Described {
    /// A message of `kind` with those of `fields` that are there.
    pub(super) fn new<const N: usize>(kind: &'static str, fields: [(&str, Value); N]) -> Self {
        let body = object(fields);
        Self { kind, body }
    }

    /// The same with what stands above it.
    pub(super) fn with(self, above: Option<(&str, Value)>) -> Self {
        let body = with(above, self.body);
        Self { body, ..self }
    }

    /// A message whose kind alone tells a receiver that something came.
    pub(super) fn by_name(kind: &'static str) -> Self {
        let body = Value::Object(Map::new());
        Self { kind, body }
    }
}

/// What a message refers to: the quoted message's id, author and words, who is mentioned, and whether it is forwarded.
pub(super) fn context(info: Option<&proto::ContextInfo>) -> Value {
    let Some(info) = info else { return Value::Null };
    let mentioned = (!info.mentioned_jid.is_empty()).then(|| json!(info.mentioned_jid));
    let quoted = info.quoted_message.as_deref().and_then(words);
    object([
        ("stanzaId", info.stanza_id.clone().into()),
        ("participant", info.participant.clone().into()),
        ("remoteJid", info.remote_jid.clone().into()),
        ("quotedMessage", quoted.into()),
        ("mentionedJid", mentioned.into()),
        (
            "isForwarded",
            info.is_forwarded.filter(|forwarded| *forwarded).into(),
        ),
    ])
}

/// A quoted message, if it is a text that says something.
fn words(message: &proto::Message) -> Option<Value> {
    let extended = message.extended_text_message.as_ref();
    let extended = extended.and_then(|extended| extended.text.as_ref());
    let text = message.conversation.as_ref().or(extended)?;
    (!text.is_empty()).then(|| json!({ "conversation": text }))
}

/// The message that a reaction, a poll's answer or an edit speaks of.
pub(super) fn key(key: Option<&proto::MessageKey>) -> Value {
    let Some(key) = key else { return Value::Null };
    object([
        ("remoteJid", key.remote_jid.clone().into()),
        ("fromMe", key.from_me.into()),
        ("id", key.id.clone().into()),
        ("participant", key.participant.clone().into()),
    ])
}

/// The fields of a message with what stands above it.
pub(super) fn with(above: Option<(&str, Value)>, mut fields: Value) -> Value {
    if let (Some((name, value)), Some(fields)) = (above, fields.as_object_mut()) {
        fields.insert(name.to_owned(), value);
    }
    fields
}

/// An object of those fields that are there.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
