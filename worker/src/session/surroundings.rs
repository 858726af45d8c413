//! What all sessions of a worker share.

use std::sync::Arc;

use shared::broker::Broker;
use shared::clock::Clock;
use shared::job::{Delay, SendLimits};
use shared::random::Randomness;
use shared::store::Store;
use shared::telemetry::Tracer;

use super::attempts::Attempts;
use super::cap::Cap;
use super::look_up::LookUpPace;
use super::pacer::Pace;
use super::rate::RateLimit;
use crate::committer::Committer;
use crate::media::Files;
use crate::version::Versions;

/// What all sessions of a worker share.
pub(crate) struct Surroundings {
    pub(crate) store: Store,
    /// For jobs that a session has for itself.
    pub(crate) broker: Broker,
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
    /// Brings the files that messages carry.
    pub(crate) files: Files,
    /// How much is kept of what a message says; `None` keeps no messages.
    pub(crate) keep_bytes: Option<usize>,
    /// `MIN_FLOOR`, and how far ahead a queue may start.
    pub(crate) limits: SendLimits,
    /// Who is told what was done for which trace.
    pub(crate) tracer: Tracer,
}

impl Surroundings {
    /// The pace of a queue that asks for this gap: not below the floor.
    pub(super) fn pace_of(&self, delay: Delay) -> Option<Pace> {
        let delay = self.limits.raised(delay).unwrap_or(delay);
        Pace::new(delay.min(), delay.max()).ok()
    }
}
