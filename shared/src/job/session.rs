//! Jobs that concern the session itself: its start, stop and end, and what pairs it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{self, JobError};
use crate::recipient::{Number, deserialize_phone};

/// A request for a pairing code.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PairingCodeJob {
    /// The phone number of the account to pair with.
    #[serde(deserialize_with = "deserialize_phone")]
    pub phone: Number,
}

/// A request to log the session out at WhatsApp and keep it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogoutJob {
    /// What becomes of its queues that are not finished.
    #[serde(default)]
    pub queues: LogoutQueues,
}

/// What becomes of the queues of a session that logs out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogoutQueues {
    /// They wait until the session is paired again.
    #[default]
    Keep,
    /// They are deleted: what is not sent yet never is.
    Drop,
}

impl LogoutJob {
    /// Parses a body; none is that of the defaults.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, JobError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        body::parse(body)
    }
}
