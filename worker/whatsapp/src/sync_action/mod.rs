//! What the devices of an account tell each other by the app state: what they did to chats, contacts and labels.
//!
//! Owns the meaning of a record: what an index and its value say (`read`), and how one is written (`request`). Knows
//! nothing of patches, keys and versions.
//!
//! Facts: docs/PROTOCOL.md, "App state".

mod read;
pub mod request;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::time::Timestamp;

/// What became of one collection of the app state, all or a part of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SyncActions {
    /// The collection's name on the wire.
    pub collection: &'static str,
    /// How it was learnt.
    pub source: SyncSource,
    /// What was done, in order.
    pub actions: Vec<SyncAction>,
}

/// How something of the app state was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncSource {
    /// The collection was read from its beginning: so it is, whoever did it and when.
    Beginning,
    /// Another device did it.
    Other,
    /// This device did it, and the server has taken it.
    Own,
}

/// One thing that was done.
#[derive(Clone, PartialEq, Eq)]
pub struct SyncAction {
    /// When, by the clock of the device that did it.
    pub at: Option<Timestamp>,
    /// Whether the collection had a record of it before, with whatever value.
    pub replaces: bool,
    /// The other name of the chat or person that it is about (number for LID, LID for number), if known.
    pub other: Option<Jid>,
    /// What.
    pub kind: SyncActionKind,
}

/// What was done.
#[derive(Clone, PartialEq, Eq)]
pub enum SyncActionKind {
    /// Somebody is in the address book by this name, or not any more.
    Contact {
        /// Who.
        who: Jid,
        /// What they are called; `None` if they were taken out.
        name: Option<ContactName>,
    },
    /// A chat was put into the archive, or taken out.
    Archive(Jid, Switch),
    /// A chat was pinned above the others, or not any more.
    Pin(Jid, Switch),
    /// A chat makes no sound, or does again.
    Mute(Jid, Mute),
    /// A chat was marked as read, or as unread.
    MarkRead(Jid, ReadMark),
    /// The messages of a chat up to this time were deleted, for this account alone.
    ClearChat(Jid, Option<Timestamp>),
    /// A chat was deleted with its messages up to this time, for this account alone.
    DeleteChat(Jid, Option<Timestamp>),
    /// A message was deleted, for this account alone.
    DeleteMessage(MessageRef),
    /// A message was starred, or not any more.
    Star(MessageRef, Switch),
    /// A label was made or changed; `None` if it was deleted.
    Label(String, Option<Label>),
    /// A chat has this label, or not any more.
    LabelChat(String, Jid, Switch),
    /// A message has this label, or not any more.
    LabelMessage(String, MessageRef, Switch),
    /// The account has this name.
    PushName(String),
    /// The chat by this hidden id is that of this number.
    Number {
        /// The hidden id.
        lid: Jid,
        /// The number.
        phone: Jid,
    },
    /// Something of this kind, which nobody here acts on.
    Unknown(String),
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It is so.
    On,
    /// It is not so any more.
    Off,
}

impl Switch {
    /// Whether it is so.
    #[must_use]
    pub const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

impl From<bool> for Switch {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

/// How long a chat makes no sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mute {
    /// It does.
    Off,
    /// Until then.
    Until(Timestamp),
    /// For good.
    Always,
}

/// As what a chat was marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMark {
    /// Everything in it was read.
    Read,
    /// It is to be looked at again.
    Unread,
}

/// The name of somebody in the address book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactName {
    /// All of it.
    pub full: String,
    /// What they are called in short.
    pub first: Option<String>,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What it says.
    pub name: String,
    /// The number of its colour.
    pub color: i32,
    /// The number of the label that WhatsApp gives everybody, if it is one of those.
    pub predefined: Option<i32>,
}

/// A message.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageRef {
    /// The chat that it is in.
    pub chat: Jid,
    /// Its id.
    pub id: MessageId,
    /// Whether the account sent it.
    pub from_me: bool,
    /// Who sent it, in a group.
    pub participant: Option<Jid>,
}

impl SyncActionKind {
    /// The chat or the person that it is about, if it is about one.
    #[must_use]
    pub const fn subject(&self) -> Option<&Jid> {
        match self {
            Self::Contact { who: jid, .. }
            | Self::Archive(jid, _)
            | Self::Pin(jid, _)
            | Self::Mute(jid, _)
            | Self::MarkRead(jid, _)
            | Self::ClearChat(jid, _)
            | Self::DeleteChat(jid, _)
            | Self::LabelChat(_, jid, _) => Some(jid),
            Self::DeleteMessage(message) | Self::Star(message, _) | Self::LabelMessage(_, message, _) => {
                Some(&message.chat)
            }
            Self::Label(..) | Self::PushName(_) | Self::Number { .. } | Self::Unknown(_) => None,
        }
    }

    /// Its kind, for a log line.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Contact { .. } => "Contact",
            Self::Archive(..) => "Archive",
            Self::Pin(..) => "Pin",
            Self::Mute(..) => "Mute",
            Self::MarkRead(..) => "MarkRead",
            Self::ClearChat(..) => "ClearChat",
            Self::DeleteChat(..) => "DeleteChat",
            Self::DeleteMessage(_) => "DeleteMessage",
            Self::Star(..) => "Star",
            Self::Label(..) => "Label",
            Self::LabelChat(..) => "LabelChat",
            Self::LabelMessage(..) => "LabelMessage",
            Self::PushName(_) => "PushName",
            Self::Number { .. } => "Number",
            Self::Unknown(_) => "Unknown",
        }
    }
}

impl fmt::Debug for SyncActions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncActions")
            .field("collection", &self.collection)
            .field("source", &self.source)
            .field("actions", &self.actions.len())
            .finish()
    }
}

/// Says what was done and nothing of whom it is about.
impl fmt::Debug for SyncAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Debug for SyncActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for MessageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageRef")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
