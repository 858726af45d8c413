//! What the server means when it refuses messages, and how it restricts an account.

use crate::time::Timestamp;

/// What a server means that refuses a message (docs/PROTOCOL.md, "Restrictions").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 429: too much at a time. Nothing should be sent for a while, to anybody.
    TooFast,
    /// 463: the account may not write to this contact first, for now or without a token. Repeats make it worse.
    NewContact,
    /// 475: the account has begun as many new chats as it may for now.
    NewChatCap,
    /// 479: the stanza does not fit the server's schema. A mistake of ours; the same again is refused again.
    BadStanza,
    /// 500, 503, 530: it could not be handled just now.
    ServerTrouble,
    /// Anything else.
    Other,
}

impl Refusal {
    /// What a code in the ack of a message means.
    pub const fn of(code: u16) -> Self {
        match code {
            429 => Self::TooFast,
            463 => Self::NewContact,
            475 => Self::NewChatCap,
            479 => Self::BadStanza,
            500 | 503 | 530 => Self::ServerTrouble,
            _ => Self::Other,
        }
    }
}

/// A restriction that the server may put on writing to new contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restriction {
    /// The reach-out time lock: for days, no new contacts at all.
    TimeLock,
    /// As many new chats as this cycle allows have been begun.
    NewChatCap,
}

/// How many new chats the account may begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewChatCap {
    /// The server's word: `NONE`, `FIRST_WARNING`, `SECOND_WARNING`, `CAPPED`.
    pub status: Option<String>,
    /// How many chats a cycle has; none if there is no cap.
    pub total: Option<u64>,
    /// How many of them were begun.
    pub used: Option<u64>,
    /// When the cycle ends.
    pub cycle_ends: Option<Timestamp>,
}

impl NewChatCap {
    /// Whether no new chat may be begun.
    pub fn is_reached(&self) -> bool {
        let is_used_up = self
            .total
            .zip(self.used)
            .is_some_and(|(total, used)| used >= total);
        match self.status.as_deref() {
            Some("CAPPED") => true,
            // It says how far it is; without a word the numbers must do.
            Some("NONE" | "FIRST_WARNING" | "SECOND_WARNING") => false,
            _ => is_used_up,
        }
    }
}
