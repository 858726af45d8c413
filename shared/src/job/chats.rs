//! What is forgotten of what came in: a chat, or all that is kept of a person.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use super::group::Person;
use crate::recipient::{Number, NumberError};

/// A chat: with a person, of a group, or another thing that messages come in by (`status@broadcast`, `…@newsletter`).
#[derive(Clone, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ChatId(String);

impl ChatId {
    /// The jid.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ChatId {
    /// It is a number of somebody.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChatId(…)")
    }
}

impl FromStr for ChatId {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let other = text
            .split_once('@')
            .filter(|(_, server)| matches!(*server, "broadcast" | "newsletter"));
        if let Some((user, _)) = other {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            return match !user.is_empty() && user.len() <= USER_MAX && user.chars().all(is_plain) {
                true => Ok(Self(text.to_owned())),
                false => Err(NumberError::User),
            };
        }
        Number::new(text).map(|number| Self(number.jid()))
    }
}

/// Most characters before the `@` of what is neither a person nor a group.
const USER_MAX: usize = 64;

impl<'de> Deserialize<'de> for ChatId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for ChatId {
    fn schema_name() -> Cow<'static, str> {
        "ChatId".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "a chat: a phone number, or a jid (@s.whatsapp.net, @lid, @g.us, @broadcast, @newsletter)",
            "examples": ["5531900000000", "5531900000000@s.whatsapp.net", "1203630001@g.us"]
        })
    }
}

/// A chat that is to be forgotten.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatJob {
    /// Which.
    pub chat: ChatId,
}

/// A person of whom everything is to be forgotten.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PersonJob {
    /// Who: a phone number, or a jid (@s.whatsapp.net, @lid).
    pub person: Person,
}

/// How much was forgotten.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forgotten {
    /// Messages that came in, or were written on other devices of the account.
    pub messages: u64,
    /// Places of the person in queues that are finished. A queue of theirs alone is gone; others count nobody in their place.
    pub recipients: u64,
    /// Keys and names that sessions with their devices go by.
    pub records: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_named_by_number_or_jid() {
        for (text, jid) in [
            ("+55 31 90000-0000", "5531900000000@s.whatsapp.net"),
            ("98765@lid", "98765@lid"),
            ("1203630001@g.us", "1203630001@g.us"),
            ("status@broadcast", "status@broadcast"),
        ] {
            assert_eq!(text.parse::<ChatId>().unwrap().as_str(), jid);
        }
        for bad in ["", "Ana", "@broadcast", "a b@newsletter", "1@example.com"] {
            assert!(bad.parse::<ChatId>().is_err(), "{bad}");
        }
    }
}
