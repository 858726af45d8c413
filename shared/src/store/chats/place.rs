//! Lists into which what came in and what Fanfare sent are merged, and the places in them.
//!
//! What came in is in the order of its times. What Fanfare sent is in the order in which it was asked for, which stays as it is
//! while a queue goes on, and by which it is found without an index that each send would have to write to.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;
use uuid::Uuid;

use super::record::Found;
use crate::id::QueueId;

/// A place in a merged list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// That of what came in: its time, and its name.
    Kept(OffsetDateTime, String),
    /// That of what Fanfare sent.
    Sent(SentPlace),
}

/// The place of a recipient among all of its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SentPlace {
    /// When its queue was asked for.
    pub asked_at: OffsetDateTime,
    /// Its queue.
    pub queue: QueueId,
    /// Its place there.
    pub seq: u32,
}

/// What a walk over recipients found.
pub(super) struct Walked<T> {
    pub(super) rows: Vec<(SentPlace, T)>,
    /// How far it came; `None` for the end.
    pub(super) end: Option<SentPlace>,
}

/// Where both lists begin: [`Place`], as the statements take it.
pub(super) struct Start {
    pub(super) time: Option<OffsetDateTime>,
    /// What came in begins behind this name of that time.
    pub(super) name: String,
    /// What was sent begins behind this place of that time.
    pub(super) queue: Uuid,
    pub(super) seq: i32,
}

impl Start {
    pub(super) fn of(before: Option<&Place>) -> Self {
        // At one time what came in is first.
        match before {
            None => Self::at(None, String::new()),
            Some(Place::Kept(time, name)) => Self::at(Some(*time), name.clone()),
            Some(Place::Sent(place)) => Self {
                queue: place.queue.as_uuid(),
                seq: i32::try_from(place.seq).unwrap_or(i32::MAX),
                ..Self::at(Some(place.asked_at), String::new())
            },
        }
    }

    fn at(time: Option<OffsetDateTime>, name: String) -> Self {
        Self {
            time,
            name,
            queue: Uuid::max(),
            seq: i32::MAX,
        }
    }
}

/// One page of both lists, newest first. Of what was kept there are more than `limit`, or all.
pub(super) fn merge<T>(kept: Vec<(Place, T)>, sent: Walked<T>, limit: u32) -> Found<T, Place> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let sends = sent.rows.into_iter();
    let mut rows: Vec<(Place, T)> = kept;
    if let Some(end) = sent.end {
        // What was sent before may come in between.
        rows.retain(|(place, _)| place.time() >= end.asked_at);
    }
    rows.extend(sends.map(|(place, row)| (Place::Sent(place), row)));
    rows.sort_by_key(|(place, _)| std::cmp::Reverse(place.time()));
    let last = limit.checked_sub(1).and_then(|last| rows.get(last));
    let next = match last {
        Some((place, _)) if rows.len() > limit => Some(place.clone()),
        _ => sent.end.map(Place::Sent),
    };
    rows.truncate(limit);
    Found {
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        next,
    }
}

impl Place {
    fn time(&self) -> OffsetDateTime {
        match self {
            Self::Kept(time, _) => *time,
            Self::Sent(place) => place.asked_at,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(time, name) => write!(f, "{}/{name}", time.unix_timestamp_nanos()),
            Self::Sent(SentPlace { asked_at, queue, seq }) => {
                write!(f, "q{}/{queue}/{seq}", asked_at.unix_timestamp_nanos())
            }
        }
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let Some(sent) = text.strip_prefix('q') else {
            let (time, name) = text.split_once('/').ok_or(())?;
            let name = Some(name).filter(|name| !name.contains('\0')).ok_or(())?;
            return Ok(Self::Kept(moment(time)?, name.to_owned()));
        };
        let mut parts = sent.splitn(3, '/');
        let mut part = || parts.next().ok_or(());
        Ok(Self::Sent(SentPlace {
            asked_at: moment(part()?)?,
            queue: QueueId::new(part()?.parse().map_err(|_| ())?),
            seq: part()?.parse().map_err(|_| ())?,
        }))
    }
}

/// A time that the database has.
fn moment(nanos: &str) -> Result<OffsetDateTime, ()> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos.parse().map_err(|_| ())?);
    time.ok()
        .filter(|time| (1..=9_999).contains(&time.year()))
        .ok_or(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(second).unwrap()
    }

    fn kept(second: i64) -> (Place, i64) {
        (Place::Kept(at(second), "x".to_owned()), second)
    }

    fn sent(second: i64) -> SentPlace {
        SentPlace {
            asked_at: at(second),
            queue: QueueId::new(Uuid::nil()),
            seq: 7,
        }
    }

    #[test]
    fn a_place_is_what_it_is_written_as() {
        for place in [Place::Kept(at(7), "a/b@c".to_owned()), Place::Sent(sent(9))] {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for nonsense in [
            "",
            "7",
            "q7",
            "q7/x/1",
            "q7//1",
            "7/a\0b",
            "999999999999999999999999/x",
        ] {
            assert_eq!(nonsense.parse::<Place>(), Err(()), "{nonsense}");
        }
    }

    #[test]
    fn a_page_ends_where_either_list_may_have_more() {
        let walked = |end| Walked {
            rows: vec![(sent(8), 8), (sent(5), 5)],
            end,
        };
        let all = merge(vec![kept(9), kept(5), kept(2)], walked(None), 10);
        assert_eq!((all.rows, all.next), (vec![9, 8, 5, 5, 2], None));
        let cut = merge(vec![kept(9), kept(5), kept(2)], walked(Some(sent(4))), 10);
        assert_eq!(
            (cut.rows, cut.next),
            (vec![9, 8, 5, 5], Some(Place::Sent(sent(4))))
        );
        let full = merge(vec![kept(9), kept(5), kept(2)], walked(None), 2);
        assert_eq!((full.rows, full.next), (vec![9, 8], Some(Place::Sent(sent(8)))));
    }
}
