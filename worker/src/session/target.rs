//! One recipient of a queue, as it is in memory until it is settled.

use shared::id::StanzaId;
use shared::job::Reference;
use shared::recipient::Number;

/// One recipient that waits to be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its place in the queue.
    pub(crate) seq: u32,
    pub(crate) number: Number,
    /// What its caller calls it by.
    pub(crate) reference: Option<Reference>,
    /// The number that its account goes by, if WhatsApp said another one.
    pub(crate) addressee: Option<Number>,
    /// The stanza id it was, or is to be, sent under, if there is one already.
    pub(crate) stanza: Option<StanzaId>,
    /// It was sent before and nobody knows the outcome: it goes again under the same stanza id.
    pub(crate) again: bool,
    /// How often it was tried in vain since it was read.
    pub(crate) tries: u8,
}

impl Target {
    pub(crate) fn new(seq: u32, number: Number, stanza: Option<StanzaId>) -> Self {
        let (again, tries) = (false, 0);
        Self {
            seq,
            number,
            reference: None,
            addressee: None,
            stanza,
            again,
            tries,
        }
    }
}
