//! What this device does by the app state: in which collection, under which index, with which value.

use std::fmt;

use super::{ContactName, Label, MessageRef, Mute, ReadMark, Switch};
use crate::jid::Jid;
use crate::proto::sync_action_value::{
    ArchiveChatAction, ClearChatAction, ContactAction, DeleteChatAction, DeleteMessageForMeAction,
    LabelAssociationAction, LabelEditAction, MarkChatAsReadAction, MuteAction, PinAction, PushNameSetting,
    StarAction, SyncActionMessage, SyncActionMessageRange,
};
use crate::proto::{MessageKey, SyncActionValue};
use crate::syncd::Operation;
use crate::time::Timestamp;

/// One request of the owner.
#[derive(Clone, PartialEq, Eq)]
pub enum SyncRequest {
    /// Have somebody in the address book by this name; `None` takes them out.
    Contact {
        /// Who, by number.
        who: Jid,
        /// Their hidden id, if known.
        lid: Option<Jid>,
        /// What they are called.
        name: Option<ContactName>,
    },
    /// Put a chat into the archive, or take it out. One that goes there is not pinned any more.
    Archive(Jid, Switch, Option<Newest>),
    /// Pin a chat above the others, or not.
    Pin(Jid, Switch),
    /// Have a chat make no sound, or have it make one again.
    Mute(Jid, Mute),
    /// Mark a chat as read or unread. Those who wrote there are told nothing.
    MarkRead(Jid, ReadMark, Option<Newest>),
    /// Delete the messages of a chat for this account, starred ones too.
    ClearChat(Jid, Option<Newest>),
    /// Delete a chat for this account.
    DeleteChat(Jid, Option<Newest>),
    /// Delete a message for this account; with it when it was sent.
    DeleteMessage(MessageRef, Option<Timestamp>),
    /// Star a message, or not.
    Star(MessageRef, Switch),
    /// Make a label, or change it; `None` deletes it.
    Label(String, Option<Label>),
    /// Give a chat a label, or take it away.
    LabelChat(String, Jid, Switch),
    /// Give a message a label, or take it away.
    LabelMessage(String, MessageRef, Switch),
    /// Give the account this name.
    PushName(String),
}

/// The newest message of a chat: what is done to a chat is done to what is in it up to there.
#[derive(Clone, PartialEq, Eq)]
pub struct Newest {
    /// Which.
    pub message: MessageRef,
    /// When it was sent.
    pub at: Timestamp,
}

/// A record that is to be written.
pub(crate) struct Record {
    pub(crate) operation: Operation,
    pub(crate) index: Vec<String>,
    pub(crate) value: SyncActionValue,
    /// The version of the action's form.
    pub(crate) version: i32,
}

impl SyncRequest {
    /// The collection that it is written to, by its name on the wire.
    pub(crate) const fn collection(&self) -> &'static str {
        match self {
            Self::PushName(_) => "critical_block",
            Self::Contact { .. } => "critical_unblock_low",
            Self::Mute(..)
            | Self::ClearChat(..)
            | Self::DeleteChat(..)
            | Self::DeleteMessage(..)
            | Self::Star(..) => "regular_high",
            Self::Archive(..) | Self::Pin(..) | Self::MarkRead(..) => "regular_low",
            Self::Label(..) | Self::LabelChat(..) | Self::LabelMessage(..) => "regular",
        }
    }

    /// The records that it writes, as of `now`.
    pub(crate) fn records(&self, now: Timestamp) -> Vec<Record> {
        let mut records = vec![self.record(now)];
        if let Self::Archive(chat, Switch::On, _) = self {
            records.push(Self::Pin(chat.clone(), Switch::Off).record(now));
        }
        for record in &mut records {
            record.value.timestamp = Some(millis(now));
        }
        records
    }

    fn record(&self, now: Timestamp) -> Record {
        let range = |newest: &Option<Newest>| Some(range(newest.as_ref(), now));
        match self {
            Self::PushName(name) => push_name(name),
            Self::Contact { who, lid, name } => contact(who, lid.as_ref(), name.as_ref()),
            Self::Archive(chat, archived, newest) => {
                let (archived, message_range) = (Some(archived.is_on()), range(newest));
                let action = ArchiveChatAction {
                    archived,
                    message_range,
                };
                let value = with(|value| value.archive_chat_action = Some(action));
                Record::set(3, &["archive", &chat.to_string()], value)
            }
            Self::Pin(chat, pinned) => {
                let pinned = Some(pinned.is_on());
                let value = with(|value| value.pin_action = Some(PinAction { pinned }));
                Record::set(5, &["pin_v1", &chat.to_string()], value)
            }
            Self::Mute(chat, mute) => {
                let value = with(|value| value.mute_action = Some(mute_action(*mute)));
                Record::set(2, &["mute", &chat.to_string()], value)
            }
            Self::MarkRead(chat, mark, newest) => {
                let (read, message_range) = (Some(*mark == ReadMark::Read), range(newest));
                let action = MarkChatAsReadAction { read, message_range };
                let value = with(|value| value.mark_chat_as_read_action = Some(action));
                Record::set(3, &["markChatAsRead", &chat.to_string()], value)
            }
            Self::ClearChat(chat, newest) => {
                let message_range = range(newest);
                let value = with(|value| value.clear_chat_action = Some(ClearChatAction { message_range }));
                // Starred messages go too, files stay on the devices.
                Record::set(6, &["clearChat", &chat.to_string(), "1", "0"], value)
            }
            Self::DeleteChat(chat, newest) => {
                let message_range = range(newest);
                let value = with(|value| value.delete_chat_action = Some(DeleteChatAction { message_range }));
                Record::set(6, &["deleteChat", &chat.to_string(), "1"], value)
            }
            Self::DeleteMessage(message, at) => deletion(message, *at),
            Self::Star(message, starred) => {
                let starred = Some(starred.is_on());
                let value = with(|value| value.star_action = Some(StarAction { starred }));
                Record::of_message(2, "star", message, value)
            }
            Self::Label(id, label) => label_edit(id, label.as_ref()),
            Self::LabelChat(id, chat, on) => {
                Record::set(3, &["label_jid", id, &chat.to_string()], labeled(*on))
            }
            Self::LabelMessage(id, message, on) => {
                let chat = message.chat.to_string();
                let index = ["label_message", id, &chat, message.id.as_str(), "0", "0"];
                Record::set(3, &index, labeled(*on))
            }
        }
    }
}

