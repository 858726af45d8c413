//! Questions to WhatsApp that are answered, about one number and about some.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{self, JobError};
use crate::id::StanzaId;
use crate::recipient::{Number, deserialize_phone};

/// A question whether a number is on WhatsApp.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IsExistsJob {
    /// The number asked for; a phone number.
    #[serde(deserialize_with = "deserialize_phone")]
    pub number: Number,
}

/// Most numbers of one request. Each counts as one look-up of the session.
pub const NUMBERS_MAX: usize = 50;

/// Numbers that are looked up, blocked or unblocked.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NumbersJob {
    /// The numbers; phone numbers, at most 50.
    #[schemars(length(min = 1, max = 50))]
    pub numbers: Vec<Phone>,
}

/// A number that is a phone number.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Phone(#[serde(deserialize_with = "deserialize_phone")] pub Number);

impl NumbersJob {
    /// Parses a body.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, JobError> {
        let job: Self = body::parse(body)?;
        if job.numbers.is_empty() || job.numbers.len() > NUMBERS_MAX {
            let problem = format!("must name 1 to {NUMBERS_MAX} numbers; ask for more in further requests");
            return Err(JobError::new("numbers", problem));
        }
        Ok(job)
    }

    /// The numbers, each once, in the order of their first naming.
    pub fn distinct(&self) -> Vec<Number> {
        let mut seen = std::collections::HashSet::new();
        let numbers = self.numbers.iter().map(|Phone(number)| number);
        numbers.filter(|number| seen.insert(*number)).cloned().collect()
    }
}

/// A call that rings.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallJob {
    /// Its id, as its events tell it.
    pub call_id: StanzaId,
}

/// A message with a file that came in, and is gone from the media hosts.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MediaRefreshJob {
    /// The id of the message.
    pub message_id: StanzaId,
}
