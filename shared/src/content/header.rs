//! What stands above the text of buttons and templates: a picture, a film or a file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::form::SentForm;
use super::kind::{Texts, check_some, object};
use super::media::{Known, Media, NAME_MAX_BYTES};
use crate::body::JobError;

/// A picture, a film or a file above the text.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Header {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: HeaderKind,
    /// The file.
    pub media: Media,
    /// What a document is called, 1 to 255 bytes; else by the last part of its URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
}

/// What stands above a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HeaderKind {
    /// A picture.
    Image,
    /// A film.
    Video,
    /// A file of any type.
    Document,
}

/// What stands above a text, without its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Above {
    /// What it is.
    pub kind: HeaderKind,
    /// What a document is called.
    pub name: Option<String>,
    /// The text below it, where it is said twice.
    pub caption: Option<String>,
}

impl Header {
    /// It without its file, for a form that says the text here too.
    pub fn above(&self, caption: Option<&str>) -> Above {
        let name = || self.media.name(self.file_name.as_deref()).to_owned();
        let is_document = self.kind == HeaderKind::Document;
        Above {
            kind: self.kind,
            name: is_document.then(name),
            caption: caption.filter(|_| !is_document).map(str::to_owned),
        }
    }

    /// Checks it, and that it can stand there with this `title` in this form.
    pub(super) fn check(&self, title: Option<&str>, form: SentForm) -> Result<(), JobError> {
        self.media.check(MEDIA_FIELD)?;
        let places: &[Known] = match self.kind {
            HeaderKind::Image => &[Known::Size, Known::Thumbnail],
            HeaderKind::Video => &[Known::Size, Known::Seconds, Known::Thumbnail],
            HeaderKind::Document => &[Known::Thumbnail],
        };
        self.media.check_known(MEDIA_FIELD, places)?;
        check_some("header.fileName", self.file_name.as_deref(), NAME_MAX_BYTES)?;
        match form {
            _ if self.kind != HeaderKind::Document && self.file_name.is_some() => Err(JobError::new(
                "header.fileName",
                "can be given for a `document` only",
            )),
            SentForm::Text => Err(JobError::new("header", "can't go with `fallback`")),
            SentForm::Legacy if title.is_some() => Err(JobError::new(
                "title",
                "can't go with `header` in the form `legacy`",
            )),
            SentForm::Legacy | SentForm::NativeFlow => Ok(()),
        }
    }

    pub(super) fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.some(format_args!("header.fileName"), &mut self.file_name);
    }
}

impl HeaderKind {
    /// As the older message of buttons says it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Image => "IMAGE",
            Self::Video => "VIDEO",
            Self::Document => "DOCUMENT",
        }
    }
}

impl Above {
    /// Its name in the protocol.
    pub fn message_type(&self) -> &'static str {
        match self.kind {
            HeaderKind::Image => "imageMessage",
            HeaderKind::Video => "videoMessage",
            HeaderKind::Document => "documentMessage",
        }
    }

    /// As events show it.
    pub(super) fn shown(&self) -> Value {
        object([
            ("title", self.name.clone().into()),
            ("fileName", self.name.clone().into()),
            ("caption", self.caption.clone().into()),
        ])
    }
}

/// A message as events show it, with what stands above it.
pub(super) fn shown<const N: usize>(above: Option<(&str, Value)>, fields: [(&str, Value); N]) -> Value {
    let mut shown = object(fields);
    if let (Some((name, value)), Some(fields)) = (above, shown.as_object_mut()) {
        fields.insert(name.to_owned(), value);
    }
    shown
}

/// Where the file of a header is, among the fields of a message.
pub(super) const MEDIA_FIELD: &str = "header.media";
