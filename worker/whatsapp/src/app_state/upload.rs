//! What this device adds to a collection, and what it has if the server takes it.

use super::collection::Collection;
use crate::event::{Event, QueryError};
use crate::part::Context;
use crate::sync_action::request::Record;
use crate::syncd::{BLOCK_BYTES, Change, Macs, Mutation, State};

/// What is to be added to a collection.
pub(super) struct Upload {
    /// The owner's.
    pub(super) ticket: u64,
    pub(super) collection: Collection,
    pub(super) records: Vec<Record>,
    /// How often others were first.
    pub(super) conflicts: u32,
}

/// What we have as soon as the server takes what was added.
pub(super) struct Sealed {
    pub(super) state: State,
    pub(super) macs: Macs,
    pub(super) mutations: Vec<Mutation>,
}

impl Upload {
    /// Tells the owner what became of it.
    pub(super) fn answer(&self, cx: &mut Context<'_>, result: Result<(), QueryError>) {
        let ticket = self.ticket;
        cx.emit(Event::SyncAnswered { ticket, result });
    }
}

/// The index of a record, as it is sealed.
pub(super) fn index(record: &Record) -> Vec<&str> {
    record.index.iter().map(String::as_str).collect()
}

/// A record that is written.
pub(super) fn change<'a>(record: &Record, index: &'a [&'a str], iv: [u8; BLOCK_BYTES]) -> Change<'a> {
    Change {
        operation: record.operation,
        index,
        value: record.value.clone(),
        version: record.version,
        iv,
    }
}

/// The same, as other devices will read it where there is none yet.
pub(super) fn mutation(record: &Record) -> Mutation {
    Mutation {
        operation: record.operation,
        index: record.index.clone(),
        value: record.value.clone(),
        replaces: false,
    }
}
