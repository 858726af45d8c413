//! How often a message is sent that nobody answers, and how long is waited before it is sent again.
//!
//! Each time it goes under the same id, which a phone that has shown it drops. Knows nothing of queues.

use std::time::Duration;

use tokio::time::Instant;
use whatsapp::event::SendError;

/// The bounds of the attempts of one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Attempts {
    /// The most; after the last one the recipient is unknown.
    pub most: u16,
    /// How long is waited before the second; doubled before each further one, up to `PAUSE_MAX` or this.
    pub pause: Duration,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            most: 5,
            pause: Duration::from_secs(15),
        }
    }
}

/// Why nobody knows what became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The server had its time to answer.
    Unanswered,
    /// The connection, its queue's turn or its worker ended before.
    CutOff,
}

impl Silence {
    /// Of a send that failed for `reason` this long after its frame left, where an answer may take so long; `None` where
    /// the server said what became of it.
    pub(super) fn of(reason: &SendError, after: Duration, patience: Duration) -> Option<Self> {
        match reason {
            // The end of a connection answers all sends: what it had in hand for a while was not answered before.
            SendError::Unconfirmed if after >= patience / 2 => Some(Self::Unanswered),
            SendError::Unconfirmed | SendError::NotConnected | SendError::Cancelled => Some(Self::CutOff),
            _ => None,
        }
    }
}

impl Attempts {
    /// Whether no more may follow after so many.
    pub(super) fn are_over(self, made: u16) -> bool {
        made >= self.most
    }

    /// When the next may follow after so many.
    pub(super) fn next(self, made: u16, now: Instant) -> Instant {
        let doubled = self
            .pause
            .saturating_mul(2_u32.saturating_pow(u32::from(made.saturating_sub(1))));
        now + doubled.min(PAUSE_MAX.max(self.pause))
    }
}

/// The longest that is waited between two attempts, where the setting is not longer.
const PAUSE_MAX: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_wait_longer_each_time_and_come_to_an_end() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let waits = |made| attempts.next(made, now) - now;
        let seconds: Vec<u64> = (1..9).map(|made| waits(made).as_secs()).collect();
        assert_eq!(seconds, [15, 30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(waits(u16::MAX), PAUSE_MAX);
        assert!(!attempts.are_over(4) && attempts.are_over(5) && attempts.are_over(u16::MAX));
    }

    #[test]
    fn the_end_of_a_connection_is_told_from_silence_by_the_time_that_the_server_had() {
        let (patience, short) = (Duration::from_secs(30), Duration::from_secs(3));
        let of = |reason: &SendError, after| Silence::of(reason, after, patience);
        assert_eq!(of(&SendError::Unconfirmed, patience), Some(Silence::Unanswered));
        assert_eq!(of(&SendError::Unconfirmed, short), Some(Silence::CutOff));
        assert_eq!(of(&SendError::Nack { code: 429 }, short), None);
    }
}
