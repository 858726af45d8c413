//! The `data` of events that messages about other messages cause: deleted, reacted to, voted in; and what led to a chat.
//! Every field explained.

use schemars::JsonSchema;
use serde::Serialize;

use crate::id::StanzaId;

/// Messages were deleted: some, or all of a chat.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum MessagesDelete {
    /// These, for everyone or from the account's own devices.
    Messages(Vec<DeletedMessage>),
    /// All of a chat.
    Chat(DeletedChat),
}

/// A message that was deleted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletedMessage {
    /// Its id.
    pub message_id: StanzaId,
    /// Whether the account wrote it.
    pub from_me: bool,
    /// The jid of the chat; of a status, of who published it.
    pub wuid: String,
    /// The other side's hidden id, where known; in a group its author's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The other side's phone number, where known; in a group its author's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// Who wrote it, in a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// The admin of the group who deleted it, where that was not its author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_by: Option<String>,
}

/// A chat of which all messages were deleted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct DeletedChat {
    /// The jid of the chat.
    pub wuid: String,
    /// The other side's hidden id, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// Always true.
    pub all: bool,
}

impl MessagesDelete {
    /// All messages of the chat with this jid.
    pub const fn chat(wuid: String, lid: Option<String>) -> Self {
        Self::Chat(DeletedChat { wuid, lid, all: true })
    }
}

/// Which message something is about, as the account sees it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageRef {
    /// Its id.
    pub message_id: StanzaId,
    /// Whether the account wrote it.
    pub from_me: bool,
    /// The jid of the chat; `status@broadcast` of a status.
    pub wuid: String,
    /// Who wrote it, in a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
}
