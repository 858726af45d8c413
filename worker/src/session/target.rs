//! One recipient of a queue, as it is in memory until it is settled.

use shared::content::Variables;
use shared::id::StanzaId;
use shared::job::Reference;
use shared::recipient::Number;
use shared::store::recipients::{Pending, RecipientState};
use shared::trace::TraceContext;

/// One recipient that waits to be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its place in the queue.
    pub(crate) seq: u32,
    pub(crate) number: Number,
    /// What its caller calls it by.
    pub(crate) reference: Option<Reference>,
    /// What of its queue's texts is its own, where they have placeholders.
    pub(crate) variables: Option<Variables>,
    /// The number that its account goes by, if WhatsApp said another one.
    pub(crate) addressee: Option<Number>,
    /// The stanza id it was, or is to be, sent under, if there is one already.
    pub(crate) stanza: Option<StanzaId>,
    /// It was sent before and nobody knows the outcome: it goes again under the same stanza id.
    pub(crate) again: bool,
    /// How often it may have left without an answer; stored.
    pub(crate) attempts: u16,
    /// How often it was cut off since it was read.
    pub(crate) cuts: u8,
    /// How often it was refused for trouble of the server since it was read.
    pub(crate) tries: u8,
    /// The trace of its message, once that was asked for.
    pub(crate) trace: Option<TraceContext>,
}

impl Target {
    /// One that was never sent to.
    pub(crate) fn new(seq: u32, number: Number, stanza: Option<StanzaId>) -> Self {
        Self {
            seq,
            number,
            reference: None,
            variables: None,
            addressee: None,
            stanza,
            again: false,
            attempts: 0,
            cuts: 0,
            tries: 0,
            trace: None,
        }
    }

    /// Whether it stands behind those that were sent to less often, and goes alone.
    pub(crate) fn is_late(&self) -> bool {
        self.again && (self.attempts > 1 || self.cuts > 1)
    }
}

impl From<Pending> for Target {
    fn from(pending: Pending) -> Self {
        Self {
            again: pending.state == RecipientState::Sending,
            attempts: pending.attempts,
            reference: pending.reference,
            variables: pending.variables,
            addressee: pending.addressee,
            ..Self::new(pending.seq, pending.number, pending.stanza)
        }
    }
}
