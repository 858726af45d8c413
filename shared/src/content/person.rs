//! Somebody that a message names.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::body::JobError;
use crate::recipient::{Number, NumberKind};

/// Somebody that a message names, by phone number or hidden id.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Person(Number);

impl Person {
    /// The full jid.
    pub fn jid(&self) -> String {
        self.0.jid()
    }

    /// Checks what is only read back where it is stored: that the number is possible.
    pub(super) fn check(&self, field: &str) -> Result<(), JobError> {
        let number = Number::new(&self.0.as_text());
        number
            .map(|_| ())
            .map_err(|error| JobError::new(field, error.to_string()))
    }
}

impl<'de> Deserialize<'de> for Person {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        // What was taken once is read back, whatever is thought possible later.
        let number = Number::new(&text).or_else(|error| Number::stored(&text).map_err(|_| error));
        let number = number.map_err(de::Error::custom)?;
        if number.kind() == NumberKind::Group {
            return Err(de::Error::custom("must be a person, not a group"));
        }
        Ok(Self(number))
    }
}

impl JsonSchema for Person {
    fn schema_name() -> Cow<'static, str> {
        "Person".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "somebody: a phone number with its country code, or a full jid (@s.whatsapp.net, @lid)",
            "examples": ["5531900000000", "98765@lid"]
        })
    }
}
