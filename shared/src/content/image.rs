//! A picture.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::{Kind, Texts, check_some, object};
use super::media::{CAPTION_MAX_BYTES, Known, Media, Otherwise};
use crate::body::JobError;

/// A picture.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Image {
    /// The picture: JPEG, PNG, WebP or GIF.
    pub media: Media,
    /// The text below it, 1 to 65,536 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Whether it can be opened once only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub view_once: bool,
    /// What to do if it is no picture; it fails where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Otherwise>,
}

impl Kind for Image {
    fn message_type(&self) -> &'static str {
        "imageMessage"
    }

    fn message(&self) -> Value {
        object([
            ("caption", self.caption.clone().into()),
            ("viewOnce", self.view_once.then_some(true).into()),
        ])
    }

    fn check(&self) -> Result<(), JobError> {
        self.media.check("media")?;
        self.media
            .check_known("media", &[Known::Size, Known::Thumbnail])?;
        check_some("caption", self.caption.as_deref(), CAPTION_MAX_BYTES)
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
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
    stored: r#"{"type":"image","media":{"url":"https://example.com/a.jpg"},"caption":"Sé","viewOnce":true}"#,
    fingerprint: "e658b350682b1e356a1d5d1d3b46261dc74301787eb3fef4cf68beafd4f6bc33",
    shown: r#"{"imageMessage":{"caption":"Sé","viewOnce":true}}"#,
    refused: &[
        (r#"{"type":"image"}"#, "message.media: is required"),
        (
            r#"{"type":"image","media":{}}"#,
            "message.media: must have one of `url`, `base64`, `id`",
        ),
        (
            r#"{"type":"image","media":{"url":"https://example.com/a","base64":"AA=="}}"#,
            "message.media: must have one of `url`, `base64`, `id`",
        ),
        (
            r#"{"type":"image","media":{"url":"ftp://example.com/a"}}"#,
            "message.media.url: must begin with http:// or https://",
        ),
        (
            r#"{"type":"image","media":{"base64":"A"}}"#,
            "message.media.base64: must be base64",
        ),
        (
            r#"{"type":"image","media":{"base64":"","mimetype":"image/png"}}"#,
            "message.media.base64: must not be empty",
        ),
        (
            r#"{"type":"image","media":{"base64":"AA==","mimetype":"png"}}"#,
            "message.media.mimetype: must be a type such as `image/jpeg`",
        ),
        (
            r#"{"type":"image","media":{"base64":"AA=="},"caption":""}"#,
            "message.caption: must not be empty",
        ),
    ],
};
