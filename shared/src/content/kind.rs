//! What every kind of content must tell of itself, and the limits that kinds have in common.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::form::SentForm;
use super::key::MessageKey;
use super::media::Media;
pub(super) use super::texts::Texts;
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

    /// Goes through its texts: all that may differ from recipient to recipient. Not what says which message, person, place
    /// or file it is.
    fn texts(&mut self, texts: &mut Texts<'_>);

    /// The message that it is about, if it is about one: it goes to that one's chat alone.
    fn subject(&self) -> Option<&MessageKey> {
        None
    }

    /// In which form it goes out, if there are several.
    fn form(&self) -> Option<SentForm> {
        None
    }

    /// The file that it carries, if it carries one.
    fn media(&self) -> Option<&Media> {
        None
    }

    /// The page of which something is to be found out, to be shown with it.
    fn link(&self) -> Option<&str> {
        None
    }

    /// Where the file is among its fields.
    fn media_field(&self) -> &'static str {
        "media"
    }

    /// The same, to be changed.
    fn media_mut(&mut self) -> Option<&mut Media> {
        None
    }
}

/// Checks a text that may be absent.
pub(super) fn check_some(field: &str, text: Option<&str>, max_bytes: usize) -> Result<(), JobError> {
    text.map_or(Ok(()), |text| check_text(field, text, max_bytes))
}

/// Checks that a list has `range` entries.
pub(super) fn check_count(field: &str, count: usize, range: RangeInclusive<usize>) -> Result<(), JobError> {
    if range.contains(&count) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(JobError::new(
        field,
        format!("must have {least} to {most} entries"),
    ))
}

/// Checks that no two entries are the same; `field` names the entry at a place.
pub(super) fn check_distinct<'a>(
    texts: impl Iterator<Item = &'a str>,
    field: impl Fn(usize) -> String,
) -> Result<(), JobError> {
    let mut seen = HashSet::new();
    for (at, text) in texts.enumerate() {
        if !seen.insert(text) {
            return Err(JobError::new(
                field(at),
                "is the same as that of an entry before it",
            ));
        }
    }
    Ok(())
}

/// An object of those fields that are there.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let there = fields.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(
        there
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>(),
    )
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
