//! What a message says: a file per kind with its fields, their limits and what events show of it.
//!
//! A content is stored with its queue and goes into the fingerprint of its job, so the JSON of a kind never changes
//! but for fields that are added and left out where they are empty. How a kind looks on the wire to WhatsApp is the
//! worker's to know.

mod audio;
mod contact;
mod document;
mod image;
mod kind;
mod location;
mod media;
mod sticker;
mod text;
mod video;
mod words;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use kind::Kind;
pub use media::{INLINE_MAX_BYTES, Media, Otherwise, Source};
pub use text::TEXT_MAX_BYTES;

use crate::job::{JobError, from_fields};

/// Declares [`Content`] from the names that `type` takes and the kinds they stand for.
macro_rules! kinds {
    ($($name:literal => $module:ident::$Kind:ident,)+) => {
        $(pub use $module::$Kind;)+

        /// What a message says.
        #[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "type")]
        #[allow(missing_docs, reason = "each kind says what it is")]
        pub enum Content {
            $(#[serde(rename = $name)] $Kind($Kind),)+
        }

        /// What `type` takes.
        const NAMES: &[&str] = &[$($name),+];

        impl Content {
            fn kind(&self) -> &dyn Kind {
                match self { $(Self::$Kind(kind) => kind,)+ }
            }

            fn read(name: &str, fields: Map<String, Value>) -> Result<Self, JobError> {
                match name {
                    $($name => from_fields(fields).map(Self::$Kind),)+
                    _ => Err(JobError::new("type", format!("must be {}", one_of(NAMES)))),
                }
            }
        }

        $(impl From<$Kind> for Content {
            fn from(kind: $Kind) -> Self {
                Self::$Kind(kind)
            }
        })+

        #[cfg(test)]
        const SAMPLES: &[kind::Sample] = &[$($module::SAMPLE),+];
    };
}

kinds! {
    "text" => text::Text,
    "location" => location::Location,
    "contact" => contact::Contact,
    "image" => image::Image,
    "video" => video::Video,
    "audio" => audio::Audio,
    "document" => document::Document,
    "sticker" => sticker::Sticker,
}

impl Content {
    /// Reads and checks a content that callers wrote.
    ///
    /// # Errors
    /// [`JobError`], which names the field: `type`, or one of the kind's.
    pub(crate) fn parse(mut fields: Map<String, Value>) -> Result<Self, JobError> {
        let content = match fields.remove("type") {
            Some(Value::String(name)) => Self::read(&name, fields)?,
            Some(_) => return Err(JobError::new("type", "must be a string")),
            None => return Err(JobError::new("type", "is required")),
        };
        content.kind().check()?;
        Ok(content)
    }

    /// The protocol's name of the kind, as events show it: `extendedTextMessage`…
    pub fn message_type(&self) -> &'static str {
        self.kind().message_type()
    }

    /// The kind's fields in the protocol's words, as events show them.
    pub fn message(&self) -> Value {
        self.kind().message()
    }

    /// The file that it carries, if it carries one.
    pub fn media(&self) -> Option<&Media> {
        self.kind().media()
    }
}

impl fmt::Debug for Content {
    /// Bodies are never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({})", self.message_type())
    }
}

/// `a`, or `one of a, b`.
fn one_of(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [only] => only.clone(),
        many => format!("one of {}", many.join(", ")),
    }
}

#[cfg(test)]
mod tests;
