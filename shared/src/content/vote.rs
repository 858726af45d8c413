//! A vote in a poll that came in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::key::MessageKey;
use super::kind::{Kind, Texts, check_count, check_distinct, check_text};
use crate::body::JobError;

/// Most options that a vote may name.
const OPTIONS_MAX: usize = 100;
/// Most bytes of an option.
const OPTION_MAX_BYTES: usize = 1_024;

/// A vote in a poll that came in. It stands for all that the account chooses in it from now on, in the place of an earlier vote.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// The poll.
    pub key: MessageKey,
    /// The options that are chosen, by their texts; none takes the vote back. They are compared with those of the poll when it is
    /// sent.
    #[schemars(length(max = 100))]
    pub options: Vec<String>,
}

impl Kind for Vote {
    fn message_type(&self) -> &'static str {
        "pollUpdateMessage"
    }

    fn message(&self) -> Value {
        json!({ "pollCreationMessageKey": self.key.shown(), "vote": { "selectedOptions": self.options } })
    }

    fn check(&self) -> Result<(), JobError> {
        self.key.check("key")?;
        check_count("options", self.options.len(), 0..=OPTIONS_MAX)?;
        for (at, option) in self.options.iter().enumerate() {
            check_text(&format!("options[{at}]"), option, OPTION_MAX_BYTES)?;
        }
        check_distinct(self.options.iter().map(String::as_str), |at| {
            format!("options[{at}]")
        })
    }

    /// Its options say what is chosen of a poll that is there.
    fn texts(&mut self, _: &mut Texts<'_>) {}

    fn subject(&self) -> Option<&MessageKey> {
        Some(&self.key)
    }
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"vote","key":{"id":"3EB0A9252A8F15F3E1C2","fromMe":false,"remoteJid":"5531900000042"},"options":["today"]}"#,
    fingerprint: "257c0c1d81b30ca74c2497827753d6fcf165912d2e02c60933a38f8cacaf9551",
    shown: r#"{"pollUpdateMessage":{"pollCreationMessageKey":{"remoteJid":"5531900000042@s.whatsapp.net","fromMe":false,"id":"3EB0A9252A8F15F3E1C2"},"vote":{"selectedOptions":["today"]}}}"#,
    refused: &[
        (r#"{"type":"vote","options":[]}"#, "message.key: is required"),
        (
            r#"{"type":"vote","key":{"id":"3EB0","fromMe":false}}"#,
            "message.options: is required",
        ),
        (
            r#"{"type":"vote","key":{"id":"3EB0","fromMe":false},"options":["a","a"]}"#,
            "message.options[1]: is the same as that of an entry before it",
        ),
        (
            r#"{"type":"vote","key":{"id":"3EB0","fromMe":false},"options":["a",""]}"#,
            "message.options[1]: must not be empty",
        ),
        (
            r#"{"type":"vote","key":{"id":"3EB0","fromMe":false},"options":["a"],"forwarded":true}"#,
            "message.forwarded: can't go with a `vote`",
        ),
    ],
};
