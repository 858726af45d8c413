//! What this part's questions were for.

use super::lookup::Lookup;
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::part::Tickets;
use crate::signal::{PreKeyId, SignedPreKeyId};
use crate::store::SentMessage;

/// The open questions.
pub(super) type Questions = Tickets<Question>;

/// One of them.
pub(super) enum Question {
    /// To the server: which numbers have an account, for the owner.
    IsOnWhatsApp(Lookup),
    /// To the server: what the account lets others know.
    Privacy,
    /// To the store: a one-time prekey.
    PreKey(PreKeyId),
    /// To the store: a signed prekey.
    SignedPreKey(SignedPreKeyId),
    /// To the store: the content of a message that this device asks for again.
    Sent(MessageId, Jid),
    /// To the store: the content of a message that the server refused for how it was addressed.
    Refused(MessageId),
    /// To the store: what our phone was asked for.
    Placeholders,
    /// To the store: the present number of the chat that the message is in.
    Renumbered(MessageId, Jid, SentMessage),
}
