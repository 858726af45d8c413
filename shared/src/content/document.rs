//! A file of any type.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::{Kind, Texts, check_some, object};
use super::media::{CAPTION_MAX_BYTES, Known, Media, NAME_MAX_BYTES};
use crate::body::JobError;

/// A file of any type.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Document {
    /// The file.
    pub media: Media,
    /// What it is called, 1 to 255 bytes; else by the last part of its URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// The text below it, 1 to 65,536 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
}

impl Document {
    /// What it is called.
    pub fn name(&self) -> &str {
        self.media.name(self.file_name.as_deref())
    }
}

impl Kind for Document {
    fn message_type(&self) -> &'static str {
        "documentMessage"
    }

    fn message(&self) -> Value {
        object([
            ("title", self.name().into()),
            ("fileName", self.name().into()),
            ("caption", self.caption.clone().into()),
        ])
    }

    fn check(&self) -> Result<(), JobError> {
        self.media.check("media")?;
        self.media.check_known("media", &[Known::Thumbnail])?;
        check_some("fileName", self.file_name.as_deref(), NAME_MAX_BYTES)?;
        check_some("caption", self.caption.as_deref(), CAPTION_MAX_BYTES)
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.some(format_args!("fileName"), &mut self.file_name);
        texts.some(format_args!("caption"), &mut self.caption);
    }

    fn media(&self) -> Option<&Media> {
        Some(&self.media)
    }

    fn media_mut(&mut self) -> Option<&mut Media> {
        Some(&mut self.media)
    }
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"document","media":{"url":"https://example.com/files/a%20b.pdf?x=1"},"caption":"Sé"}"#,
    fingerprint: "b0025844b28018a7891acb50341faae5048c2a9c11489634731d28f642dce220",
    shown: r#"{"documentMessage":{"title":"a%20b.pdf","fileName":"a%20b.pdf","caption":"Sé"}}"#,
    refused: &[
        (r#"{"type":"document"}"#, "message.media: is required"),
        (
            r#"{"type":"document","media":{"base64":"AA=="},"fileName":""}"#,
            "message.fileName: must not be empty",
        ),
    ],
};
