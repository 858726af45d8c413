//! Why a queue does not send at this moment: the closed set of reasons, with words for each.
//!
//! What the rows of session and queue tell already is not stored again; the rest a queue's worker writes beside the queue
//! when it has stood still for about a second. Knows nothing of who asks.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::named::named;

named! {
    /// What a queue waits for. The texts are those of the API, of the metrics and of the database.
    Reason {
        /// Somebody paused the queue.
        Paused = "paused",
        /// It starts later.
        StartsAt = "starts-at",
        /// The broker has it, and its worker is about to store it.
        Accepting = "accepting",
        /// No session worker holds the session's shard.
        NoWorker = "no-worker",
        /// The session is being deleted, and the queue with it.
        Deleting = "deleting",
        /// The session has no account: it was never paired, or was logged out.
        NotPaired = "not-paired",
        /// The session was stopped.
        Stopped = "stopped",
        /// WhatsApp refused the session: nobody connects it again until it is started.
        Refused = "refused",
        /// WhatsApp does not take this version of WhatsApp Web any more.
        ClientOutdated = "client-outdated",
        /// The proxy that the session leaves by can't be reached, refuses it, or does not reach WhatsApp.
        Proxy = "proxy",
        /// The session is connecting, or its connection broke.
        NotConnected = "not-connected",
        /// The queue belongs to another account than the one that the session is paired with.
        OtherAccount = "other-account",
        /// WhatsApp said that the session goes too fast.
        RateLimit = "rate-limit",
        /// All that is left waits until the session may write to new contacts again.
        Restricted = "restricted",
        /// All that is left goes to numbers that WhatsApp must be asked for first, and those questions have a pace.
        LookUp = "look-up",
        /// The random gap after the session's last send.
        Pace = "pace",
        /// The worker sends as much as it may, over all its sessions.
        Cap = "cap",
        /// WhatsApp is asked for the devices and keys of the next recipient.
        Keys = "keys",
        /// The next message is encrypted, and is being written to the database before it leaves.
        Storing = "storing",
        /// WhatsApp has not answered for a message that left.
        Ack = "ack",
        /// WhatsApp answered for no earlier attempt of the recipients that are left: they are sent to again.
        Attempt = "attempt",
        /// WhatsApp could not handle a message just now: it is sent again.
        BackOff = "back-off",
        /// The file that it sends is being fetched and uploaded.
        Upload = "upload",
        /// Another queue of the session goes first.
        OtherQueue = "other-queue",
        /// Its recipients are being read from the database.
        Reading = "reading",
        /// Its worker has not come to it yet.
        TakingUp = "taking-up",
    }
}

impl Reason {
    /// For people: what it is, and what would end it.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Paused => "the queue is paused; resume it",
            Self::StartsAt => "the queue starts later, as its startAt says",
            Self::Accepting => "the session's worker is about to store it",
            Self::NoWorker => "no session worker runs, or one is being replaced",
            Self::Deleting => "the session is being deleted",
            Self::NotPaired => "the session has no account; scan its QR code",
            Self::Stopped => "the session was stopped; start it again",
            Self::Refused => "WhatsApp refused the session; start it again when that is mended",
            Self::ClientOutdated => {
                "WhatsApp does not take this version of WhatsApp Web any more; the workers look for a newer one, and the \
                 session comes back by itself when there is one"
            }
            Self::Proxy => {
                "the outbound proxy can't be reached, does not take its user and password, or does not reach WhatsApp; \
                 the session keeps trying"
            }
            Self::NotConnected => "the session is not connected; it keeps trying",
            Self::OtherAccount => {
                "the session is paired with another account than the one that the queue belongs to; adopt the queue to \
                 send it from the present one"
            }
            Self::RateLimit => "WhatsApp said that the session goes too fast; it goes on by itself",
            Self::Restricted => "the account may not write to new contacts, and nobody else is left",
            Self::LookUp => {
                "the next number must be looked up first; LOOK_UP_GAP and LOOK_UPS_PER_DAY say how often that is done"
            }
            Self::Pace => "the random gap after the session's last send",
            Self::Cap => "the worker sends as much as SEND_CAP lets it, over all its sessions",
            Self::Keys => "WhatsApp is being asked for the devices and keys of the next recipient",
            Self::Storing => "the next message is being written to the database before it leaves",
            Self::Ack => "WhatsApp has not acknowledged the last message yet",
            Self::Attempt => {
                "WhatsApp acknowledged no earlier attempt for the recipients that are left; they are sent to again under \
                 the same message id, SEND_ATTEMPTS times in all"
            }
            Self::BackOff => "WhatsApp could not handle a message just now; it is sent again",
            Self::Upload => {
                "the file that it sends is being fetched, or uploaded to WhatsApp, or the page that it links to is asked, once for \
                 all recipients; other queues of the session go on meanwhile"
            }
            Self::OtherQueue => {
                "another queue of the session goes first; a single message overtakes a broadcast"
            }
            Self::Reading => "the next recipients are being read from the database",
            Self::TakingUp => "its worker has not come to it yet",
        }
    }
}

/// Which attempt is the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct NextAttempt {
    /// Its number, from 1.
    pub number: u16,
    /// How many there are at most.
    pub most: u16,
}

/// Why a queue stands still, as its worker stores it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Standstill {
    /// The reason.
    pub reason: Reason,
    /// Until when, where that is known.
    #[serde(
        with = "time::serde::rfc3339::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub until: Option<OffsetDateTime>,
    /// With [`Reason::Attempt`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<NextAttempt>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_name_words_and_its_row_in_the_documents() {
        let table = include_str!("../../docs/AMQP.md");
        for reason in Reason::ALL {
            assert!(!reason.detail().is_empty());
            let row = format!("| `{}` |", reason.as_str());
            assert!(table.contains(&row), "{row} is missing in docs/AMQP.md");
        }
    }

    #[test]
    fn a_standstill_is_read_back_and_says_no_more_than_it_knows() {
        let plain = Standstill {
            reason: Reason::Cap,
            until: None,
            attempt: None,
        };
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#"{"reason":"cap"}"#);
        let full = Standstill {
            reason: Reason::Attempt,
            until: Some(OffsetDateTime::UNIX_EPOCH),
            attempt: Some(NextAttempt { number: 2, most: 5 }),
        };
        let text = serde_json::to_string(&full).unwrap();
        assert_eq!(serde_json::from_str::<Standstill>(&text).unwrap(), full);
    }
}
