//! What all sessions of a worker share.

use std::sync::Arc;

use shared::clock::Clock;
use shared::random::Randomness;
use shared::store::Store;

use super::cap::Cap;
use super::pacer::Pace;
use crate::committer::Committer;
use crate::version::Versions;

/// What all sessions of a worker share.
pub(crate) struct Surroundings {
    pub(crate) store: Store,
    pub(crate) committer: Committer,
    pub(crate) clock: Clock,
    pub(crate) randomness: Randomness,
    /// The settings of connections, with the current version.
    pub(crate) versions: Versions,
    /// The gap between sends where a queue names none.
    pub(crate) pace: Pace,
    pub(crate) cap: Arc<Cap>,
}
