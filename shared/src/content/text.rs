//! Plain text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kind::{Kind, Texts, check_text};
use crate::body::JobError;

/// Most bytes of a text message (WhatsApp's own limit).
pub const TEXT_MAX_BYTES: usize = 65_536;

/// Plain text, 1 to 65,536 bytes.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The text.
    pub text: String,
}

impl Text {
    /// A plain text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl Kind for Text {
    fn message_type(&self) -> &'static str {
        "extendedTextMessage"
    }

    fn message(&self) -> Value {
        json!({ "text": self.text })
    }

    fn check(&self) -> Result<(), JobError> {
        check_text("text", &self.text, TEXT_MAX_BYTES)
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.text(format_args!("text"), &mut self.text);
    }
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"text","text":"We open at nine."}"#,
    fingerprint: "8f8e41ae9e3d396081a28186f4dd64534801d703bb6330c416bd8c99a738f271",
    shown: r#"{"extendedTextMessage":{"text":"We open at nine."}}"#,
    refused: &[
        (r#"{"type":"text"}"#, "message.text: is required"),
        (r#"{"type":"text","text":7}"#, "message.text: must be a string"),
        (r#"{"type":"text","text":""}"#, "message.text: must not be empty"),
        (
            r#"{"type":"text","text":"a\u0000b"}"#,
            "message.text: must not contain the character U+0000",
        ),
        (
            r#"{"type":"text","text":"hi","typo":1}"#,
            "message.typo: is not known here; known are `text`",
        ),
    ],
};
