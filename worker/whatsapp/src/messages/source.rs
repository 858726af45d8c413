//! Where a message comes from, as far as that decides how it is answered.
//!
//! Each kind of message has one answer that ends its delivery; any other makes the server bring it again and again, or hold
//! back what waits behind it.
//!
//! Facts: docs/PROTOCOL.md, "Receipts" and "Own copies".

use std::time::Duration;

use crate::command::Presence;
use crate::device::Device;
use crate::e2e::is_own;
use crate::jid::{Jid, Server};
use crate::part::Context;
use crate::stanza::message::Received;
use crate::stanza::receipt::{self, Arrival};
use crate::time::Timestamp;

/// A status update that can't be read is asked for no more when it is this old: it is not shown any longer either.
const STATUS_LIVES: Duration = Duration::from_secs(24 * 3600);

/// Who a message is from, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Somebody else's, in any chat.
    Theirs,
    /// What another device of ours sent into a chat with one person.
    OwnCopy,
    /// What another device of ours sent into a group or list.
    OwnInGroup,
    /// What another device of ours wrote and names no chat for; or a bot in a chat of people.
    AckOnly,
    /// Between our own devices.
    Peer,
    /// A status update.
    Status,
}

impl Source {
    pub(super) fn of(device: &Device, stanza: &Received) -> Self {
        let own = is_own(device, stanza.sender());
        let is_bot = stanza.sender().server() == Server::Bot && stanza.from.server() != Server::Bot;
        match stanza {
            _ if own && stanza.peer => Self::Peer,
            _ if is_status(&stanza.from) && !own => Self::Status,
            _ if is_bot => Self::AckOnly,
            _ if !own => Self::Theirs,
            _ if stanza.participant.is_some() => Self::OwnInGroup,
            _ if stanza.recipient.is_some() => Self::OwnCopy,
            _ => Self::AckOnly,
        }
    }

    /// Whether its sender is asked for what can't be read. Our own devices are asked in vain: what they wrote is not kept
    /// for us.
    pub(super) fn can_be_asked(self, stanza: &Received, now: Timestamp) -> bool {
        match self {
            Self::Theirs | Self::OwnInGroup | Self::Peer => true,
            Self::OwnCopy | Self::AckOnly => false,
            Self::Status => now.since(stanza.timestamp) < STATUS_LIVES,
        }
    }

    /// Whether our phone may be asked for what nobody else gives us.
    pub(super) fn can_be_asked_of_phone(self) -> bool {
        matches!(self, Self::Theirs | Self::OwnInGroup)
    }

    /// Whether a refusal may name an error. One for a status update keeps it, and all that waits behind it, where it is.
    pub(super) fn can_be_refused(self) -> bool {
        !matches!(self, Self::Status | Self::OwnCopy | Self::AckOnly)
    }

    /// The receipt that ends its delivery; `None` if an ack does.
    pub(super) fn arrival(self, presence: Option<Presence>) -> Option<Arrival> {
        match self {
            Self::Peer => Some(Arrival::Peer),
            Self::OwnCopy => Some(Arrival::OwnDevice),
            Self::Status => Some(Arrival::Delivered),
            Self::AckOnly => None,
            Self::Theirs | Self::OwnInGroup => Some(match presence {
                Some(Presence::Available) => Arrival::Delivered,
                _ => Arrival::Inactive,
            }),
        }
    }
}

/// Tells the server that a copy of what another device of ours sent is here, read or not.
pub(super) fn settle_own_copy(cx: &mut Context<'_>, stanza: &Received) {
    let recipient = stanza.recipient.as_ref().map(Jid::to_bare);
    let kind = Arrival::OwnDevice;
    cx.send(receipt::arrival(
        kind,
        &stanza.id,
        &stanza.from,
        None,
        recipient.as_ref(),
    ));
}

fn is_status(chat: &Jid) -> bool {
    chat.server() == Server::Broadcast && chat.user() == "status"
}
