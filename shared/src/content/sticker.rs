//! A sticker.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::{Kind, Texts, object};
use super::media::{Known, Media};
use crate::body::JobError;

/// A sticker.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Sticker {
    /// The picture: WebP, 512 by 512 points.
    pub media: Media,
}

impl Kind for Sticker {
    fn message_type(&self) -> &'static str {
        "stickerMessage"
    }

    fn message(&self) -> Value {
        object([])
    }

    fn check(&self) -> Result<(), JobError> {
        self.media.check("media")?;
        self.media.check_known("media", &[Known::Size])
    }

    fn texts(&mut self, _: &mut Texts<'_>) {}

    fn media(&self) -> Option<&Media> {
        Some(&self.media)
    }

    fn media_mut(&mut self) -> Option<&mut Media> {
        Some(&mut self.media)
    }
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"sticker","media":{"url":"https://example.com/a.webp"}}"#,
    fingerprint: "d595967eebbde3eb56688cca218351048d6a93a482423ed8aecb19ab1e91a57c",
    shown: r#"{"stickerMessage":{}}"#,
    refused: &[(r#"{"type":"sticker"}"#, "message.media: is required")],
};
