//! The `data` of events of the past that the account's phone shares, in the shapes of the contract; every field explained.

use schemars::JsonSchema;
use serde::Serialize;

use super::group::GroupPerson;
use crate::id::Token;
use crate::named::named;

/// A chat of the past.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetChat {
    /// Its jid, by number where that is known.
    pub id: String,
    /// Who is in it, if it is a group and the phone says so; empty elsewhere.
    pub participant: Vec<ChatParticipant>,
    /// The other side's hidden id, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The other side's phone number, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// What it is called, if it is a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was last written in, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_timestamp: Option<i64>,
    /// How many messages the account has not read.
    pub unread_count: u32,
    /// Whether it is archived.
    pub archived: bool,
    /// Whether it is pinned.
    pub pinned: bool,
}

/// Somebody in a group.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatParticipant {
    /// Who.
    #[serde(flatten)]
    pub person: GroupPerson,
    /// Whether they are an admin.
    pub admin: bool,
}

/// Somebody the account's phone knows.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetContact {
    /// Their jid, by number where that is known.
    pub wuid: String,
    /// Their phone number; null where it is not known.
    pub phone_number: Option<String>,
    /// Their hidden id, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// What the account calls them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_name: Option<String>,
    /// What they call themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
    /// Always null: WhatsApp is asked for pictures one by one, when somebody wants one.
    pub profile_picture_url: Option<String>,
    /// The session's token.
    pub instance_name: Token,
}

/// A piece of the past is taken in: everything that its events tell of came before this.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryProgress {
    /// What the piece is.
    pub kind: HistoryPieceKind,
    /// Its place among those of its kind, as the phone counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<u32>,
    /// How much of the whole the phone has shared with it, in per cent, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<u32>,
    /// The request that it answers, as the answer to the job named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// How many chats it told of.
    pub chats: u64,
    /// How many people.
    pub contacts: u64,
    /// How many messages; those that are older than `HISTORY_DAYS` are among them, though no event told of them.
    pub messages: u64,
    /// How many entries were left out: notes of a chat's own, and messages that can't be read or are too large.
    pub skipped: u64,
    /// Why the piece could not be read; nothing more comes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

named! {
    /// What a piece of the past is.
    HistoryPieceKind {
        /// Chats with their newest messages, the first after pairing.
        Initial = "initial",
        /// What was written lately.
        Recent = "recent",
        /// All there is, where `HISTORY` asks for it.
        Full = "full",
        /// What people call themselves.
        PushName = "push-name",
        /// Older messages of a chat, asked for.
        OnDemand = "on-demand",
        /// Anything else.
        Other = "other",
    }
}
