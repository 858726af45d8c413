//! What every kind of content must tell of itself, and the limits that kinds have in common.

use serde_json::Value;

use crate::body::JobError;

/// A kind of content.
pub(super) trait Kind {
    /// The protocol's name of the kind, as events show it.
    fn message_type(&self) -> &'static str;

    /// Its fields in the protocol's words, as events show them.
    fn message(&self) -> Value;

    /// Checks its limits; the error names the field.
    fn check(&self) -> Result<(), JobError>;
}

/// Checks that a text of a message can be stored and shown, and has 1 to `max_bytes` bytes.
pub(super) fn check_text(field: &str, text: &str, max_bytes: usize) -> Result<(), JobError> {
    let problem = if text.is_empty() {
        "must not be empty".to_owned()
    } else if text.len() > max_bytes {
        format!("must be at most {max_bytes} bytes")
    } else if text.contains('\0') {
        // A database text can't hold it, and no client shows it.
        "must not contain the character U+0000".to_owned()
    } else {
        return Ok(());
    };
    Err(JobError::new(field, problem))
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
