//! A poll.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kind::{Kind, Texts, check_count, check_distinct, check_text};
use crate::body::JobError;

/// Most options of a poll.
const OPTIONS_MAX: usize = 12;
/// Most bytes of the question.
const NAME_MAX_BYTES: usize = 1_024;
/// Most bytes of an option.
const OPTION_MAX_BYTES: usize = 400;

/// A poll.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Poll {
    /// The question, 1 to 1,024 bytes.
    pub name: String,
    /// 2 to 12 options of 1 to 400 bytes, no two of them the same.
    #[schemars(length(min = 2, max = 12))]
    pub options: Vec<String>,
    /// How many of them one may choose; 0 is any number.
    #[serde(default = "one")]
    pub selectable_count: u32,
}

fn one() -> u32 {
    1
}

impl Kind for Poll {
    fn message_type(&self) -> &'static str {
        "pollCreationMessage"
    }

    fn message(&self) -> Value {
        let options = self.options.iter().map(|name| json!({ "optionName": name }));
        json!({
            "name": self.name,
            "options": options.collect::<Vec<_>>(),
            "selectableOptionsCount": self.selectable_count,
        })
    }

    fn check(&self) -> Result<(), JobError> {
        check_text("name", &self.name, NAME_MAX_BYTES)?;
        check_count("options", self.options.len(), 2..=OPTIONS_MAX)?;
        for (at, option) in self.options.iter().enumerate() {
            check_text(&format!("options[{at}]"), option, OPTION_MAX_BYTES)?;
        }
        // Votes name an option by its hash.
        check_distinct(self.options.iter().map(String::as_str), |at| {
            format!("options[{at}]")
        })?;
        if usize::try_from(self.selectable_count).is_ok_and(|count| count <= self.options.len()) {
            return Ok(());
        }
        Err(JobError::new(
            "selectableCount",
            format!("must be 0 to {}", self.options.len()),
        ))
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.text(format_args!("name"), &mut self.name);
        for (at, option) in self.options.iter_mut().enumerate() {
            texts.text(format_args!("options[{at}]"), option);
        }
    }
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"poll","name":"When?","options":["today","tomorrow"],"selectableCount":1}"#,
    fingerprint: "28fe52cb66c03d571687facbb3273122fde94e69b508e6d8de42ee2b6e0f95c1",
    shown: r#"{"pollCreationMessage":{"name":"When?","options":[{"optionName":"today"},{"optionName":"tomorrow"}],"selectableOptionsCount":1}}"#,
    refused: &[
        (
            r#"{"type":"poll","name":"When?","options":["now"]}"#,
            "message.options: must have 2 to 12 entries",
        ),
        (
            r#"{"type":"poll","name":"When?","options":["now","now"]}"#,
            "message.options[1]: is the same as that of an entry before it",
        ),
        (
            r#"{"type":"poll","name":"When?","options":["now",""]}"#,
            "message.options[1]: must not be empty",
        ),
        (
            r#"{"type":"poll","name":"When?","options":["a","b"],"selectableCount":3}"#,
            "message.selectableCount: must be 0 to 2",
        ),
    ],
};
