//! The `data` of events that messages about other messages cause: deleted, reacted to, voted in; and what led to a chat.
//! Every field explained.

use schemars::JsonSchema;
use serde::Serialize;

use super::message::MessageHeader;
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

/// Somebody reacted to a message, or took that back.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageReaction {
    /// Who reacted and where; the id is that of the reaction.
    pub header: MessageHeader,
    /// What to, and how.
    pub reaction: ReactionTold,
    /// When, in milliseconds since 1970.
    pub date_time: i64,
}

/// A reaction.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
pub struct ReactionTold {
    /// The message.
    pub key: MessageRef,
    /// The emoji, in place of the person's earlier one; null where that was taken back.
    pub text: Option<String>,
}

impl std::fmt::Debug for ReactionTold {
    /// What was said is never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReactionTold(removed: {})", self.text.is_none())
    }
}

/// Somebody voted in a poll, otherwise than before or no more.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PollVote {
    /// Who voted and where; the id is that of the vote.
    pub header: MessageHeader,
    /// Which poll.
    pub poll: PollTold,
    /// What was chosen.
    pub vote: VoteTold,
    /// How the poll stands with this vote, of what is stored; absent where messages are not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub totals: Option<PollTotals>,
    /// When, in milliseconds since 1970.
    pub date_time: i64,
}

/// A poll.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
pub struct PollTold {
    /// Its message.
    pub key: MessageRef,
    /// Its question.
    pub name: String,
}

/// A vote: all that its voter chooses now.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VoteTold {
    /// The texts of the options; none where the vote was taken back.
    pub selected_options: Vec<String>,
}

/// How a poll stands: the last vote of each voter counts.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
pub struct PollTotals {
    /// How many people have chosen something.
    pub voters: u32,
    /// Each option of the poll, in its order.
    pub options: Vec<OptionTotal>,
}

/// How many have chosen one option.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
pub struct OptionTotal {
    /// Its text.
    pub name: String,
    /// Who has chosen it.
    pub votes: u32,
}

/// Prints only of what kind it is: what people say and choose is never logged.
macro_rules! not_printed {
    ($($Type:ident),+) => {$(
        impl std::fmt::Debug for $Type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($Type), "(…)"))
            }
        }
    )+};
}

not_printed!(PollTold, VoteTold, PollTotals, OptionTotal, LinkTold);

/// A message tells that its sender came to the chat by an advertisement or a link.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct LinkClick {
    /// The message that tells it.
    pub header: MessageHeader,
    /// What was clicked, as far as WhatsApp tells.
    pub link: LinkTold,
}

/// What led to a chat. All of it is WhatsApp's, or the advertiser's, word.
#[derive(Clone, Default, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkTold {
    /// The title of the advertisement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// Of which sort it is: `ad`, `post`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_type: Option<String>,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// The id of the click, by which conversions are reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctwa_clid: Option<String>,
    /// What the advertiser put beside the link.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Where the click came from, such as `FB_Ads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_source: Option<String>,
    /// What goes with the click, in base64; opaque.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_data: Option<String>,
    /// Seconds between the click and the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_delay_seconds: Option<u32>,
    /// By what the chat was entered, such as `ctwa_ad` or `click_to_chat_link`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<String>,
    /// The app in which that was, such as `instagram`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_point_app: Option<String>,
}
