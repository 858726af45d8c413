//! What a session could not keep.

/// What was given up, or left to the next login, since there was no room for it or it could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dropped {
    /// A piece of the past: it could not be fetched in all its tries, or too many others came after it.
    HistoryPiece,
    /// A deletion in a group: too many others wait to be judged.
    GroupDeletion,
    /// A device's request for a message that it can't read. The server tells it again at the next login.
    RetryRequest,
    /// A message that our phone was to be asked for. The server brings it again at the next login.
    UnreadMessage,
    /// A record of our own that can't be read, and is taken for none.
    Record,
}

impl Dropped {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::HistoryPiece,
        Self::GroupDeletion,
        Self::RetryRequest,
        Self::UnreadMessage,
        Self::Record,
    ];

    /// A short name, for counting.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HistoryPiece => "history_piece",
            Self::GroupDeletion => "group_deletion",
            Self::RetryRequest => "retry_request",
            Self::UnreadMessage => "unread_message",
            Self::Record => "record",
        }
    }
}
