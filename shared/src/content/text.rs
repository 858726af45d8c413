//! Plain text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kind::{Kind, check_text};
use crate::job::JobError;

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
}
