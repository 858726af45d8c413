//! The limits that the texts of all kinds have in common.

use crate::body::JobError;

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
