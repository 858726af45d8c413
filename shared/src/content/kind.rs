//! What every kind of content must tell of itself, and the limits that kinds have in common.

use serde_json::Value;

use super::media::Media;
pub(super) use super::words::check_text;
use crate::body::JobError;

/// A kind of content.
pub(super) trait Kind {
    /// The protocol's name of the kind, as events show it.
    fn message_type(&self) -> &'static str;

    /// Its fields in the protocol's words, as events show them.
    fn message(&self) -> Value;

    /// Checks its limits; the error names the field.
    fn check(&self) -> Result<(), JobError>;

    /// The file that it carries, if it carries one.
    fn media(&self) -> Option<&Media> {
        None
    }
}

/// An object of those fields that are there.
pub(super) fn shown<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let there = fields.into_iter().filter(|(_, value)| !value.is_null());
    there.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// One content of a kind, and what must not change of it.
#[cfg(test)]
pub(super) struct Sample {
    /// As it is stored.
    pub(super) stored: &'static str,
    /// The fingerprint of a job that sends it.
    pub(super) fingerprint: &'static str,
    /// As events show it, under its name in the protocol.
    pub(super) shown: &'static str,
    /// Contents that are refused, and why.
    pub(super) refused: &'static [(&'static str, &'static str)],
}
