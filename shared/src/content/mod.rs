//! What a message says: a file per kind with its fields, their limits and what events show of it.
//!
//! A content is stored with its queue and goes into the fingerprint of its job, so the JSON of a kind never changes
//! but for fields that are added and left out where they are empty. How a kind looks on the wire to WhatsApp is the
//! worker's to know.
//!
//! What goes with any kind (who is mentioned, what is quoted, that it is forwarded) is in [`References`], once for all.

mod audio;
mod buttons;
mod choices;
mod contact;
mod contacts;
mod delete;
mod document;
mod edit;
mod event;
mod form;
mod header;
mod image;
mod key;
mod kind;
mod link_preview;
mod list;
mod live_location;
mod location;
mod media;
mod person;
mod personal;
mod placeholders;
mod poll;
mod reaction;
mod references;
mod sticker;
mod template;
mod text;
mod texts;
mod thumbnail;
mod variables;
mod video;
mod vote;
mod words;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

pub use buttons::ReplyButton;
pub use choices::{FlowButton, Interactive, Shape};
pub use form::{Fallback, Form, SentForm};
pub use header::{Above, Header, HeaderKind};
pub use key::MessageKey;
use kind::Kind;
pub use link_preview::{LinkPreview, PagePreview};
pub use list::{ListRow, Section};
pub use media::{INLINE_MAX_BYTES, Media, Otherwise, Source};
pub use person::Person;
pub(crate) use personal::{Personal, Unfit};
pub use references::{Quote, References};
pub use template::{Action, TemplateButton};
pub use text::TEXT_MAX_BYTES;
pub use variables::{VARIABLES_MAX, VARIABLES_MAX_BYTES, Variables};

use crate::body::{JobError, from_fields};

/// Declares [`Body`] from the names that `type` takes and the kinds they stand for.
macro_rules! kinds {
    ($($name:literal => $module:ident::$Kind:ident,)+) => {
        $(pub use $module::$Kind;)+

        /// What a message says, by its kind.
        #[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "type")]
        #[allow(missing_docs, reason = "each kind says what it is")]
        pub enum Body {
            $(#[serde(rename = $name)] $Kind($Kind),)+
        }

        /// What `type` takes.
        const NAMES: &[&str] = &[$($name),+];

        impl Body {
            fn kind(&self) -> &dyn Kind {
                match self { $(Self::$Kind(kind) => kind,)+ }
            }

            fn kind_mut(&mut self) -> &mut dyn Kind {
                match self { $(Self::$Kind(kind) => kind,)+ }
            }

            /// What `type` says.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$Kind(_) => $name,)+ }
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
                let (body, references) = (Body::$Kind(kind), References::default());
                Self { body, references }
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
    "contacts" => contacts::Contacts,
    "image" => image::Image,
    "video" => video::Video,
    "audio" => audio::Audio,
    "document" => document::Document,
    "sticker" => sticker::Sticker,
    "liveLocation" => live_location::LiveLocation,
    "event" => event::EventInvitation,
    "poll" => poll::Poll,
    "reaction" => reaction::Reaction,
    "edit" => edit::Edit,
    "delete" => delete::Delete,
    "buttons" => buttons::Buttons,
    "template" => template::Template,
    "list" => list::List,
    "vote" => vote::Vote,
}

/// What a message says: a kind, and what goes with any.
#[derive(Clone, PartialEq, Serialize)]
pub struct Content {
    /// The kind.
    #[serde(flatten)]
    pub body: Body,
    /// What goes with it.
    #[serde(flatten)]
    pub references: References,
}

impl Content {
    /// Reads and checks a content that callers wrote.
    ///
    /// # Errors
    /// [`JobError`], which names the field: `type`, one of the kind's, or one of what goes with it.
    pub(crate) fn parse(fields: Map<String, Value>) -> Result<Self, JobError> {
        let content = Self::read(fields)?;
        content.check()?;
        Ok(content)
    }

    fn check(&self) -> Result<(), JobError> {
        self.body.kind().check()?;
        self.references.check()?;
        match self.references.first_given() {
            Some(field) if self.is_bare() => {
                let name = self.body.name();
                Err(JobError::new(field, format!("can't go with a `{name}`")))
            }
            _ => Ok(()),
        }
    }

    fn read(mut fields: Map<String, Value>) -> Result<Self, JobError> {
        let references = References::taken_from(&mut fields)?;
        let body = match fields.remove("type") {
            Some(Value::String(name)) => Body::read(&name, fields)?,
            Some(_) => return Err(JobError::new("type", "must be a string")),
            None => return Err(JobError::new("type", "is required")),
        };
        Ok(Self { body, references })
    }

    /// Whether the kind has no place for what goes with others.
    fn is_bare(&self) -> bool {
        BARE.contains(&self.body.name())
    }

    /// The message that it is about, if it is about one: then it goes to one recipient, that one's chat.
    pub fn subject(&self) -> Option<&MessageKey> {
        self.body.kind().subject()
    }

    /// In which form it goes out, if the kind has several.
    pub fn form(&self) -> Option<SentForm> {
        self.body.kind().form()
    }

    /// The file that it carries, if it carries one.
    pub fn media(&self) -> Option<&Media> {
        self.body.kind().media()
    }

    /// The page of which something is to be found out, to be shown with it.
    pub fn link(&self) -> Option<&str> {
        self.body.kind().link()
    }

    /// The vote that it is, if it is one: it is sealed for its poll before it is sent.
    pub fn vote(&self) -> Option<&Vote> {
        match &self.body {
            Body::Vote(vote) => Some(vote),
            _ => None,
        }
    }

    /// Where the file is among its fields.
    pub fn media_field(&self) -> &'static str {
        self.body.kind().media_field()
    }

    /// The protocol's name of the kind, as events show it: `extendedTextMessage`…
    pub fn message_type(&self) -> &'static str {
        self.body.kind().message_type()
    }

    /// The kind's fields in the protocol's words, as events show them.
    pub fn message(&self) -> Value {
        let mut shown = self.body.kind().message();
        if let (Some(context), Value::Object(fields)) = (self.references.shown(), &mut shown) {
            fields.insert("contextInfo".to_owned(), context);
        }
        shown
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(Map::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Content {
    fn schema_name() -> Cow<'static, str> {
        "Content".into()
    }

    /// Each kind with what goes with it: a schema that allows no other fields can't be put together of two.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Body::json_schema(generator);
        schema.insert("description".to_owned(), "What a message says.".into());
        let common = References::json_schema(generator);
        let common = common.get("properties").and_then(Value::as_object);
        let kinds = schema.get_mut("oneOf").and_then(Value::as_array_mut);
        for kind in kinds.into_iter().flatten() {
            let name = kind["properties"]["type"]["const"].as_str();
            if name.is_some_and(|name| BARE.contains(&name)) {
                continue;
            }
            if let Some(fields) = kind["properties"].as_object_mut() {
                fields.extend(
                    common
                        .into_iter()
                        .flatten()
                        .map(|(name, field)| (name.clone(), field.clone())),
                );
            }
        }
        schema
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

/// Kinds that nothing goes with: the protocol has no place for it.
const BARE: &[&str] = &["reaction", "delete", "vote"];

#[cfg(test)]
mod tests;
