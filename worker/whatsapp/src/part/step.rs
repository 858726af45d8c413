//! What one or more inputs amount to: the unit of durability.

use std::fmt;

use bytes::Bytes;

use crate::{binary::Node, event::Event, reason::CloseReason, store::Changes};

/// What to do next, in this order: commit `changes` and `events` in one transaction, then write `frames` to the socket,
/// then close it if `close` says so.
#[derive(Default)]
pub struct Step {
    /// State to make durable.
    pub changes: Changes,
    /// What the owner must know, durable with the state.
    pub events: Vec<Event>,
    /// Bytes for the socket: whole sealed frames, in order. Must not leave before the commit.
    pub frames: Vec<Bytes>,
    /// The connection is over after this step.
    pub close: Option<CloseReason>,
}

impl Step {
    /// Whether the step has something to commit. If not, its bytes may leave as soon as every earlier step's have.
    pub fn needs_commit(&self) -> bool {
        !self.changes.is_empty() || !self.events.is_empty()
    }
}

/// Frames are printed by their number.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("changes", &self.changes)
            .field("events", &self.events)
            .field("frames", &self.frames.len())
            .field("close", &self.close)
            .finish()
    }
}

/// The step that inputs are being gathered into.
#[derive(Default)]
pub(crate) struct Gathering {
    pub(crate) changes: Changes,
    pub(crate) events: Vec<Event>,
    pub(crate) frames: Vec<Node>,
    pub(crate) close: Option<CloseReason>,
}

impl Gathering {
    /// Notes the end of the connection; the first reason holds.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        self.close.get_or_insert(reason);
    }

    /// How much has gathered, for the bound on it.
    pub(crate) fn len(&self) -> usize {
        self.events.len() + self.frames.len() + self.changes.len()
    }
}
