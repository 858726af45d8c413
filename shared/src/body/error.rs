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
    /// What else is wrong, where several things are told at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<JobError>,
    /// How many mistakes more there are than are named.
    #[serde(skip)]
    pub unnamed: u32,
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
            others: Vec::new(),
            unnamed: 0,
        }
    }

    /// All of it in one sentence, as far as it fits: the first few mistakes, and how many more there are.
    pub fn in_words(&self) -> String {
        let mut words = format!("{} {}", self.field, self.problem);
        for other in self.others.iter().take(IN_WORDS_MAX) {
            words = format!("{words}; {} {}", other.field, other.problem);
        }
        let more = self.others.len().saturating_sub(IN_WORDS_MAX)
            + usize::try_from(self.unnamed).unwrap_or(usize::MAX);
        if more > 0 {
            words = format!("{words}; and {more} more");
        }
        words
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

/// Further mistakes that are told in one sentence with the first.
const IN_WORDS_MAX: usize = 9;
