//! The recipients of a job, as callers list them: who is sent to, who is left out, and how each was read.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::names::Reference;
use crate::body::{self, JobError, JobErrorKind};
use crate::named::stored;
use crate::recipient::Number;

/// Most recipients of one job.
pub const RECIPIENTS_MAX: usize = 100_000;
/// Most entries of each list in a [`Reading`], and most bad numbers that one refusal names; the rest is counted.
pub const LISTED_MAX: usize = 100;

/// One to send to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recipient {
    /// Who.
    pub number: Number,
    /// What the caller calls them by.
    pub reference: Option<Reference>,
}

impl From<Number> for Recipient {
    fn from(number: Number) -> Self {
        Self {
            number,
            reference: None,
        }
    }
}

impl Serialize for Recipient {
    /// As callers may write it: the number alone where there is no more to say.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            number: &'a Number,
            reference: &'a Reference,
        }
        let number = &self.number;
        match &self.reference {
            None => number.serialize(serializer),
            Some(reference) => Whole { number, reference }.serialize(serializer),
        }
    }
}

stored! {
    /// What to do about a recipient who is named twice, also by another number of the same account.
    #[derive(Default)]
    Duplicates {
        /// One message to each.
        #[default]
        Drop = 0 "drop",
        /// A message each time.
        Allow = 1 "allow",
    }
}

impl Duplicates {
    /// Whether it is what holds where nothing is said.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What to do about a recipient that can't be read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Invalid {
    /// The job is refused.
    #[default]
    Refuse,
    /// It is left out.
    Skip,
}

/// How a job's list of recipients was read. Places in it count from 0; each list has at most 100 entries.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// Those who are named earlier in the list: they get one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<Listed<DuplicateEntry>>,
    /// Those who can't be read and were left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid: Option<Listed<InvalidEntry>>,
    /// Those who were written in another way than the one in which they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_as: Option<Listed<ReadEntry>>,
}

/// A list that may be cut.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Listed<T> {
    /// How many there are.
    pub count: u32,
    /// The first of them.
    pub first: Vec<T>,
}

/// Somebody who is named twice.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DuplicateEntry {
    /// Where.
    pub place: u32,
    /// Where first.
    pub of: u32,
}

/// Somebody who can't be read.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvalidEntry {
    /// Where.
    pub place: u32,
    /// Why.
    pub problem: String,
}

/// A number in other words.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReadEntry {
    /// Where.
    pub place: u32,
    /// As it was given.
    pub given: String,
    /// What will be sent to.
    pub number: String,
}

impl std::fmt::Debug for ReadEntry {
    /// Numbers are never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReadEntry({})", self.place)
    }
}

impl Reading {
    /// Whether there is nothing to tell.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

impl<T> Listed<T> {
    fn add(list: &mut Option<Self>, entry: impl FnOnce() -> T) {
        let list = list.get_or_insert_with(|| Self {
            count: 0,
            first: Vec::new(),
        });
        list.count += 1;
        if list.first.len() < LISTED_MAX {
            list.first.push(entry());
        }
    }
}

/// One recipient, or many.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "must be a text, an object with `number`, or an array of these"
)]
pub(super) enum OneOrMany {
    One(Entry),
    Many(Vec<Entry>),
}

/// A recipient as callers write it.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "RecipientBody")]
#[serde(untagged)]
pub(super) enum Entry {
    /// A number.
    Text(String),
    /// A number, and what there is to say of it.
    Whole(#[schemars(with = "WholeEntry")] Map<String, Value>),
}

/// A number with what there is to say of it.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NamedRecipientBody")]
#[serde(deny_unknown_fields)]
pub(super) struct WholeEntry {
    /// Who.
    number: String,
    /// What the caller calls them by.
    reference: Option<Reference>,
}

/// What a job says of its list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) duplicates: Duplicates,
    pub(super) invalid: Invalid,
}

