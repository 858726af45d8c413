//! What a scripted phone does to chats, contacts and labels, and how the records that it seals look.
//!
//! Written from the documented forms, beside those of our client, which reads them.

use serde::{Deserialize, Serialize};
use whatsapp::proto::SyncActionValue;
use whatsapp::proto::sync_action_value::{
    ArchiveChatAction, ClearChatAction, ContactAction, DeleteChatAction, DeleteMessageForMeAction,
    LabelAssociationAction, LabelEditAction, MarkChatAsReadAction, MuteAction, PinAction, StarAction,
    SyncActionMessageRange,
};
use whatsapp::syncd::Operation;

/// What a phone does; chats are jids.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum PhoneChange {
    /// Puts a chat into the archive, or takes it out.
    Archive {
        /// Which.
        chat: String,
        /// Whether it is to be there.
        #[serde(default = "on")]
        on: bool,
    },
    /// Pins a chat, or not.
    Pin {
        /// Which.
        chat: String,
        /// Whether it is to be.
        #[serde(default = "on")]
        on: bool,
    },
    /// Mutes a chat, or not.
    Mute {
        /// Which.
        chat: String,
        /// Whether it is to be.
        #[serde(default = "on")]
        on: bool,
        /// Until when, in unix milliseconds; for good without.
        #[serde(default)]
        until: Option<i64>,
    },
    /// Marks a chat as read, or as unread.
    Read {
        /// Which.
        chat: String,
        /// Whether it is read.
        #[serde(default = "on")]
        on: bool,
    },
    /// Deletes the messages of a chat.
    Clear {
        /// Which.
        chat: String,
    },
    /// Deletes a chat.
    Delete {
        /// Which.
        chat: String,
    },
    /// Deletes a message for the account alone.
    DeleteMessage {
        /// Its chat.
        chat: String,
        /// Its id.
        id: String,
        /// Whether the account sent it.
        #[serde(default)]
        from_me: bool,
    },
    /// Deletes several messages of a chat for the account alone, in one go.
    DeleteMessages {
        /// Their chat.
        chat: String,
        /// Their ids.
        ids: Vec<String>,
        /// Whether the account sent them.
        #[serde(default)]
        from_me: bool,
    },
    /// Stars a message, or not.
    Star {
        /// Its chat.
        chat: String,
        /// Its id.
        id: String,
        /// Whether the account sent it.
        #[serde(default)]
        from_me: bool,
        /// Whether it is to be.
        #[serde(default = "on")]
        on: bool,
    },
    /// Names somebody in the address book; takes them out without a name.
    Contact {
        /// Whom.
        chat: String,
        /// What they are called.
        #[serde(default)]
        name: Option<String>,
    },
    /// Makes a label, or changes it; deletes it without a name.
    Label {
        /// Its id.
        label: String,
        /// What it says.
        #[serde(default)]
        name: Option<String>,
        /// The number of its colour.
        #[serde(default)]
        color: i32,
    },
    /// Gives a chat a label, or takes it away.
    LabelChat {
        /// The label's id.
        label: String,
        /// Which chat.
        chat: String,
        /// Whether it is to have it.
        #[serde(default = "on")]
        on: bool,
    },
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spoil {
    /// The MAC of its patch is.
    Mac,
    /// The patch before it is never handed out.
    Gap,
    /// Its key was not shared, and is when it is asked for.
    Key,
    /// Nothing; but it is done right before the next upload to its collection.
    Conflict,
}

/// What is in a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CollectionShown {
    /// The number of its last patch.
    pub version: u64,
    /// The indexes of its records.
    pub records: Vec<Vec<String>>,
}

const fn on() -> bool {
    true
}

/// A record that a phone seals.
pub(super) struct Sealing {
    pub(super) collection: &'static str,
    pub(super) operation: Operation,
    pub(super) index: Vec<String>,
    pub(super) value: SyncActionValue,
    pub(super) version: i32,
}

impl PhoneChange {
    /// How it is sealed, at this time in unix seconds: records of one collection, which are one patch.
    pub(super) fn sealings(self, now: u64) -> Vec<Sealing> {
        let Self::DeleteMessages { chat, ids, from_me } = self else {
            return vec![self.sealing(now)];
        };
        let each = ids.into_iter().map(|id| Self::DeleteMessage {
            chat: chat.clone(),
            id,
            from_me,
        });
        each.map(|deletion| deletion.sealing(now)).collect()
    }

