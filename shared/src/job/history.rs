//! More of the past: older messages of a chat, which the account's phone is asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chats::ChatId;
use crate::body::{self, JobError};
use crate::id::StanzaId;

/// Most messages that one request is for.
pub const HISTORY_MAX: u32 = 500;
/// And how many it is for, where it does not say so: what WhatsApp's own clients ask for.
pub const HISTORY_DEFAULT: u32 = 50;

/// Older messages of a chat than those that are known are wanted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HistoryJob {
    /// Which chat.
    pub chat: ChatId,
    /// How many messages at most, 1 to 500; 50 if absent. The phone may give fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub count: Option<u32>,
    /// The message before which they are wanted; the oldest that is kept of the chat, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<BeforeMessage>,
}

/// A message of a chat.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BeforeMessage {
    /// Its id.
    pub message_id: StanzaId,
    /// Whether the account sent it.
    pub from_me: bool,
    /// When it was sent, in seconds since 1970.
    pub message_timestamp: u32,
}

/// The account's phone was asked for older messages.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryAsked {
    /// The id of the request: `history.progress` names it when its messages were told. A phone that is away answers when it is
    /// back, or never.
    pub request_id: String,
}

/// The same, of a chat that is named elsewhere.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HistoryBody {
    /// How many messages at most, 1 to 500; 50 if absent. The phone may give fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub count: Option<u32>,
    /// The message before which they are wanted; the oldest that is kept of the chat, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<BeforeMessage>,
}

impl HistoryJob {
    pub(super) fn parse(body: &[u8]) -> Result<Self, JobError> {
        body::parse::<Self>(body)?.checked()
    }

    /// Reads a [`HistoryBody`] about this chat.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn of_chat(chat: ChatId, body: &[u8]) -> Result<Self, JobError> {
        let HistoryBody { count, before } = body::parse(body)?;
        Self { chat, count, before }.checked()
    }

    fn checked(self) -> Result<Self, JobError> {
        if self
            .count
            .is_some_and(|count| !(1..=HISTORY_MAX).contains(&count))
        {
            return Err(JobError::new("count", format!("must be 1 to {HISTORY_MAX}")));
        }
        Ok(self)
    }

    /// How many messages at most.
    pub fn count(&self) -> u32 {
        self.count.unwrap_or(HISTORY_DEFAULT)
    }
}
