//! What all sessions of a worker share.

use std::sync::Arc;

use shared::clock::Clock;
use shared::random::Randomness;
use shared::store::Store;

use super::attempts::Attempts;
use super::cap::Cap;
use super::look_up::LookUpPace;
use super::pacer::Pace;
use super::rate::RateLimit;
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
    /// The pause of a session after "too fast".
    pub(crate) rate_limit: RateLimit,
    /// How often a message is sent that nobody answers.
    pub(crate) attempts: Attempts,
    /// How often a session looks unknown numbers up.
    pub(crate) look_ups: LookUpPace,
}
