//! Jobs that concern the session itself: its start, stop and end, and what pairs it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recipient::{Number, deserialize_phone};

/// A request for a pairing code.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PairingCodeJob {
    /// The phone number of the account to pair with.
    #[serde(deserialize_with = "deserialize_phone")]
    pub phone: Number,
}
