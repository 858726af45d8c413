//! The `data` of events of chats and labels, in the sampled shapes of the contract where it has any; every field explained.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::about::MessageRef;
use crate::named::named;

/// What is different of a chat now. What is not told is as it was.
#[derive(Clone, Default, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatUpdate {
    /// The chat's jid: the other side, by number where that is known, or the group.
    pub id: String,
    /// The other side's hidden id, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// When its newest message was sent, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_timestamp: Option<i64>,
    /// Where something was written: how many messages came in with that, to be added to those that nobody has read yet; absent
    /// where the account wrote itself. Where it was marked as read: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread_count: Option<u32>,
    /// Whether somebody marked it as unread, to look at it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marked_unread: Option<bool>,
    /// Whether it is in the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// When it was pinned above the others, in milliseconds since 1970; null where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Option<i64>>,
    /// Until when it makes no sound, in milliseconds since 1970, -1 for good; null where it makes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute_end_time: Option<Option<i64>>,
}

impl fmt::Debug for ChatUpdate {
    /// Which chat it is is never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChatUpdate(…)")
    }
}

/// A message was starred on a device of the account, or is not any more.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct MessageStar {
    /// Which message.
    pub key: MessageRef,
    /// Whether it is.
    pub starred: bool,
}

/// A label was made, changed or deleted.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelEdit {
    /// The label's id, which its associations name.
    pub id: String,
    /// What it says; empty of one that was deleted.
    pub name: String,
    /// The number of its colour, as WhatsApp counts them.
    pub color: i32,
    /// The number of the label that WhatsApp gives everybody, if it is one of those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predefined_id: Option<i32>,
    /// Whether it was deleted.
    pub deleted: bool,
}

impl fmt::Debug for LabelEdit {
    /// What it says is never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LabelEdit({}, deleted: {})", self.id, self.deleted)
    }
}

/// A chat or a message has a label now, or not any more.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelAssociation {
    /// The label's id.
    pub label_id: String,
    /// What has it.
    #[serde(rename = "type")]
    pub kind: Labeled,
    /// The jid of the chat.
    pub wuid: String,
    /// The other side's hidden id, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// Of a message: its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Whether it has it.
    pub labeled: bool,
}

impl fmt::Debug for LabelAssociation {
    /// Which chat it is is never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LabelAssociation({}, {})", self.label_id, self.kind.as_str())
    }
}

named! {
    /// What has a label.
    Labeled {
        /// A chat.
        Chat = "chat",
        /// A message.
        Message = "message",
    }
}
