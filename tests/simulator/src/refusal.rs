//! Why a request is not done, in words that name the field at fault.

use thiserror::Error;

/// A request that is not done, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct Refusal {
    /// HTTP status of the answer.
    pub status: u16,
    /// The field at fault; empty if none is.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Refusal {
    /// The field's value is not valid.
    pub fn bad(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            status: 422,
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// The field names something that does not exist.
    pub fn unknown(field: impl Into<String>) -> Self {
        Self {
            status: 404,
            field: field.into(),
            problem: "does not exist".into(),
        }
    }

    /// It can't be done as things are.
    pub fn conflict(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            status: 409,
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// The simulator is not there.
    pub fn unavailable(problem: impl Into<String>) -> Self {
        Self {
            status: 503,
            field: String::new(),
            problem: problem.into(),
        }
    }
}
