//! Commands on a queue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::QueueId;

/// A command on one queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueCommand {
    /// The queue.
    pub queue_id: QueueId,
}