/// Reads the list of the field `field`.
pub(super) fn read(
    field: &str,
    given: OneOrMany,
    rules: Rules,
) -> Result<(Vec<Recipient>, Reading), JobError> {
    let (many, is_array) = match given {
        OneOrMany::One(one) => (vec![one], false),
        OneOrMany::Many(many) => (many, true),
    };
    if many.len() > RECIPIENTS_MAX {
        let problem = format!("must name at most {RECIPIENTS_MAX} recipients");
        return Err(JobError {
            kind: JobErrorKind::TooManyRecipients,
            ..JobError::new(field, problem)
        });
    }
    let mut list = List::new(rules, many.len());
    for (place, entry) in (0..).zip(many) {
        list.push(place, entry);
    }
    list.finish(field, is_array)
}

/// A list that is being read.
struct List {
    rules: Rules,
    recipients: Vec<Recipient>,
    /// Where each is named first.
    places: HashMap<Number, u32>,
    bad: Vec<(u32, JobError)>,
    bad_count: u32,
    reading: Reading,
}

impl List {
    fn new(rules: Rules, length: usize) -> Self {
        let drops = rules.duplicates == Duplicates::Drop && length > 1;
        Self {
            rules,
            recipients: Vec::with_capacity(length),
            places: HashMap::with_capacity(if drops { length } else { 0 }),
            bad: Vec::new(),
            bad_count: 0,
            reading: Reading::default(),
        }
    }

    fn push(&mut self, place: u32, entry: Entry) {
        let (recipient, given) = match recipient(entry) {
            Ok(read) => read,
            Err(error) => {
                self.bad_count += 1;
                if self.bad.len() < LISTED_MAX {
                    self.bad.push((place, error));
                }
                return;
            }
        };
        let number = recipient.number.as_text();
        if *number != *given {
            let number = number.into_owned();
            let entry = || ReadEntry { place, given, number };
            Listed::add(&mut self.reading.read_as, entry);
        }
        if self.rules.duplicates == Duplicates::Drop {
            let of = *self.places.entry(recipient.number.clone()).or_insert(place);
            if of != place {
                return Listed::add(&mut self.reading.duplicates, || DuplicateEntry { place, of });
            }
        }
        self.recipients.push(recipient);
    }

    fn finish(mut self, field: &str, is_array: bool) -> Result<(Vec<Recipient>, Reading), JobError> {
        let is_refused = self.rules.invalid == Invalid::Refuse || self.recipients.is_empty();
        if self.bad_count > 0 && is_refused {
            return Err(self.refusal(field, is_array));
        }
        for (place, error) in self.bad {
            let problem = match error.field.as_str() {
                "" | "number" => error.problem,
                inner => format!("{inner} {}", error.problem),
            };
            Listed::add(&mut self.reading.invalid, || InvalidEntry { place, problem });
        }
        if let Some(invalid) = &mut self.reading.invalid {
            invalid.count = self.bad_count;
        }
        Ok((self.recipients, self.reading))
    }

    /// All that is wrong, by its places.
    fn refusal(self, field: &str, is_array: bool) -> JobError {
        let named = |(place, error): (u32, JobError)| {
            let mut name = field.to_owned();
            if is_array {
                name = format!("{name}[{place}]");
            }
            if !error.field.is_empty() {
                name = format!("{name}.{}", error.field);
            }
            JobError::new(name, error.problem)
        };
        let mut all = self.bad.into_iter().map(named);
        let first = all
            .next()
            .unwrap_or_else(|| JobError::new(field, "can't be read"));
        JobError {
            others: all.collect(),
            unnamed: self
                .bad_count
                .saturating_sub(u32::try_from(LISTED_MAX).unwrap_or(u32::MAX)),
            ..first
        }
    }
}

/// A recipient, and its number as it was given. An error names a field of the entry, or none.
fn recipient(entry: Entry) -> Result<(Recipient, String), JobError> {
    let (given, reference, field) = match entry {
        Entry::Text(text) => (text, None, ""),
        Entry::Whole(fields) => {
            let whole: WholeEntry = body::from_fields(fields)?;
            (whole.number, whole.reference, "number")
        }
    };
    let number = Number::new(&given).map_err(|error| JobError::new(field, error.to_string()))?;
    Ok((Recipient { number, reference }, given))
}
