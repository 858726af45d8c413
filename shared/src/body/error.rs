//! Why a body is not a job. Never repeats a value, which can be a number or a text.

use serde::Serialize;

/// Why a body is not a job: which field, and what is wrong with it. Never repeats the field's value.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct JobError {
    /// What kind of mistake it is, for programs.
    #[serde(skip)]
    pub kind: JobErrorKind,
    /// The field as the caller wrote it (`numbers[3]`, `delay.min`), `body` for the whole, `type` for the kind.
    pub field: String,
    /// What is wrong, to be read behind the field's name.
    pub problem: String,
}

/// Kinds of mistakes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum JobErrorKind {
    /// A field is missing, unknown, or has a value that can't be used.
    #[default]
    Form,
    /// More than `RECIPIENTS_MAX` recipients.
    TooManyRecipients,
}

impl JobError {
    /// Makes an error of one field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            kind: JobErrorKind::Form,
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// The same error, of a field that lies within `outer`.
    #[must_use]
    pub(crate) fn within(self, outer: &str) -> Self {
        Self {
            field: format!("{outer}.{}", self.field),
            ..self
        }
    }
}
