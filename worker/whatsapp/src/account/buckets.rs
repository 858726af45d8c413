//! How long something lasts that the server counts in buckets of time.
//!
//! Facts: docs/PROTOCOL.md, "Tokens".

use crate::time::Timestamp;

/// A number of buckets of equal length. Time is cut into them from the epoch on, so that something that lasts four buckets
/// lasts three of them and what is left of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buckets {
    /// How long one is, in seconds.
    secs: u32,
    /// How many count, that of now among them.
    count: u32,
}

impl Buckets {
    /// What holds while the server says nothing: four weeks.
    pub(super) const DEFAULT: Self = Self {
        secs: 604_800,
        count: 4,
    };

    /// Another length, kept between a second and half a year.
    pub(super) fn with_secs(self, secs: u64) -> Self {
        let secs = to_u32(secs).clamp(1, MAX_SECS);
        Self { secs, ..self }
    }

    /// Another number, at least one.
    pub(super) fn with_count(self, count: u64) -> Self {
        let count = to_u32(count).max(1);
        Self { count, ..self }
    }

    /// The number of those.
    pub(super) fn with_count_of(self, other: Self) -> Self {
        let count = other.count;
        Self { count, ..self }
    }

    /// Whether what began then still lasts.
    pub(crate) fn hold(self, since: Timestamp, now: Timestamp) -> bool {
        since.as_secs() >= self.cutoff(now)
    }

    /// Whether `then` lies in an earlier bucket than now.
    pub(crate) fn is_earlier(self, then: Timestamp, now: Timestamp) -> bool {
        self.number(now) > self.number(then)
    }

    fn number(self, time: Timestamp) -> u64 {
        time.as_secs() / u64::from(self.secs)
    }

    /// When the first bucket begins that still counts, in seconds since the epoch.
    fn cutoff(self, now: Timestamp) -> u64 {
        let first = self.number(now).saturating_sub(u64::from(self.count - 1));
        first.saturating_mul(u64::from(self.secs))
    }
}

fn to_u32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Half a year: no token lasts longer in one bucket.
const MAX_SECS: u32 = 15_552_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_276_800);

    #[test]
    fn a_token_lasts_to_the_end_of_its_fourth_bucket() {
        let secs = Timestamp::from_secs;
        assert_eq!(Buckets::DEFAULT.number(NOW), 2968);
        assert_eq!(Buckets::DEFAULT.cutoff(NOW), 1_793_232_000);
        assert!(Buckets::DEFAULT.hold(secs(1_793_232_000), NOW));
        assert!(!Buckets::DEFAULT.hold(secs(1_793_231_999), NOW));
        assert!(Buckets::DEFAULT.with_count(26).hold(secs(1_793_231_999), NOW));
        assert!(!Buckets::DEFAULT.with_secs(1).hold(secs(1_795_276_796), NOW));
    }

    #[test]
    fn a_bucket_is_left_at_its_end_and_not_before() {
        let start = 2968 * 604_800;
        let is_earlier =
            |then, now| Buckets::DEFAULT.is_earlier(Timestamp::from_secs(then), Timestamp::from_secs(now));
        assert!(!is_earlier(start, start + 604_799));
        assert!(is_earlier(start + 604_799, start + 604_800));
        assert!(!is_earlier(start + 604_800, start));
    }

    #[test]
    fn numbers_out_of_bounds_are_kept_within() {
        let odd = Buckets::DEFAULT.with_secs(0).with_count(0);
        assert_eq!(odd, Buckets { secs: 1, count: 1 });
        let huge = Buckets::DEFAULT.with_secs(u64::MAX).with_count(u64::MAX);
        assert_eq!(huge.secs, MAX_SECS);
        assert!(huge.hold(Timestamp::EPOCH, NOW));
    }
}
