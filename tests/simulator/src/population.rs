//! Who has WhatsApp among the numbers that no phone was made for: contacts, in runs of consecutive numbers.
//!
//! A run costs a few bytes however many contacts it has; what a contact is (keys, hidden id) is derived when needed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::number::{Addressing, MAX_DIGITS, Number};

/// Most contacts of one run.
pub const MAX_COUNT: u64 = 10_000_000;

/// What contacts say back when they get a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The text that they got.
    Echo,
    /// Always this text.
    Text(String),
}

/// How the contacts of a run behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manners {
    /// When the delivery receipt leaves after a message came; `None` for never.
    pub deliver_after: Option<Duration>,
    /// When the read receipt leaves after a message came (not before the delivery receipt); `None` for never.
    pub read_after: Option<Duration>,
    /// What they answer to a text.
    pub reply: Option<Reply>,
    /// Whether a message id that was shown is dropped when it comes again, as phones do.
    pub dedupe: bool,
    /// The form of their own address in what they send by themselves.
    pub addressing: Addressing,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            deliver_after: Some(Duration::ZERO),
            read_after: None,
            reply: None,
            dedupe: true,
            addressing: Addressing::Pn,
        }
    }
}

/// A run of contacts: `prefix` followed by an index, padded with zeros to the digits of `count - 1`.
#[derive(Clone, Debug)]
pub struct Run {
    /// The first number.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Digits of the index.
    pub width: u32,
    /// How they behave.
    pub manners: Arc<Manners>,
}

/// Contacts can't be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PopulationError {
    /// The prefix holds something else than digits, starts with 0, or makes numbers that are too short or too long.
    #[error("must be digits that do not start with 0 and make numbers of 5 to {MAX_DIGITS} digits")]
    Prefix,
    /// Zero or too many.
    #[error("must be 1 to {MAX_COUNT}")]
    Count,
    /// Some of the numbers belong to other contacts.
    #[error("overlaps contacts that exist")]
    Overlap,
}

/// All runs.
#[derive(Debug, Default)]
pub struct Population {
    runs: BTreeMap<u64, Run>,
}

impl Population {
    /// The run that the contacts of `prefix` and `count` would be, without adding it.
    ///
    /// # Errors
    /// If prefix or count are out of range.
    pub fn plan(prefix: &str, count: u64, manners: Manners) -> Result<Run, PopulationError> {
        if count == 0 || count > MAX_COUNT {
            return Err(PopulationError::Count);
        }
        let width = (count - 1).checked_ilog10().unwrap_or(0) + 1;
        let digits_only = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        if !digits_only || prefix.starts_with('0') || prefix.len() + width as usize > MAX_DIGITS {
            return Err(PopulationError::Prefix);
        }
        let prefix: u64 = prefix.parse().map_err(|_| PopulationError::Prefix)?;
        let first = prefix * 10u64.pow(width);
        Number::new(first).ok_or(PopulationError::Prefix)?;
        Ok(Run {
            first,
            count,
            width,
            manners: Arc::new(manners),
        })
    }

    /// Adds the run, or gives the contacts of the same run their new manners.
    ///
    /// # Errors
    /// If it overlaps another run.
    pub fn add(&mut self, run: Run) -> Result<(), PopulationError> {
        let same = self
            .runs
            .get(&run.first)
            .is_some_and(|old| old.width == run.width);
        let end = run.first + run.count;
        let overlaps = self.runs.range(..end).next_back().is_some_and(|(_, last)| {
            last.first + last.count > run.first && !(same && last.first == run.first)
        });
        if overlaps {
            return Err(PopulationError::Overlap);
        }
        self.runs.insert(run.first, run);
        Ok(())
    }

    /// How the contact of this number behaves; `None` if it is no contact.
    #[must_use]
    pub fn manners(&self, number: Number) -> Option<&Arc<Manners>> {
        let (_, run) = self.runs.range(..=number.get()).next_back()?;
        (number.get() - run.first < run.count).then_some(&run.manners)
    }

    /// Whether any contact has one of these numbers.
    #[must_use]
    pub fn contains(&self, number: Number) -> bool {
        self.manners(number).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(digits: u64) -> Number {
        Number::new(digits).unwrap()
    }

    #[test]
    fn numbers_are_the_prefix_and_a_padded_index() {
        let mut all = Population::default();
        all.add(Population::plan("1555000", 100, Manners::default()).unwrap())
            .unwrap();
        assert!(all.contains(number(155_500_000)));
        assert!(all.contains(number(155_500_099)));
        assert!(!all.contains(number(155_500_100)));
        assert!(!all.contains(number(155_499_999)));
        all.add(Population::plan("1777000", 1, Manners::default()).unwrap())
            .unwrap();
        assert!(all.contains(number(17_770_000)));
        assert!(!all.contains(number(17_770_001)));
    }

    #[test]
    fn overlapping_runs_are_refused_but_manners_may_change() {
        let mut all = Population::default();
        all.add(Population::plan("1555000", 100, Manners::default()).unwrap())
            .unwrap();
        let within = Population::plan("15550001", 10, Manners::default()).unwrap();
        assert_eq!(all.add(within), Err(PopulationError::Overlap));
        let manners = Manners {
            dedupe: false,
            ..Manners::default()
        };
        all.add(Population::plan("1555000", 50, manners).unwrap())
            .unwrap();
        assert!(!all.manners(number(155_500_001)).unwrap().dedupe);
    }

    #[test]
    fn bad_runs_are_refused() {
        for (prefix, count) in [
            ("", 1),
            ("0155", 10),
            ("1a", 10),
            ("155500000000000", 10),
            ("1", 1),
        ] {
            assert_eq!(
                Population::plan(prefix, count, Manners::default()).unwrap_err(),
                PopulationError::Prefix,
                "{prefix}"
            );
        }
        assert_eq!(
            Population::plan("1555", 0, Manners::default()).unwrap_err(),
            PopulationError::Count
        );
    }
}
