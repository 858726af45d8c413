//! What devices of the account did to chats and people, as it is kept. Pure.

use time::OffsetDateTime;

use super::change::{NAME_MAX, Peer};
use crate::id::StanzaId;

/// What becomes of chats and people of a session.
#[derive(Clone, Debug, PartialEq)]
pub enum StateChange {
    /// A chat is archived, pinned, muted or marked otherwise than before.
    Chat(Peer, ChatState),
    /// The address book calls somebody so; `None` if they are not in it any more.
    Contact(Peer, Option<SavedName>),
    /// The messages of a chat until then were deleted.
    Cleared(Peer, OffsetDateTime),
    /// A chat was deleted with its messages until then.
    Deleted(Peer, OffsetDateTime),
    /// A message was deleted.
    Message(MessagePlace),
}

/// What is different of a chat; `None` of what is as it was.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ChatState {
    /// Whether it is in the archive.
    pub archived: Option<bool>,
    /// When it was pinned, if it is.
    pub pinned: Option<Option<OffsetDateTime>>,
    /// Whether it makes no sound.
    pub muted: Option<Muted>,
    /// Whether it is to be looked at again. One that is not has been read.
    pub marked_unread: Option<bool>,
}

/// How long a chat makes no sound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Muted {
    /// It does make one.
    No,
    /// Until then.
    Until(OffsetDateTime),
    /// For good.
    Always,
}

/// What the address book calls somebody.
#[derive(Clone, Eq, PartialEq)]
pub struct SavedName(String);

impl SavedName {
    /// As much of a name as is kept; `None` of an empty one.
    pub fn new(name: &str) -> Option<Self> {
        let kept: String = name.replace('\0', "").chars().take(NAME_MAX).collect();
        (!kept.trim().is_empty()).then_some(Self(kept))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SavedName {
    /// Names are never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SavedName(…)")
    }
}

/// Where a message is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessagePlace {
    /// Its chat.
    pub chat: Peer,
    /// Its id.
    pub id: StanzaId,
    /// Whether the account wrote it.
    pub from_me: bool,
}

impl ChatState {
    /// What is different after both: the later says more.
    pub(in crate::store) fn then(self, later: Self) -> Self {
        Self {
            archived: later.archived.or(self.archived),
            pinned: later.pinned.or(self.pinned),
            muted: later.muted.or(self.muted),
            marked_unread: later.marked_unread.or(self.marked_unread),
        }
    }
}

impl StateChange {
    /// Who it names.
    pub(in crate::store) fn peer(&self) -> &Peer {
        match self {
            Self::Chat(peer, _)
            | Self::Contact(peer, _)
            | Self::Cleared(peer, _)
            | Self::Deleted(peer, _) => peer,
            Self::Message(place) => &place.chat,
        }
    }

    /// Whether the database has room for its names: a row that it refused would come again for ever.
    pub fn is_storable(&self) -> bool {
        let fits = |id: &str| (1..=128).contains(&id.chars().count()) && !id.contains('\0');
        let peer = self.peer();
        fits(&peer.jid) && peer.lid.as_deref().is_none_or(fits)
    }
}
