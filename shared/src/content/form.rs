//! In which form buttons and lists go out. WhatsApp has had several, and shows them unequally.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::JobError;

/// The form of buttons and lists on the wire.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Form {
    /// As an interactive message of the native flow: what phones show today.
    #[default]
    NativeFlow,
    /// As the message of its own that it once was.
    Legacy,
}

/// What is sent in place of buttons or a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Fallback {
    /// A text that numbers the choices: every device shows it.
    Text,
}

/// What went out for buttons or a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SentForm {
    /// An interactive message of the native flow.
    NativeFlow,
    /// The older message of its own.
    Legacy,
    /// A text that numbers the choices.
    Text,
}

impl SentForm {
    /// What the fields of a message come to.
    pub(super) fn of(form: Option<Form>, fallback: Option<Fallback>) -> Self {
        match (form.unwrap_or_default(), fallback) {
            (_, Some(Fallback::Text)) => Self::Text,
            (Form::NativeFlow, None) => Self::NativeFlow,
            (Form::Legacy, None) => Self::Legacy,
        }
    }

    /// The form as text: `nativeFlow`, `legacy` or `text`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NativeFlow => "nativeFlow",
            Self::Legacy => "legacy",
            Self::Text => "text",
        }
    }
}

/// Checks that only one of the two is chosen.
pub(super) fn check(form: Option<Form>, fallback: Option<Fallback>) -> Result<(), JobError> {
    match (form, fallback) {
        (Some(_), Some(_)) => Err(JobError::new("fallback", "must not be given beside form")),
        _ => Ok(()),
    }
}
