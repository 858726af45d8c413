//! A moment, as callers write it.

use schemars::JsonSchema;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::unix_millis;

/// A moment: ISO 8601 with its offset, or milliseconds since 1970.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "must be a time with its offset, or milliseconds since 1970"
)]
pub(crate) enum Moment {
    /// Milliseconds since 1970.
    Millis(i64),
    /// Such as `2026-12-24T09:00:00+01:00`.
    Text(String),
}

impl Moment {
    /// The time that it names, to the millisecond.
    ///
    /// # Errors
    /// What is wrong, to be read behind the field's name.
    pub(crate) fn time(self) -> Result<OffsetDateTime, &'static str> {
        let millis = match self {
            Self::Millis(millis) => millis,
            Self::Text(text) => unix_millis(OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| BAD)?),
        };
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).map_err(|_| BAD)
    }
}

const BAD: &str =
    "must be a time with its offset, such as 2026-12-24T09:00:00+01:00, or milliseconds since 1970";
