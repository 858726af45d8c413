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

    /// A message whose kind alone tells a receiver that something came.
    pub(super) fn by_name(kind: &'static str) -> Self {
        let body = Value::Object(Map::new());
        Self { kind, body }
    }
}

/// What a message refers to: the quoted message's id and author, and who is mentioned.
pub(super) fn context(info: Option<&proto::ContextInfo>) -> Value {
    let Some(info) = info else { return Value::Null };
    let mentioned = (!info.mentioned_jid.is_empty()).then(|| json!(info.mentioned_jid));
    object([
        ("stanzaId", info.stanza_id.clone().into()),
        ("participant", info.participant.clone().into()),
        ("mentionedJid", mentioned.into()),
    ])
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

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
