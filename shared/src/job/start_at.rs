//! When a queue starts, as callers write it.

use serde::Serializer;
use time::OffsetDateTime;

use crate::body::{JobError, Moment};
use crate::clock::unix_millis;

/// Reads the moment under `startAt`.
pub(super) fn read(moment: Moment) -> Result<OffsetDateTime, JobError> {
    moment.time().map_err(|problem| JobError::new("startAt", problem))
}

/// Writes a moment as milliseconds since 1970, as jobs and events have it.
pub(super) fn as_millis<S: Serializer>(
    at: &Option<OffsetDateTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.serialize_i64(unix_millis(*at)),
        None => serializer.serialize_none(),
    }
}
