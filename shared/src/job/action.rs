//! Jobs whose body names an action: which fields go with it.

use crate::body::JobError;

/// Checks that all fields are there that `action` needs, and none but those that it needs or may have. `given` says of
/// each field of the body whether it is there.
///
/// # Errors
/// [`JobError`], which names the field.
pub(super) fn check_fields(
    action: &str,
    [needs, may]: [&[&str]; 2],
    given: &[(&'static str, bool)],
) -> Result<(), JobError> {
    for &(field, is_there) in given {
        let is_needed = needs.contains(&field);
        if is_needed && !is_there {
            return Err(JobError::new(field, format!("is needed to {action}")));
        }
        if is_there && !is_needed && !may.contains(&field) {
            return Err(JobError::new(field, format!("is not a field of {action}")));
        }
    }
    Ok(())
}
