//! When a failed delivery is tried again: the published schedule, its jitter and the receiver's `Retry-After`.
//!
//! Pure: the time and the random number come from the caller.

use std::time::Duration;

/// Waits between the attempts that everybody gets unless `WEBHOOK_RETRY_SCHEDULE` says otherwise: the first
/// attempt is made at once, so eleven in all, over about three days.
pub(super) const DEFAULT_WAITS: [Duration; 10] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(30 * 3600),
];

/// Longest `Retry-After` that is honoured; a receiver that asks for more gets this.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Most waits that a schedule may have.
pub(super) const MAX_WAITS: usize = 32;

/// Share of a wait that jitter may add, so that what failed together does not come back together.
const JITTER: f64 = 0.2;

/// The waits between attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    waits: Vec<Duration>,
}

/// Why a text is not a schedule.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a schedule is 1 to {MAX_WAITS} waits in seconds, separated by commas, such as 5,30,120")]
pub(super) struct BadSchedule;

impl Default for Schedule {
    fn default() -> Self {
        Self {
            waits: DEFAULT_WAITS.to_vec(),
        }
    }
}

impl Schedule {
    /// How long to wait after `attempts` failed ones, or `None` when the delivery is dead. `dice` is uniform over
    /// [0, 1). What the receiver asked for is honoured up to [`MAX_RETRY_AFTER`], never shortened to less than the
    /// schedule.
    pub(super) fn wait(&self, attempts: u32, retry_after: Option<Duration>, dice: f64) -> Option<Duration> {
        let index = usize::try_from(attempts).ok()?.checked_sub(1)?;
        let planned = *self.waits.get(index)?;
        let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        Some(jittered(planned.max(asked), dice))
    }
}

impl std::str::FromStr for Schedule {
    type Err = BadSchedule;

    /// Reads waits in seconds, separated by commas; fractions are allowed. At most [`MAX_WAITS`], none negative or above
    /// thirty days.
    fn from_str(text: &str) -> Result<Self, BadSchedule> {
        const LONGEST_SECS: f64 = 30.0 * 86_400.0;
        let waits = text
            .split(',')
            .map(|wait| match wait.trim().parse::<f64>() {
                Ok(secs) if (0.0..=LONGEST_SECS).contains(&secs) => Ok(Duration::from_secs_f64(secs)),
                _ => Err(BadSchedule),
            })
            .collect::<Result<Vec<_>, _>>()?;
        if waits.len() > MAX_WAITS {
            return Err(BadSchedule);
        }
        Ok(Self { waits })
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date seen at `now_unix_secs`.
pub(super) fn retry_after(header: &str, now_unix_secs: i64) -> Option<Duration> {
    let header = header.trim();
    if let Ok(secs) = header.parse::<u64>() {
        return Some(Duration::from_secs(secs));
    }
    // IMF-fixdate, the only form a sender may still produce; its zone is always GMT.
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let at = time::PrimitiveDateTime::parse(header, format)
        .ok()?
        .assume_utc()
        .unix_timestamp();
    Some(Duration::from_secs(
        u64::try_from(at - now_unix_secs).unwrap_or(0),
    ))
}

fn jittered(wait: Duration, dice: f64) -> Duration {
    wait.mul_f64(1.0 + JITTER * dice.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_follow_the_schedule_and_end() {
        let schedule = "5, 30,120".parse::<Schedule>().unwrap();
        assert_eq!(schedule.wait(1, None, 0.0), Some(Duration::from_secs(5)));
        assert_eq!(schedule.wait(3, None, 0.0), Some(Duration::from_secs(120)));
        assert_eq!(schedule.wait(4, None, 0.0), None);
    }

    #[test]
    fn jitter_only_adds() {
        let schedule = Schedule::default();
        assert_eq!(schedule.wait(1, None, 0.5), Some(Duration::from_millis(5500)));
        assert_eq!(schedule.wait(1, None, 1.0), Some(Duration::from_secs(6)));
    }

    #[test]
    fn retry_after_is_honoured_within_bounds() {
        let schedule = Schedule::default();
        let ask = |secs| schedule.wait(1, Some(Duration::from_secs(secs)), 0.0);
        assert_eq!(ask(60), Some(Duration::from_secs(60)));
        assert_eq!(ask(1), Some(Duration::from_secs(5)));
        assert_eq!(ask(10_000_000), Some(MAX_RETRY_AFTER));
    }

    #[test]
    fn retry_after_reads_seconds_and_dates() {
        assert_eq!(retry_after(" 120 ", 0), Some(Duration::from_secs(120)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after(date, 784_111_777 - 30), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(date, 784_111_777 + 30), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", 0), None);
        assert_eq!(retry_after("-5", 0), None);
    }

    #[test]
    fn nonsense_is_no_schedule() {
        for text in ["", "x", "-1", "1,,2", "1e99", "NaN"] {
            assert_eq!(text.parse::<Schedule>(), Err(BadSchedule), "{text}");
        }
        assert!(vec!["1"; MAX_WAITS + 1].join(",").parse::<Schedule>().is_err());
    }
}
