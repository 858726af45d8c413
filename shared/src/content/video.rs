//! A film.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::{Kind, Texts, check_some, object};
use super::media::{CAPTION_MAX_BYTES, Known, Media, Otherwise};
use crate::body::JobError;

/// A film.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Video {
    /// The film: MP4 or another form that phones play.
    pub media: Media,
    /// The text below it, 1 to 65,536 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Whether it plays silently, again and again, as animated pictures do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gif: bool,
    /// Whether it can be opened once only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub view_once: bool,
    /// What to do if it is no film; it fails where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Otherwise>,
}

impl Kind for Video {
    fn message_type(&self) -> &'static str {
        "videoMessage"
    }

    fn message(&self) -> Value {
        object([
            ("caption", self.caption.clone().into()),
            ("gifPlayback", self.gif.then_some(true).into()),
            ("viewOnce", self.view_once.then_some(true).into()),
        ])
    }

    fn check(&self) -> Result<(), JobError> {
        self.media.check("media")?;
        self.media
            .check_known("media", &[Known::Size, Known::Seconds, Known::Thumbnail])?;
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
    stored: r#"{"type":"video","media":{"url":"https://example.com/a.mp4"},"caption":"Sé","gif":true}"#,
    fingerprint: "042506e4a0d896e9353269c86670b8ee6f4578804bbf72a7a56bf2f68221eb56",
    shown: r#"{"videoMessage":{"caption":"Sé","gifPlayback":true}}"#,
    refused: &[
        (
            r#"{"type":"video","media":{"base64":"AA==","width":16}}"#,
            "message.media.height: is required where the other one is given",
        ),
        (
            r#"{"type":"video","media":{"base64":"AA==","width":0,"height":9}}"#,
            "message.media.width: must be 1 to 65535",
        ),
        (
            r#"{"type":"video","media":{"base64":"AA==","seconds":604801}}"#,
            "message.media.seconds: must be at most 604800",
        ),
        (
            r#"{"type":"video","media":{"base64":"AA==","thumbnail":"AAAA"}}"#,
            "message.media.thumbnail: must be a JPEG of at most 65536 bytes, in base64",
        ),
        (r#"{"type":"video"}"#, "message.media: is required"),
        (
            r#"{"type":"video","media":{"base64":"AA=="},"gif":1}"#,
            "message.gif: must be a boolean",
        ),
    ],
};
