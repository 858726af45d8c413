//! When a queue starts, as callers write it.

use schemars::JsonSchema;
use serde::{Deserialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::body::JobError;
use crate::clock::unix_millis;

/// A moment: ISO 8601 with its offset, or milliseconds since 1970.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "must be a time with its offset, or milliseconds since 1970"
)]
pub(super) enum Moment {
    /// Milliseconds since 1970.
    Millis(i64),
    /// Such as `2026-12-24T09:00:00+01:00`.
    Text(String),
}

impl TryFrom<Moment> for OffsetDateTime {
    type Error = JobError;

    fn try_from(moment: Moment) -> Result<Self, JobError> {
        let bad = || {
            JobError::new(
                "startAt",
                "must be a time with its offset, such as 2026-12-24T09:00:00+01:00, or milliseconds since 1970",
            )
        };
        let millis = match moment {
            Moment::Millis(millis) => millis,
            Moment::Text(text) => unix_millis(OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| bad())?),
        };
        Self::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).map_err(|_| bad())
    }
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
