//! Whether one queue has moved since it was last looked at, and its place in the gauge.

use shared::waiting::Reason;

use crate::session::meter::QueueStanding;

/// What is known of a queue's standstill.
#[derive(Debug, Default)]
pub(super) struct Still {
    /// How often it moved, and how often it had when it was last looked at.
    moves: u32,
    seen: Option<u32>,
    standing: QueueStanding,
}

impl Still {
    pub(super) fn note_move(&mut self) {
        self.moves = self.moves.wrapping_add(1);
    }

    /// Whether it has moved since the last look.
    pub(super) fn look(&mut self) -> bool {
        self.seen.replace(self.moves) != Some(self.moves)
    }

    /// Counts it among those that stand still for this reason, or move.
    pub(super) fn tell(&mut self, reason: Option<Reason>) {
        self.standing.wait(reason);
    }
}
