//! Another text for a message that was sent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::key::MessageKey;
use super::kind::{Kind, Texts, check_text};
use super::text::TEXT_MAX_BYTES;
use crate::body::JobError;

/// Another text for a text that this session sent. WhatsApp takes it for about fifteen minutes after that.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The message; `fromMe` is true.
    pub key: MessageKey,
    /// The text, 1 to 65,536 bytes.
    pub text: String,
}

impl Kind for Edit {
    fn message_type(&self) -> &'static str {
        "protocolMessage"
    }

    fn message(&self) -> Value {
        let edited = json!({ "extendedTextMessage": { "text": self.text } });
        json!({ "type": "MESSAGE_EDIT", "key": self.key.shown(), "editedMessage": edited })
    }

    fn check(&self) -> Result<(), JobError> {
        self.key.check("key")?;
        if !self.key.from_me {
            return Err(JobError::new(
                "key.fromMe",
                "must be true: only own messages can be edited",
            ));
        }
        check_text("text", &self.text, TEXT_MAX_BYTES)
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
    stored: r#"{"type":"edit","key":{"id":"3EB0A9252A8F15F3E1C2","fromMe":true},"text":"We open at ten."}"#,
    fingerprint: "c653da66a3d021753a530720e9cfaa144ba4dc252dbb32b17efd032fadf138aa",
    shown: r#"{"protocolMessage":{"type":"MESSAGE_EDIT","key":{"fromMe":true,"id":"3EB0A9252A8F15F3E1C2"},"editedMessage":{"extendedTextMessage":{"text":"We open at ten."}}}}"#,
    refused: &[
        (
            r#"{"type":"edit","key":{"id":"3EB0","fromMe":true}}"#,
            "message.text: is required",
        ),
        (
            r#"{"type":"edit","key":{"id":"3EB0","fromMe":true},"text":""}"#,
            "message.text: must not be empty",
        ),
        (
            r#"{"type":"edit","key":{"id":"3EB0","fromMe":false},"text":"x"}"#,
            "message.key.fromMe: must be true: only own messages can be edited",
        ),
    ],
};
