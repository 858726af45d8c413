//! Jobs on their way: from their delivery to its settlement and the answer.
//!
//! Must not know what a shard or a session does with them.

pub(crate) mod outcome;
pub(crate) mod pending;
pub(crate) mod settlement;