    fn sealing(self, now: u64) -> Sealing {
        let seconds = i64::try_from(now).unwrap_or_default();
        let mut value = SyncActionValue::default();
        let operation = match &self {
            Self::Contact { name: None, .. } => Operation::Remove,
            _ => Operation::Set,
        };
        let (collection, version, index) = self.fill(&mut value, seconds);
        Sealing {
            collection,
            operation,
            index,
            value,
            version,
        }
    }

    /// Says it in the value; its collection, version and index.
    fn fill(self, value: &mut SyncActionValue, seconds: i64) -> Place {
        let message_range = Some(SyncActionMessageRange {
            last_message_timestamp: Some(seconds),
            ..SyncActionMessageRange::default()
        });
        match self {
            Self::Archive { chat, on } => {
                let archived = Some(on);
                value.archive_chat_action = Some(ArchiveChatAction {
                    archived,
                    message_range,
                });
                ("regular_low", 3, vec![text("archive"), chat])
            }
            Self::Pin { chat, on } => {
                value.pin_action = Some(PinAction { pinned: Some(on) });
                ("regular_low", 5, vec![text("pin_v1"), chat])
            }
            Self::Mute { chat, on, until } => {
                value.mute_action = Some(MuteAction {
                    muted: Some(on),
                    mute_end_timestamp: on.then_some(until.unwrap_or(-1)),
                    auto_muted: None,
                });
                ("regular_high", 2, vec![text("mute"), chat])
            }
            Self::Read { chat, on } => {
                let read = Some(on);
                value.mark_chat_as_read_action = Some(MarkChatAsReadAction { read, message_range });
                ("regular_low", 3, vec![text("markChatAsRead"), chat])
            }
            Self::Clear { chat } => {
                value.clear_chat_action = Some(ClearChatAction { message_range });
                (
                    "regular_high",
                    6,
                    vec![text("clearChat"), chat, flag(true), flag(false)],
                )
            }
            Self::Delete { chat } => {
                value.delete_chat_action = Some(DeleteChatAction { message_range });
                ("regular_high", 6, vec![text("deleteChat"), chat, flag(true)])
            }
            other => other.fill_other(value, seconds),
        }
    }

    /// The same of what is done to messages, contacts and labels.
    fn fill_other(self, value: &mut SyncActionValue, seconds: i64) -> Place {
        match self {
            Self::DeleteMessage { chat, id, from_me } => {
                value.delete_message_for_me_action = Some(DeleteMessageForMeAction {
                    delete_media: Some(false),
                    message_timestamp: Some(seconds),
                });
                let index = vec![text("deleteMessageForMe"), chat, id, flag(from_me), flag(false)];
                ("regular_high", 3, index)
            }
            Self::Star {
                chat,
                id,
                from_me,
                on,
            } => {
                value.star_action = Some(StarAction { starred: Some(on) });
                let index = vec![text("star"), chat, id, flag(from_me), flag(false)];
                ("regular_high", 2, index)
            }
            Self::Contact { chat, name } => {
                value.contact_action = Some(ContactAction {
                    full_name: name,
                    save_on_primary_addressbook: Some(true),
                    ..ContactAction::default()
                });
                ("critical_unblock_low", 2, vec![text("contact"), chat])
            }
            Self::Label { label, name, color } => {
                value.label_edit_action = Some(LabelEditAction {
                    deleted: Some(name.is_none()),
                    name,
                    color: Some(color),
                    ..LabelEditAction::default()
                });
                ("regular", 3, vec![text("label_edit"), label])
            }
            Self::LabelChat { label, chat, on } => {
                let labeled = Some(on);
                value.label_association_action = Some(LabelAssociationAction { labeled });
                ("regular", 3, vec![text("label_jid"), label, chat])
            }
            other => other.fill(value, seconds),
        }
    }
}

/// A collection, the version of a record, and its index.
type Place = (&'static str, i32, Vec<String>);

fn flag(on: bool) -> String {
    if on { "1" } else { "0" }.to_owned()
}

fn text(text: &str) -> String {
    text.to_owned()
}
