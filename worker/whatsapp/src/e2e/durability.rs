//! Whether the store has the last change of something in memory.

/// Where the last change of an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// In the store: the entry may be forgotten and read again.
    Durable,
    /// In the step that is being committed.
    Committing,
    /// In the step that gathers.
    Gathering,
}

impl Durability {
    /// Whether the store has it.
    pub(super) const fn is_durable(self) -> bool {
        matches!(self, Self::Durable)
    }

    /// The step that gathered is being committed.
    pub(super) fn on_step_taken(&mut self) {
        if *self == Self::Gathering {
            *self = Self::Committing;
        }
    }

    /// The step taken last is durable.
    pub(super) fn on_committed(&mut self) {
        if *self == Self::Committing {
            *self = Self::Durable;
        }
    }
}
