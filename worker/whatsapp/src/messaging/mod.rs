//! Messages, end to end encrypted: who gets which ciphertext, and what each incoming one means.
//!
//! Owns the sends under way, the device lists, the ratchets in memory, the incoming pipeline, receipts and retries, and
//! the supply of prekeys. Sees the world only through [`Context`]; does not know sockets, Noise or login.
//!
//! What keeps it honest: a ratchet's change, the event that tells of it and the frame it produced go into the same
//! step, and a ratchet with a change that is not durable yet is never forgotten and read again from the store.

use crate::binary::Node;
use crate::command::Outgoing;
use crate::connection::{AckBy, Context};
use crate::event::QueryError;
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::signal::{Address, PreKeyId, SignedPreKeyId};
use crate::store::Loaded;
use crate::time::Timestamp;

/// What one of messaging's questions to the server was for.
#[derive(Debug)]
pub enum Op {
    /// Who is on WhatsApp and has which devices, for the sends that wait.
    Devices(Vec<Jid>),
    /// Bundles to start sessions with.
    Bundles(Vec<Address>),
    /// How many of our one-time prekeys are left.
    PreKeyCount,
    /// Publish prekeys.
    PreKeyUpload,
    /// What the server holds of our keys.
    KeyDigest,
    /// Replace the signed prekey.
    Rotate,
    /// Which numbers have an account, for the owner.
    IsOnWhatsApp {
        /// The owner's ticket.
        ticket: u64,
        /// The numbers as asked.
        numbers: Vec<String>,
    },
}

/// What one of messaging's questions to the store was for.
#[derive(Debug)]
pub enum LoadTag {
    /// Ratchets, in this order.
    Sessions(Vec<Address>),
    /// A one-time prekey.
    PreKey(PreKeyId),
    /// A signed prekey.
    SignedPreKey(SignedPreKeyId),
    /// The content of a message that a device asks for again.
    SentMessage(MessageId, Address),
    /// The other names of these users.
    Lids(Vec<Jid>),
}

/// The messaging part of one connection.
#[derive(Debug, Default)]
pub struct Messaging {}

impl Messaging {
    /// Nothing under way; allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The login succeeded: checks the supply of prekeys. Call before the stanzas that waited are asked for.
    pub fn start_online(&mut self, _cx: &mut Context<'_>) {}

    /// Sends a message. Answered by events.
    pub fn send(&mut self, _cx: &mut Context<'_>, _outgoing: Box<Outgoing>) {}

    /// Forgets a send whose frame is not in a step yet.
    pub fn cancel(&mut self, _cx: &mut Context<'_>, _id: &MessageId) {}

    /// Asks which numbers have an account. Answered by an event.
    pub fn is_on_whatsapp(&mut self, _cx: &mut Context<'_>, _ticket: u64, _numbers: Vec<String>) {}

    /// Tells the sender that messages were read.
    pub fn mark_read(&mut self, _cx: &mut Context<'_>, _chat: &Jid, _sender: Option<&Jid>, _ids: &[MessageId]) {}

    /// Whether the account is at the keyboard; decides the kind of delivery receipts.
    pub fn set_available(&mut self, _available: bool) {}

    /// One of our questions to the server has an outcome.
    pub fn on_iq(&mut self, _cx: &mut Context<'_>, _op: Op, _outcome: Result<Node, QueryError>) {}

    /// One of our questions to the store has an answer.
    pub fn on_loaded(&mut self, _cx: &mut Context<'_>, _tag: LoadTag, _loaded: Loaded) {}

    /// A `<message>` came in. Acknowledged here.
    pub fn on_message(&mut self, _cx: &mut Context<'_>, _stanza: Node) {}

    /// A `<receipt>` came in.
    pub fn on_receipt(&mut self, _cx: &mut Context<'_>, _stanza: &Node) -> AckBy {
        AckBy::Connection
    }

    /// An `<ack>` came in.
    pub fn on_ack(&mut self, _cx: &mut Context<'_>, _stanza: &Node) {}

    /// A `<notification>` came in that is no part of pairing.
    pub fn on_notification(&mut self, _cx: &mut Context<'_>, _stanza: &Node) -> AckBy {
        AckBy::Connection
    }

    /// A step that carries changes was taken and is being committed.
    pub fn on_step_taken(&mut self) {}

    /// The step taken last is durable.
    pub fn on_committed(&mut self) {}

    /// The connection is over: sends without an answer are answered.
    pub fn on_closed(&mut self, _cx: &mut Context<'_>) {}

    /// When [`Self::tick`] wants to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        None
    }

    /// Time passed.
    pub fn tick(&mut self, _cx: &mut Context<'_>) {}
}
