//! What is shown of the page that a text links to: found out by the worker, given by the caller, or nothing.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::kind::{Texts, check_some, check_text};
use super::thumbnail;
use crate::body::JobError;

/// Most bytes of a title.
const TITLE_MAX_BYTES: usize = 1_024;
/// Most bytes of a description.
const DESCRIPTION_MAX_BYTES: usize = 4_096;

/// Whether a text shows something of the page that it links to, and what.
#[derive(Clone, Default, PartialEq)]
pub enum LinkPreview {
    /// Nothing.
    #[default]
    Off,
    /// What the page says of itself. It is asked for that once for all recipients; without an answer nothing is shown.
    Fetched,
    /// This.
    Given(PagePreview),
}

/// What is shown of a page.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PagePreview {
    /// The link, as it stands in the text; the first one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the page is called, 1 to 1,024 bytes.
    pub title: String,
    /// What it says, 1 to 4,096 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A small JPEG in base64, at most 65,536 bytes decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<String>,
}

impl LinkPreview {
    pub(super) fn is_off(&self) -> bool {
        *self == Self::Off
    }

    /// Checks what is given for a text with this first link.
    pub(super) fn check(&self, text: &str) -> Result<(), JobError> {
        match self {
            Self::Off | Self::Fetched => Ok(()),
            Self::Given(preview) => preview.check(text),
        }
    }

    pub(super) fn texts(&mut self, texts: &mut Texts<'_>) {
        if let Self::Given(preview) = self {
            texts.some(format_args!("linkPreview.url"), &mut preview.url);
            texts.text(format_args!("linkPreview.title"), &mut preview.title);
            texts.some(format_args!("linkPreview.description"), &mut preview.description);
        }
    }
}

impl PagePreview {
    fn check(&self, text: &str) -> Result<(), JobError> {
        check_text("linkPreview.title", &self.title, TITLE_MAX_BYTES)?;
        let description = self.description.as_deref();
        check_some("linkPreview.description", description, DESCRIPTION_MAX_BYTES)?;
        match &self.url {
            Some(url) if url.is_empty() || !text.contains(url.as_str()) => {
                return Err(JobError::new("linkPreview.url", "must stand in the text"));
            }
            None if first_link(text).is_none() => {
                return Err(JobError::new(
                    "linkPreview",
                    "needs a link in the text, which begins with http:// or https://",
                ));
            }
            _ => {}
        }
        thumbnail::check("linkPreview.thumbnail", self.thumbnail.as_deref())
    }

    /// The small picture.
    pub fn jpeg(&self) -> Option<Vec<u8>> {
        thumbnail::jpeg(self.thumbnail.as_deref()?)
    }
}

/// The first address in a text.
pub(super) fn first_link(text: &str) -> Option<&str> {
    let begin = ["http://", "https://"]
        .into_iter()
        .filter_map(|scheme| text.find(scheme))
        .min()?;
    let link = text[begin..].split(|char: char| char.is_whitespace() || "<>\"`{}|\\^".contains(char));
    let link = link
        .into_iter()
        .next()?
        .trim_end_matches(|char| ".,;:!?'*_~)]".contains(char));
    let (_, host) = link.split_once("://")?;
    (!host.is_empty()).then_some(link)
}

impl Serialize for LinkPreview {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_bool(false),
            Self::Fetched => serializer.serialize_bool(true),
            Self::Given(preview) => preview.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for LinkPreview {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = LinkPreview;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a boolean or a JSON object")
            }

            fn visit_bool<E>(self, is_wanted: bool) -> Result<LinkPreview, E> {
                Ok(if is_wanted {
                    LinkPreview::Fetched
                } else {
                    LinkPreview::Off
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<LinkPreview, A::Error> {
                PagePreview::deserialize(MapAccessDeserializer::new(fields)).map(LinkPreview::Given)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for LinkPreview {
    fn schema_name() -> Cow<'static, str> {
        "LinkPreview".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let given = generator.subschema_for::<PagePreview>();
        schemars::json_schema!({
            "description": "Whether something is shown of the first page that the text links to. `true`: what the page says \
                            of itself; it is asked once for all recipients, and nothing is shown where it does not answer in \
                            time. Or what is to be shown.",
            "anyOf": [{ "type": "boolean" }, given],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_of_a_text_is_its_link() {
        for (text, link) in [
            (
                "See https://example.com/a?b=1, or not",
                Some("https://example.com/a?b=1"),
            ),
            ("(http://example.com/x).", Some("http://example.com/x")),
            (
                "*https://example.com* https://example.org",
                Some("https://example.com"),
            ),
            ("https://a.example https://b.example", Some("https://a.example")),
            ("https:// nothing", None),
            ("example.com", None),
            ("https://example.com/{{path}}", Some("https://example.com/")),
        ] {
            assert_eq!(first_link(text), link, "{text}");
        }
    }
}
