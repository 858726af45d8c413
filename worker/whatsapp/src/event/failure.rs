//! Why something did not come about: a send, a device among its recipients, a question.
//!
//! Each says whether, and when, it is worth another try. Must not know the events that carry it.

use super::refusal::Refusal;

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The number has no account: do not try again.
    #[error("the number is not on WhatsApp")]
    NotOnWhatsApp,
    /// The number was never resolved, and the command gave no leave to look it up. Nothing was asked or sent: send it as
    /// [`Recipient::Phone`](crate::command::Recipient::Phone) when it may be looked up.
    #[error("the number must be looked up first")]
    NeedsLookUp,
    /// The account goes by another number than the one given, and
    /// [`Config::tells_renumbered`](crate::connection::Config::tells_renumbered) is set. Nothing was sent: send it to that
    /// number.
    #[error("the account goes by another number")]
    Renumbered {
        /// The number, digits only.
        present: String,
    },
    /// The account has no device that can be encrypted for: do not try again soon.
    #[error("the recipient has no device to encrypt for")]
    NoDevices,
    /// The server refused the stanza (463 restricted, 479 bad addressing, 429 too fast…).
    #[error("the server refused the message with {code}")]
    Nack {
        /// The server's code.
        code: u16,
    },
    /// A question to the server that the send depends on was refused or stayed unanswered: try again.
    #[error("a query before the send failed: {0}")]
    Query(#[from] QueryError),
    /// The message was only to go to somebody who has written to us before, and this one has not: nothing left, nothing was
    /// asked of the server.
    #[error("the recipient has not written yet, and new contacts can't be written to now")]
    NewContact,
    /// The server did not confirm in time; the outcome is unknown: send again under the same id.
    #[error("the server did not confirm the message")]
    Unconfirmed,
    /// The session is not open: try again when it is.
    #[error("the session is not connected")]
    NotConnected,
    /// Too many sends wait already: try again later.
    #[error("too many sends are waiting")]
    Busy,
    /// The owner cancelled it before it left.
    #[error("cancelled")]
    Cancelled,
    /// The account blocks the recipient: nothing left.
    #[error("the account blocks this contact; unblock them to write to them")]
    Blocked,
    /// The account is not in the group, or only admins write there and it is none: do not try again.
    #[error("the account may not write in this group: it is not in it, or only its admins write there")]
    MayNotWrite,
    /// The message cannot be sent as it is (this kind of recipient or content): do not try again.
    #[error("cannot be sent: {0}")]
    Unsupported(&'static str),
}

impl SendError {
    /// What the server meant, if it refused the message itself.
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Nack { code } => Some(Refusal::of(*code)),
            _ => None,
        }
    }

    /// Whether another try, under the same id, may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotOnWhatsApp
            | Self::NoDevices
            | Self::NewContact
            | Self::Blocked
            | Self::MayNotWrite
            | Self::Cancelled
            | Self::Unsupported(_) => false,
            Self::Nack { .. } => {
                matches!(self.refusal(), Some(Refusal::TooFast | Refusal::ServerTrouble))
            }
            Self::NeedsLookUp
            | Self::Renumbered { .. }
            | Self::Query(_)
            | Self::Unconfirmed
            | Self::NotConnected
            | Self::Busy => true,
        }
    }
}

/// Why a device is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceRefusal {
    /// A companion brought no proof that its account has linked it.
    #[error("the companion brought no proof of its account")]
    NoProof,
    /// Its proof is no proof, or not one of this device.
    #[error("the companion's proof does not verify")]
    BadProof,
    /// Its account has another key than the one it is known by.
    #[error("the device is not of the account as it is known")]
    OtherAccount,
    /// Its proof does not say which account signed it, and the account is not known.
    #[error("the account that should have signed the companion's proof is not known")]
    UnknownAccount,
    /// Its keys are not signed by its identity, or would give the session away.
    #[error("the device's keys are not its own")]
    BadKeys,
}

impl DeviceRefusal {
    /// A short name, for counting.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoProof => "no_proof",
            Self::BadProof => "bad_proof",
            Self::OtherAccount => "other_account",
            Self::UnknownAccount => "unknown_account",
            Self::BadKeys => "bad_keys",
        }
    }
}

/// Why a question to the server has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The server refused.
    #[error("the server answered {code}")]
    Refused {
        /// The server's code.
        code: u16,
    },
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The answer made no sense.
    #[error("the answer could not be read")]
    Malformed,
    /// The session is not open.
    #[error("the session is not connected")]
    NotConnected,
    /// Too many questions are open already.
    #[error("too many questions are open")]
    Busy,
}

/// Why our phone has not uploaded a file again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaRetryError {
    /// It has no such file any more.
    #[error("the phone does not have the file any more")]
    NotFound,
    /// It could not.
    #[error("the phone could not upload the file again")]
    Failed,
    /// It was not asked, or did not answer.
    #[error(transparent)]
    Query(#[from] QueryError),
}