impl Record {
    fn set(version: i32, index: &[&str], value: SyncActionValue) -> Self {
        Self {
            operation: Operation::Set,
            index: index.iter().map(|&part| part.to_owned()).collect(),
            value,
            version,
        }
    }

    /// One whose index names a message.
    fn of_message(version: i32, kind: &str, message: &MessageRef, value: SyncActionValue) -> Self {
        let chat = message.chat.to_string();
        let from_me = if message.from_me { "1" } else { "0" };
        let participant = message.participant.as_ref().map(Jid::to_string);
        let participant = participant.as_deref().unwrap_or("0");
        let index = [kind, &chat, message.id.as_str(), from_me, participant];
        Self::set(version, &index, value)
    }
}

/// A value with one action.
fn with(set: impl FnOnce(&mut SyncActionValue)) -> SyncActionValue {
    let mut value = SyncActionValue::default();
    set(&mut value);
    value
}

fn push_name(name: &str) -> Record {
    let name = Some(name.to_owned());
    let value = with(|value| value.push_name_setting = Some(PushNameSetting { name }));
    Record::set(1, &["setting_pushName"], value)
}

fn contact(who: &Jid, lid: Option<&Jid>, name: Option<&ContactName>) -> Record {
    let action = ContactAction {
        full_name: name.map(|name| name.full.clone()),
        first_name: name.and_then(|name| name.first.clone()),
        lid_jid: lid.map(Jid::to_string),
        save_on_primary_addressbook: Some(true),
        ..ContactAction::default()
    };
    let value = with(|value| value.contact_action = Some(action));
    Record {
        operation: match name {
            Some(_) => Operation::Set,
            None => Operation::Remove,
        },
        ..Record::set(2, &["contact", &who.to_string()], value)
    }
}

fn mute_action(mute: Mute) -> MuteAction {
    MuteAction {
        muted: Some(mute != Mute::Off),
        mute_end_timestamp: match mute {
            Mute::Off => None,
            Mute::Until(end) => Some(millis(end)),
            Mute::Always => Some(-1),
        },
        auto_muted: None,
    }
}

fn deletion(message: &MessageRef, at: Option<Timestamp>) -> Record {
    let action = DeleteMessageForMeAction {
        delete_media: Some(false),
        message_timestamp: at.map(seconds),
    };
    let value = with(|value| value.delete_message_for_me_action = Some(action));
    Record::of_message(3, "deleteMessageForMe", message, value)
}

fn label_edit(id: &str, label: Option<&Label>) -> Record {
    let action = LabelEditAction {
        name: Some(label.map(|label| label.name.clone()).unwrap_or_default()),
        color: Some(label.map_or(0, |label| label.color)),
        predefined_id: label.and_then(|label| label.predefined),
        deleted: Some(label.is_none()),
        ..LabelEditAction::default()
    };
    let value = with(|value| value.label_edit_action = Some(action));
    Record::set(3, &["label_edit", id], value)
}

fn labeled(on: Switch) -> SyncActionValue {
    let labeled = Some(on.is_on());
    with(|value| value.label_association_action = Some(LabelAssociationAction { labeled }))
}

/// What a chat holds up to its newest message, or up to now where that is not known.
fn range(newest: Option<&Newest>, now: Timestamp) -> SyncActionMessageRange {
    let messages = newest.map(|newest| SyncActionMessage {
        key: Some(MessageKey {
            remote_jid: Some(newest.message.chat.to_string()),
            from_me: Some(newest.message.from_me),
            id: Some(newest.message.id.as_str().to_owned()),
            participant: newest.message.participant.as_ref().map(Jid::to_string),
        }),
        timestamp: Some(seconds(newest.at)),
    });
    SyncActionMessageRange {
        last_message_timestamp: Some(seconds(newest.map_or(now, |newest| newest.at))),
        last_system_message_timestamp: None,
        messages: messages.into_iter().collect(),
    }
}

fn seconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_secs()).unwrap_or(i64::MAX)
}

fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

/// Says nothing of whom it is about.
impl fmt::Debug for SyncRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SyncRequest({})", self.collection())
    }
}
