//! What our phone shares of the past.

use std::fmt;

use super::Incoming;
use crate::jid::Jid;
use crate::time::Timestamp;

/// A portion of a piece of the history. Those of a piece come in order: chats and people, messages, and that it is taken in.
pub struct HistoryNews {
    /// Which piece.
    pub piece: HistoryPiece,
    /// What of it.
    pub portion: HistoryPortion,
}

/// A piece, as our phone calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPiece {
    /// What it is for.
    pub kind: HistoryKind,
    /// Its place among those of its kind.
    pub chunk: Option<u32>,
    /// How much of the whole our phone has shared with it, in per cent.
    pub progress: Option<u32>,
    /// The id of the request that it answers.
    pub request: Option<String>,
}

/// What a piece is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryKind {
    /// Chats with their newest messages, first after pairing.
    Initial,
    /// What was written lately.
    Recent,
    /// All there is, where it was asked for.
    Full,
    /// What people call themselves.
    PushName,
    /// More messages of a chat, asked for.
    OnDemand,
    /// Anything else.
    Other,
}

/// What a portion says.
pub enum HistoryPortion {
    /// Chats, and people.
    People {
        /// The chats.
        chats: Vec<HistoryChat>,
        /// The people.
        contacts: Vec<HistoryContact>,
    },
    /// Messages, in the order of the piece: chat by chat, the newest first.
    Messages(Vec<Incoming>),
    /// All of the piece was told.
    Taken(HistoryCounts),
    /// The piece can't be read, and is given up: why, in words.
    Refused(String),
}

/// A chat.
pub struct HistoryChat {
    /// Its address.
    pub id: Jid,
    /// The other side by its other name, if known.
    pub other: Option<Jid>,
    /// What it is called, if it is a group.
    pub name: Option<String>,
    /// How many messages nobody has read.
    pub unread: u32,
    /// When it was last written in.
    pub timestamp: Option<Timestamp>,
    /// Who is in it, if it is a group.
    pub members: Vec<HistoryMember>,
    /// It is archived.
    pub is_archived: bool,
    /// It is pinned.
    pub is_pinned: bool,
    /// Its newest message.
    pub newest: Option<Box<Incoming>>,
}

/// Somebody in a group.
pub struct HistoryMember {
    /// Their address.
    pub id: Jid,
    /// Their other name, if known.
    pub other: Option<Jid>,
    /// Whether they are an admin.
    pub is_admin: bool,
}

/// Somebody.
pub struct HistoryContact {
    /// Their address.
    pub id: Jid,
    /// Their other name, if known.
    pub other: Option<Jid>,
    /// What the account calls them.
    pub name: Option<String>,
    /// What they call themselves.
    pub push_name: Option<String>,
}

/// How much of a piece was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryCounts {
    /// Chats.
    pub chats: u64,
    /// People.
    pub contacts: u64,
    /// Messages.
    pub messages: u64,
    /// Messages that are nothing for people, can't be read, or are too large.
    pub skipped: u64,
}

impl fmt::Debug for HistoryNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, count) = match &self.portion {
            HistoryPortion::People { chats, contacts } => ("people", chats.len() + contacts.len()),
            HistoryPortion::Messages(messages) => ("messages", messages.len()),
            HistoryPortion::Taken(_) => ("taken", 1),
            HistoryPortion::Refused(_) => ("refused", 1),
        };
        f.debug_struct("HistoryNews")
            .field("kind", &self.piece.kind)
            .field(what, &count)
            .finish_non_exhaustive()
    }
}
