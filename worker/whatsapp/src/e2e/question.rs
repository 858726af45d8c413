//! What this part's questions were for.

use super::peer::Wanted;
use crate::jid::Jid;
use crate::part::Tickets;
use crate::signal::Address;
use crate::store::RecordKey;

/// The open questions.
pub(super) type Questions = Tickets<Question>;

/// One of them.
pub(super) enum Question {
    /// To the server: who is on WhatsApp and has which devices; with each, whether it is asked for as a number that may
    /// have no account.
    Devices(Vec<(Jid, bool)>),
    /// To the server: bundles to start sessions with.
    Bundles(Vec<Address>),
    /// To the server: how many of our one-time prekeys are left.
    PreKeyCount,
    /// To the server: publish prekeys.
    PreKeyUpload,
    /// To the server: what it holds of our keys.
    KeyDigest,
    /// To the store: ratchets, in this order.
    Sessions(Vec<Wanted>),
    /// To the store: what is known of a sender in a group.
    SenderKey(RecordKey),
    /// To the store: the other name of a user.
    Name(Jid),
    /// To the store: whether the other name of the first is the second.
    NameBack(Jid, Jid),
}
