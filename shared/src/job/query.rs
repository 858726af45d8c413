//! Questions to WhatsApp that are answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recipient::{Number, deserialize_phone};

/// A question whether a number is on WhatsApp.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IsExistsJob {
    /// The number asked for; a phone number.
    #[serde(deserialize_with = "deserialize_phone")]
    pub number: Number,
}
