//! The crowd's half of the audit.

use serde::Serialize;
use tokio::sync::oneshot;

/// What contacts and phones made of the messages that they got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Messages (by id) that a contact was shown exactly once.
    pub shown_once: u64,
    /// Messages that a contact was shown more than once.
    pub shown_twice: u64,
    /// Those among both that did not come from a session but from a phone.
    pub shown_from_phones: u64,
    /// Texts that a contact was shown again by the same account under another id.
    pub repeated_texts: u64,
    /// Copies that came again after their message had been shown.
    pub duplicates_received: u64,
    /// Messages that a contact or phone could not read at first, for no fault of the simulator.
    pub undecryptable: u64,
    /// Those among `undecryptable` that it could read after asking again.
    pub recovered: u64,
    /// Messages that could not be read because a fault had corrupted them.
    pub undecryptable_by_fault: u64,
    /// Requests to send again.
    pub retries_requested: u64,
    /// Copies that were readable but not as they should be: padding, device identity, wrapping of own copies.
    pub malformed: u64,
    /// Copies for own devices that name another chat than their stanza, or by another kind of name.
    pub wrong_destinations: u64,
    /// Copies that companions of contacts and phones could read.
    pub shown_elsewhere: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.shown_once += other.shown_once;
        self.shown_twice += other.shown_twice;
        self.shown_from_phones += other.shown_from_phones;
        self.repeated_texts += other.repeated_texts;
        self.duplicates_received += other.duplicates_received;
        self.undecryptable += other.undecryptable;
        self.recovered += other.recovered;
        self.undecryptable_by_fault += other.undecryptable_by_fault;
        self.retries_requested += other.retries_requested;
        self.malformed += other.malformed;
        self.wrong_destinations += other.wrong_destinations;
        self.shown_elsewhere += other.shown_elsewhere;
    }
}

/// Adds up what the shards answered.
pub async fn sum(tallies: Vec<oneshot::Receiver<Tally>>) -> Tally {
    let mut total = Tally::default();
    for tally in tallies {
        if let Ok(tally) = tally.await {
            total.add(&tally);
        }
    }
    total
}
