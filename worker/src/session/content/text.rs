//! Plain text. Incoming, it has two forms: a bare text, and one that quotes, mentions or previews.

use serde_json::Value;
use shared::content::Text;
use whatsapp::proto::{self, message::ExtendedTextMessage};

use super::described::{Described, context};
use super::preview;

/// The extended form, as every client of this kind sends it.
pub(super) fn render(text: &Text) -> proto::Message {
    proto::Message {
        extended_text_message: Some(Box::new(ExtendedTextMessage {
            text: Some(text.text.clone()),
            ..preview::given(text)
        })),
        ..Default::default()
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    if let Some(text) = &message.conversation {
        return Some(Described {
            kind: "conversation",
            body: Value::String(text.clone()),
        });
    }
    let text = message.extended_text_message.as_deref()?;
    let fields = [
        ("text", text.text.clone().into()),
        ("matchedText", text.matched_text.clone().into()),
        ("title", text.title.clone().into()),
        ("description", text.description.clone().into()),
        ("contextInfo", context(text.context_info.as_deref())),
    ];
    Some(Described::new("extendedTextMessage", fields))
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"text","text":"Olá, 世界"}"#,
    "320e0a0c4f6cc3a12c20e4b896e7958c",
);
