//! A small picture that a message carries, given in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::body::JobError;

/// Most bytes of one, decoded: every recipient's message carries it.
const MAX_BYTES: usize = 65_536;

/// Its bytes, if it can be read.
pub(super) fn jpeg(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Checks that it begins as a JPEG does, and is small; `field` is where it lies.
pub(super) fn check(field: &str, text: Option<&str>) -> Result<(), JobError> {
    let is_fit = |jpeg: Vec<u8>| jpeg.starts_with(&[0xff, 0xd8, 0xff]) && jpeg.len() <= MAX_BYTES;
    match text {
        Some(text) if !jpeg(text).is_some_and(is_fit) => Err(JobError::new(
            field,
            format!("must be a JPEG of at most {MAX_BYTES} bytes, in base64"),
        )),
        _ => Ok(()),
    }
}
