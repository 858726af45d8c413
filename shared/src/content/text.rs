//! Plain text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::{Kind, Texts, check_text, object};
use super::link_preview::{LinkPreview, PagePreview, first_link};
use crate::body::JobError;

/// Most bytes of a text message (WhatsApp's own limit).
pub const TEXT_MAX_BYTES: usize = 65_536;

/// Plain text, 1 to 65,536 bytes.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Text {
    /// The text.
    pub text: String,
    /// Whether something is shown of the first page that it links to.
    #[serde(default, skip_serializing_if = "LinkPreview::is_off")]
    pub link_preview: LinkPreview,
}

impl Text {
    /// A plain text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            link_preview: LinkPreview::Off,
        }
    }

    /// What is shown of a page, where its caller says that; with the link.
    pub fn preview(&self) -> Option<(&str, &PagePreview)> {
        let LinkPreview::Given(preview) = &self.link_preview else {
            return None;
        };
        let link = preview.url.as_deref().or_else(|| first_link(&self.text))?;
        Some((link, preview))
    }
}

impl Kind for Text {
    fn message_type(&self) -> &'static str {
        "extendedTextMessage"
    }

    fn message(&self) -> Value {
        let preview = self.preview();
        object([
            ("text", self.text.clone().into()),
            ("matchedText", preview.map(|(link, _)| link).into()),
            ("title", preview.map(|(_, preview)| preview.title.clone()).into()),
            (
                "description",
                preview
                    .and_then(|(_, preview)| preview.description.clone())
                    .into(),
            ),
        ])
    }

    fn check(&self) -> Result<(), JobError> {
        check_text("text", &self.text, TEXT_MAX_BYTES)?;
        self.link_preview.check(&self.text)
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.text(format_args!("text"), &mut self.text);
        self.link_preview.texts(texts);
    }

    fn link(&self) -> Option<&str> {
        // What stands in the text for a variable is another page for each.
        let is_one = |link: &&str| {
            !self.text[self.text.find(*link).unwrap_or_default() + link.len()..].starts_with("{{")
        };
        match self.link_preview {
            LinkPreview::Fetched => first_link(&self.text).filter(is_one),
            LinkPreview::Off | LinkPreview::Given(_) => None,
        }
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
            "message.typo: is not known here; known are `text` or `linkPreview`",
        ),
        (
            r#"{"type":"text","text":"https://example.com","linkPreview":"yes"}"#,
            "message.linkPreview: must be a boolean or a JSON object",
        ),
        (
            r#"{"type":"text","text":"no link","linkPreview":{"title":"Shop"}}"#,
            "message.linkPreview: needs a link in the text, which begins with http:// or https://",
        ),
        (
            r#"{"type":"text","text":"https://example.com","linkPreview":{"title":"Shop","url":"https://example.org"}}"#,
            "message.linkPreview.url: must stand in the text",
        ),
        (
            r#"{"type":"text","text":"https://example.com","linkPreview":{"description":"?"}}"#,
            "message.linkPreview.title: is required",
        ),
        (
            r#"{"type":"text","text":"https://example.com","linkPreview":{"title":"Shop","thumbnail":"AA=="}}"#,
            "message.linkPreview.thumbnail: must be a JPEG of at most 65536 bytes, in base64",
        ),
    ],
};
