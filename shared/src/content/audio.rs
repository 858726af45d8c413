//! A sound, or a voice note.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::{Kind, Texts, object};
use super::media::{Known, Media, Otherwise};
use crate::body::JobError;

/// A sound, or a voice note.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Audio {
    /// The sound. A voice note is Opus in Ogg.
    pub media: Media,
    /// Whether it is shown as spoken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub voice_note: bool,
    /// What to do if it is no sound; it fails where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Otherwise>,
}

impl Kind for Audio {
    fn message_type(&self) -> &'static str {
        "audioMessage"
    }

    fn message(&self) -> Value {
        object([("ptt", self.voice_note.then_some(true).into())])
    }

    fn check(&self) -> Result<(), JobError> {
        self.media.check("media")?;
        self.media.check_known("media", &[Known::Seconds])
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
    stored: r#"{"type":"audio","media":{"base64":"AA==","mimetype":"audio/ogg; codecs=opus"},"voiceNote":true}"#,
    fingerprint: "b33dd8659566ba7d68ab781698b54ce79fea572cdfa005dd42daa2a4b3f382e6",
    shown: r#"{"audioMessage":{"ptt":true}}"#,
    refused: &[
        (r#"{"type":"audio"}"#, "message.media: is required"),
        (
            r#"{"type":"audio","media":{"base64":"AA==","thumbnail":"/9j/4AAQ"}}"#,
            "message.media.thumbnail: has no place in this kind",
        ),
        (
            r#"{"type":"audio","media":{"base64":"AA=="},"caption":"x"}"#,
            "message.caption: is not known here; known are `media`, `voiceNote`, `otherwise`",
        ),
    ],
};
