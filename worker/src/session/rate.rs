//! Pauses of a whole session: what follows "too fast", and what follows trouble of the server.
//!
//! Both grow with each failure in a row and end with a send that goes through.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

/// The bounds of the pause after "too fast".
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// The first pause.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(5),
            longest: Duration::from_secs(600),
        }
    }
}

/// The pause of one session.
#[derive(Debug, Default)]
pub(super) struct Pause {
    until: Option<Instant>,
    /// Pauses in a row.
    steps: u32,
}

impl Pause {
    /// One that the last owner of the session began and that is not over.
    pub(super) fn resume(until: Option<OffsetDateTime>, wall: OffsetDateTime, now: Instant) -> Self {
        let left = until.and_then(|until| Duration::try_from(until - wall).ok());
        Self {
            until: left.map(|left| now + left.min(RESUMED_MAX)),
            steps: 0,
        }
    }

    /// Until when nothing is sent.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// It fails: from now on nothing is sent for a while, and longer than the last time. What fails during the pause was
    /// on its way before: it changes nothing. Answers the pause, if it begins now.
    pub(super) fn begin(&mut self, bounds: RateLimit, now: Instant) -> Option<Duration> {
        if self.until(now).is_some() {
            return None;
        }
        let grown = bounds.first.saturating_mul(2_u32.saturating_pow(self.steps));
        let pause = grown.min(bounds.longest);
        self.steps = self.steps.saturating_add(1);
        self.until = Some(now + pause);
        Some(pause)
    }

    /// A send went through, and not one from before the pause.
    pub(super) fn went_through(&mut self, now: Instant) {
        if self.until(now).is_none() {
            self.steps = 0;
        }
    }

    /// It is tried again at once.
    pub(super) fn forget(&mut self) {
        self.until = None;
    }
}

/// How often a send is tried again that fails by trouble of the server.
pub(super) const TRIES_MAX: u8 = 30;
/// The pauses before those.
pub(super) const TROUBLE: RateLimit = RateLimit {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
};
/// The longest that is waited for what an earlier owner stored, whatever the clocks say.
const RESUMED_MAX: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_end_with_success() {
        let bounds = RateLimit {
            first: Duration::from_secs(5),
            longest: Duration::from_secs(60),
        };
        let (mut pause, mut now) = (Pause::default(), Instant::now());
        let mut seen = Vec::new();
        for _ in 0..6 {
            seen.push(pause.begin(bounds, now).unwrap().as_secs());
            // Others that were on their way fail too.
            assert_eq!(pause.begin(bounds, now), None);
            pause.went_through(now);
            now = pause.until(now).unwrap();
        }
        assert_eq!(seen, [5, 10, 20, 40, 60, 60]);
        assert_eq!(pause.until(now), None);
        pause.went_through(now);
        assert_eq!(pause.begin(bounds, now), Some(bounds.first));
    }

    #[test]
    fn trouble_of_twenty_minutes_costs_no_recipient() {
        let (mut pause, mut now) = (Pause::default(), Instant::now());
        let start = now;
        for _ in 0..TRIES_MAX {
            pause.begin(TROUBLE, now).unwrap();
            now = pause.until(now).unwrap();
        }
        assert!(now - start > Duration::from_secs(20 * 60), "{:?}", now - start);
    }

    #[test]
    fn a_new_owner_waits_out_what_is_left() {
        let (wall, now) = (OffsetDateTime::UNIX_EPOCH, Instant::now());
        let left = |seconds: i64| {
            let until = wall + time::Duration::seconds(seconds);
            Pause::resume(Some(until), wall, now).until(now)
        };
        assert_eq!(left(7), Some(now + Duration::from_secs(7)));
        assert_eq!(left(-7), None);
        assert_eq!(left(10_000_000), Some(now + RESUMED_MAX));
    }
}
