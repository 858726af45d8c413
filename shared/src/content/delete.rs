//! A message is deleted for everyone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::key::MessageKey;
use super::kind::{Kind, Texts};
use crate::body::JobError;

/// A message is deleted for everyone: one of this session, or in a group that it administers one of somebody else.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// The message.
    pub key: MessageKey,
}

impl Kind for Delete {
    fn message_type(&self) -> &'static str {
        "protocolMessage"
    }

    fn message(&self) -> Value {
        json!({ "type": "REVOKE", "key": self.key.shown() })
    }

    fn check(&self) -> Result<(), JobError> {
        self.key.check("key")?;
        if !self.key.from_me && self.key.participant.is_none() {
            return Err(JobError::new(
                "key.participant",
                "is required where fromMe is false: only in groups can messages of others be deleted",
            ));
        }
        Ok(())
    }

    fn texts(&mut self, _: &mut Texts<'_>) {}

    fn subject(&self) -> Option<&MessageKey> {
        Some(&self.key)
    }
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"delete","key":{"id":"3EB0A9252A8F15F3E1C2","fromMe":true}}"#,
    fingerprint: "506429442a3c776746cf906f4b3b31ba34657fa9a4b100eed7ff265ef5144130",
    shown: r#"{"protocolMessage":{"type":"REVOKE","key":{"fromMe":true,"id":"3EB0A9252A8F15F3E1C2"}}}"#,
    refused: &[
        (r#"{"type":"delete"}"#, "message.key: is required"),
        (
            r#"{"type":"delete","key":{"id":"3EB0","fromMe":false}}"#,
            "message.key.participant: is required where fromMe is false: only in groups can messages of others be deleted",
        ),
        (
            r#"{"type":"delete","key":{"id":"3EB0","fromMe":false,"participant":"120363-1@g.us"}}"#,
            "message.key.participant: must be a person, not a group",
        ),
    ],
};
