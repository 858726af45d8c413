//! A reaction to a message, or its removal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::key::MessageKey;
use super::kind::{Kind, Texts, check_text};
use crate::body::JobError;

/// Most bytes of a reaction: one emoji, of which some are made of many characters.
const REACTION_MAX_BYTES: usize = 64;

/// A reaction to a message.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reaction {
    /// The message.
    pub key: MessageKey,
    /// One emoji, at most 64 bytes; empty takes the reaction back.
    pub text: String,
}

impl Kind for Reaction {
    fn message_type(&self) -> &'static str {
        "reactionMessage"
    }

    fn message(&self) -> Value {
        json!({ "key": self.key.shown(), "text": self.text })
    }

    fn check(&self) -> Result<(), JobError> {
        self.key.check("key")?;
        match self.text.is_empty() {
            true => Ok(()),
            false => check_text("text", &self.text, REACTION_MAX_BYTES),
        }
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.text(format_args!("text"), &mut self.text);
    }

    fn subject(&self) -> Option<&MessageKey> {
        Some(&self.key)
    }
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"reaction","key":{"id":"3EB0A9252A8F15F3E1C2","fromMe":false,"remoteJid":"5531900000042"},"text":"🦖"}"#,
    fingerprint: "c38cacab1786b2e0b00802ae14fa2b387d6b0a1671e21ebb7b8a19ed75df8cfc",
    shown: r#"{"reactionMessage":{"key":{"remoteJid":"5531900000042@s.whatsapp.net","fromMe":false,"id":"3EB0A9252A8F15F3E1C2"},"text":"🦖"}}"#,
    refused: &[
        (r#"{"type":"reaction","text":"🦖"}"#, "message.key: is required"),
        (
            r#"{"type":"reaction","key":{"id":"3EB0"},"text":"🦖"}"#,
            "message.key.fromMe: is required",
        ),
        (
            r#"{"type":"reaction","key":{"id":"","fromMe":true},"text":"🦖"}"#,
            "message.key.id: must be 1 to 128 printable ASCII characters without blanks",
        ),
        (
            r#"{"type":"reaction","key":{"id":"3EB0","fromMe":true},"text":"this is no emoji at all, and that is why it is refused as too long a text"}"#,
            "message.text: must be at most 64 bytes",
        ),
        (
            r#"{"type":"reaction","key":{"id":"3EB0","fromMe":true},"text":"🦖","forwarded":true}"#,
            "message.forwarded: can't go with a `reaction`",
        ),
    ],
};
