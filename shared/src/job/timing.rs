//! When a schedule fires: a cron expression in a time zone, or once.
//!
//! Pure: a time in, the next one out. The only use of croner and chrono.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use time::OffsetDateTime;

use crate::body::{JobError, Moment};
use crate::clock::unix_millis;

/// Most characters of a cron expression.
const CRON_MAX: usize = 200;

/// When a schedule fires.
#[derive(Clone, Debug, PartialEq)]
pub enum Timing {
    /// Again and again.
    Cron(Recurrence),
    /// Once.
    At(OffsetDateTime),
}

/// A cron expression of five fields in a time zone.
#[derive(Clone, Debug)]
pub struct Recurrence {
    text: String,
    /// Some hundred bytes, of which a one-shot has none.
    cron: Box<Cron>,
    zone: Tz,
}

impl PartialEq for Recurrence {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.zone) == (&other.text, other.zone)
    }
}

impl Recurrence {
    /// Reads an expression. A zone that is not named is UTC.
    ///
    /// # Errors
    /// [`JobError`] on `cron` or `timezone`: also for an expression that no day answers to.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self, JobError> {
        let zone: Tz = zone
            .unwrap_or("UTC")
            .parse()
            .map_err(|_| JobError::new("timezone", "must be an IANA time zone, such as Europe/Berlin"))?;
        let text = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let fields = "must have five fields: minute, hour, day of the month, month, day of the week";
        if text.len() > CRON_MAX || text.split(' ').count() != 5 {
            return Err(JobError::new("cron", fields));
        }
        let cron = parser
            .parse(&text)
            .map_err(|error| JobError::new("cron", format!("{fields} ({error})")))?;
        let recurrence = Self {
            text,
            cron: Box::new(cron),
            zone,
        };
        if recurrence.next(OffsetDateTime::UNIX_EPOCH).is_none() {
            return Err(JobError::new("cron", "never fires: no day answers to it"));
        }
        Ok(recurrence)
    }

    /// The expression, its fields divided by one blank each.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of the time zone.
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// The first time behind `after`.
    fn next(&self, after: OffsetDateTime) -> Option<OffsetDateTime> {
        let after = in_zone(after, self.zone)?;
        from_zone(&self.cron.find_next_occurrence(&after, false).ok()?)
    }

    /// The last time not behind `now`.
    fn last(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let now = in_zone(now, self.zone)?;
        from_zone(&self.cron.find_previous_occurrence(&now, true).ok()?)
    }
}

impl Timing {
    /// Reads what a body says of it: `cron` with a `timezone`, or `at`.
    pub(super) fn read(cron: Option<&str>, zone: Option<&str>, at: Option<Moment>) -> Result<Self, JobError> {
        match (cron, at) {
            (Some(cron), None) => Recurrence::parse(cron, zone).map(Self::Cron),
            (None, Some(at)) => {
                let at = at.time().map_err(|problem| JobError::new("at", problem))?;
                match zone {
                    Some(_) => Err(JobError::new("timezone", "goes with cron: at has its own offset")),
                    None => Ok(Self::At(at)),
                }
            }
            (Some(_), Some(_)) => Err(JobError::new("at", "must not be given beside cron")),
            (None, None) => Err(JobError::new("cron", "is required, or at")),
        }
    }

    /// The first firing behind `after`.
    pub fn next(&self, after: OffsetDateTime) -> Option<OffsetDateTime> {
        match self {
            Self::Cron(recurrence) => recurrence.next(after),
            Self::At(at) => (*at > after).then_some(*at),
        }
    }

    /// The next `count` firings behind `after`.
    pub fn upcoming(&self, after: OffsetDateTime, count: usize) -> Vec<OffsetDateTime> {
        std::iter::successors(self.next(after), |last| self.next(*last))
            .take(count)
            .collect()
    }

    /// The last firing not behind `now`.
    pub fn last(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        match self {
            Self::Cron(recurrence) => recurrence.last(now),
            Self::At(at) => (*at <= now).then_some(*at),
        }
    }
}

fn in_zone(at: OffsetDateTime, zone: Tz) -> Option<DateTime<Tz>> {
    Some(DateTime::<Utc>::from_timestamp_millis(unix_millis(at))?.with_timezone(&zone))
}

fn from_zone(at: &DateTime<Tz>) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(at.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn upcoming(cron: &str, zone: &str, after: OffsetDateTime) -> Vec<OffsetDateTime> {
        Timing::Cron(Recurrence::parse(cron, Some(zone)).unwrap()).upcoming(after, 3)
    }

    #[test]
    fn a_cron_expression_is_read_in_its_time_zone_over_the_change_of_clocks() {
        let noon = upcoming("05 12 * * *", "Europe/Berlin", datetime!(2026-03-28 00:00 UTC));
        // Berlin goes from +1 to +2 on the 29th.
        assert_eq!(
            noon,
            [
                datetime!(2026-03-28 11:05 UTC),
                datetime!(2026-03-29 10:05 UTC),
                datetime!(2026-03-30 10:05 UTC)
            ]
        );
        // 02:30 is twice on the day that clocks go back, and is one firing.
        let night = upcoming("30 2 * * *", "Europe/Berlin", datetime!(2026-10-24 12:00 UTC));
        assert_eq!(night[0].date(), datetime!(2026-10-25 00:00 UTC).date());
        assert_eq!(night[1].date(), datetime!(2026-10-26 00:00 UTC).date());
        let leap = upcoming("0 0 29 2 *", "UTC", datetime!(2026-01-01 00:00 UTC));
        assert_eq!(leap[0], datetime!(2028-02-29 00:00 UTC));
    }

    #[test]
    fn what_never_fires_or_can_not_be_read_is_refused_by_its_field() {
        for (cron, zone, field) in [
            ("0 0 31 2 *", "UTC", "cron"),
            ("0 0 * *", "UTC", "cron"),
            ("0 0 0 * * *", "UTC", "cron"),
            ("61 0 * * *", "UTC", "cron"),
            ("nonsense here and so on", "UTC", "cron"),
            ("0 0 * * *", "Atlantis/Poseidonis", "timezone"),
        ] {
            assert_eq!(
                Recurrence::parse(cron, Some(zone)).unwrap_err().field,
                field,
                "{cron} {zone}"
            );
        }
    }

    #[test]
    fn the_last_firing_is_not_behind_now() {
        let hourly = Timing::Cron(Recurrence::parse("0 * * * *", None).unwrap());
        let now = datetime!(2026-03-28 10:00 UTC);
        assert_eq!(hourly.last(now), Some(now));
        assert_eq!(
            hourly.last(now - time::Duration::SECOND),
            Some(datetime!(2026-03-28 09:00 UTC))
        );
        let once = Timing::At(now);
        assert_eq!((once.next(now), once.last(now)), (None, Some(now)));
    }
}
