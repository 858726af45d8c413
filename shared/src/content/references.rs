//! What goes with a message of any kind: who is mentioned, what is quoted, that it is forwarded.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::key::MessageKey;
use super::kind::{Texts, check_text};
use super::person::Person;
use crate::body::{JobError, from_fields};

/// Most people that one message mentions.
const MENTIONS_MAX: usize = 1_024;
/// Most bytes of a quoted text.
const QUOTED_MAX_BYTES: usize = 65_536;

/// What goes with a message of any kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct References {
    /// Who is mentioned, at most 1,024. The text names each by an `@` and what stands before the `@` of its jid, such as
    /// `@5531900000000`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Person>,
    /// The message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// Marks it as forwarded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
}

/// The message that another one answers.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// Its name; its `remoteJid` is given where it is in another chat.
    pub key: MessageKey,
    /// What it said, 1 to 65,536 bytes: shown above the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl fmt::Debug for Quote {
    /// Bodies are never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quote({:?})", self.key.id)
    }
}

impl References {
    /// Takes its fields out of those of a message.
    ///
    /// # Errors
    /// [`JobError`], which names the one that is wrong.
    pub(super) fn taken_from(fields: &mut Map<String, Value>) -> Result<Self, JobError> {
        if !FIELDS.iter().any(|name| fields.contains_key(*name)) {
            return Ok(Self::default());
        }
        let taken = FIELDS.iter().filter_map(|name| fields.remove_entry(*name));
        // Null is as good as absent, as for the fields of kinds.
        from_fields(taken.filter(|(_, value)| !value.is_null()).collect())
    }

    pub(super) fn check(&self) -> Result<(), JobError> {
        if self.mentions.len() > MENTIONS_MAX {
            return Err(JobError::new(
                "mentions",
                format!("must name at most {MENTIONS_MAX} people"),
            ));
        }
        for (at, person) in self.mentions.iter().enumerate() {
            person.check(&format!("mentions[{at}]"))?;
        }
        let Some(quote) = &self.quote else {
            return Ok(());
        };
        quote.key.check("quote.key")?;
        match &quote.text {
            Some(text) => check_text("quote.text", text, QUOTED_MAX_BYTES),
            None => Ok(()),
        }
    }

    /// Goes through its texts.
    pub(super) fn texts(&mut self, texts: &mut Texts<'_>) {
        if let Some(quote) = &mut self.quote {
            texts.some(format_args!("quote.text"), &mut quote.text);
        }
    }

    /// The first field of these that is given.
    pub(super) fn first_given(&self) -> Option<&'static str> {
        let given = [!self.mentions.is_empty(), self.quote.is_some(), self.forwarded];
        let given = FIELDS.iter().zip(given).find(|(_, given)| *given);
        given.map(|(name, _)| *name)
    }

    /// As events show it, in the protocol's words; `None` if there is nothing.
    pub(super) fn shown(&self) -> Option<Value> {
        self.first_given()?;
        let mut shown = json!({});
        if let Some(quote) = &self.quote {
            shown["stanzaId"] = quote.key.id.as_str().into();
            if let Some(author) = &quote.key.participant {
                shown["participant"] = author.jid().into();
            }
            if let Some(text) = &quote.text {
                shown["quotedMessage"] = json!({ "conversation": text });
            }
        }
        if !self.mentions.is_empty() {
            let jids: Vec<String> = self.mentions.iter().map(Person::jid).collect();
            shown["mentionedJid"] = jids.into();
        }
        if self.forwarded {
            shown["isForwarded"] = true.into();
        }
        Some(shown)
    }
}

/// In the order of the struct.
const FIELDS: [&str; 3] = ["mentions", "quote", "forwarded"];
