//! What peers do that no app does. It harms their own message alone, and is told to be counted.

/// What somebody did that no app does, or what looks like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// A ciphertext whose MAC is not that of its session: spoiled on its way, or made up. It is asked for again.
    WrongMac,
    /// A ciphertext that can't be decrypted for another reason. It is asked for again.
    Unreadable,
    /// A ciphertext that was handled before. Servers repeat what they don't know to have arrived, so this happens to honest
    /// peers too.
    Repeated,
    /// A message that is no message, inside of a good ciphertext.
    Rubbish,
    /// A frame of the server's that is no stanza. It is skipped.
    NoStanza,
    /// A stanza that does not say whom it is from, or has more ciphertexts than a message can have.
    Malformed,
    /// Somebody deletes what they did not write, and may not.
    ForgedDeletion,
    /// Somebody edits what they did not write.
    ForgedEdit,
    /// Somebody else says what only our own phone may: that there is a history to read, keys to take, a hidden id to believe.
    NotOurPhone,
}

impl Misbehaviour {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::WrongMac,
        Self::Unreadable,
        Self::Repeated,
        Self::Rubbish,
        Self::NoStanza,
        Self::Malformed,
        Self::ForgedDeletion,
        Self::ForgedEdit,
        Self::NotOurPhone,
    ];

    /// A short name, for counting.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongMac => "wrong_mac",
            Self::Unreadable => "unreadable",
            Self::Repeated => "repeated",
            Self::Rubbish => "rubbish",
            Self::NoStanza => "no_stanza",
            Self::Malformed => "malformed",
            Self::ForgedDeletion => "forged_deletion",
            Self::ForgedEdit => "forged_edit",
            Self::NotOurPhone => "not_our_phone",
        }
    }
}
