//! The recipients of a job, as callers list them: who is sent to, who is left out, and how each was read.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::names::Reference;
use crate::body::{self, JobError, JobErrorKind};
use crate::content::{Personal, Unfit, Variables};
use crate::named::{named, stored};
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
    /// What stands in the place of `{{name}}` for them. Either all recipients of a job have some, if only none, or no text
    /// of its message has placeholders.
    pub variables: Option<Variables>,
}

impl From<Number> for Recipient {
    fn from(number: Number) -> Self {
        Self {
            number,
            reference: None,
            variables: None,
        }
    }
}

impl Serialize for Recipient {
    /// As callers may write it: the number alone where there is no more to say.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            number: &'a Number,
            #[serde(skip_serializing_if = "Option::is_none")]
            reference: Option<&'a Reference>,
            #[serde(skip_serializing_if = "Option::is_none")]
            variables: Option<&'a Variables>,
        }
        let number = &self.number;
        match (&self.reference, &self.variables) {
            (None, None) => number.serialize(serializer),
            (reference, variables) => Whole {
                number,
                reference: reference.as_ref(),
                variables: variables.as_ref(),
            }
            .serialize(serializer),
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

named! {
    /// What to do about somebody who is named twice, also by another number of the same account.
    #[derive(Default)]
    DuplicatesAsked {
        /// One message to each.
        #[default]
        Drop = "drop",
        /// A message each time, as to those who have other variables each time.
        Keep = "keep",
        /// The same as `keep`.
        Allow = "allow",
    }
}

impl From<DuplicatesAsked> for Duplicates {
    fn from(asked: DuplicatesAsked) -> Self {
        match asked {
            DuplicatesAsked::Drop => Self::Drop,
            DuplicatesAsked::Keep | DuplicatesAsked::Allow => Self::Allow,
        }
    }
}

/// What to do about a recipient that can't be read, or lacks a variable.
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
    /// What stands in the place of `{{name}}` in the texts of the message. Where one recipient of a job has variables, if
    /// only `{}`, the texts are read for placeholders.
    variables: Option<Variables>,
}

/// What a job says of its list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) duplicates: Duplicates,
    pub(super) invalid: Invalid,
}

/// Reads the list of the field `field`.
pub(super) fn read(field: &str, given: OneOrMany, rules: Rules) -> Result<List, JobError> {
    let (many, is_array) = match given {
        OneOrMany::One(one) => (vec![one], false),
        OneOrMany::Many(many) => (many, true),
    };
    let name = Name {
        field: field.to_owned(),
        is_array,
    };
    if many.len() > RECIPIENTS_MAX {
        let problem = format!("must name at most {RECIPIENTS_MAX} recipients");
        return Err(JobError {
            kind: JobErrorKind::TooManyRecipients,
            ..JobError::new(field, problem)
        });
    }
    let mut list = List::new(name, rules, many.len());
    for (place, entry) in (0..).zip(many) {
        list.push(place, entry);
    }
    list.make_personal();
    Ok(list)
}

/// How callers wrote the list.
struct Name {
    field: String,
    is_array: bool,
}

impl Name {
    /// The name of what an entry has, or of the entry itself.
    fn of(&self, place: u32, inner: &str) -> String {
        let mut name = self.field.clone();
        if self.is_array {
            name = format!("{name}[{place}]");
        }
        if !inner.is_empty() {
            name = format!("{name}.{inner}");
        }
        name
    }
}

/// A list that was read.
pub(super) struct List {
    name: Name,
    rules: Rules,
    pub(super) recipients: Vec<Recipient>,
    /// Where each of them stands.
    pub(super) at: Vec<u32>,
    /// Where each is named first.
    places: HashMap<Number, u32>,
    bad: Vec<Bad>,
    bad_count: u32,
    reading: Reading,
}

/// An entry that can't be sent to.
pub(super) struct Bad {
    pub(super) place: u32,
    /// Its number as it was given, if it has one.
    pub(super) value: Option<String>,
    /// Why; the field is one of the entry, or none.
    pub(super) error: JobError,
}

impl Bad {
    /// Why, where the place is told beside it.
    pub(super) fn problem(&self) -> String {
        match self.error.field.as_str() {
            "" | "number" => self.error.problem.clone(),
            inner => format!("{inner} {}", self.error.problem),
        }
    }
}

impl List {
    fn new(name: Name, rules: Rules, length: usize) -> Self {
        let drops = rules.duplicates == Duplicates::Drop && length > 1;
        Self {
            name,
            rules,
            recipients: Vec::with_capacity(length),
            at: Vec::with_capacity(length),
            places: HashMap::with_capacity(if drops { length } else { 0 }),
            bad: Vec::new(),
            bad_count: 0,
            reading: Reading::default(),
        }
    }

    fn push(&mut self, place: u32, entry: Entry) {
        let (recipient, given) = match recipient(entry) {
            Ok(read) => read,
            Err((value, error)) => return self.add_bad(Bad { place, value, error }),
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
        self.at.push(place);
    }

    fn add_bad(&mut self, bad: Bad) {
        self.bad_count += 1;
        if self.bad.len() < LISTED_MAX {
            self.bad.push(bad);
        }
    }

    /// Where one has variables, all have: some have none.
    fn make_personal(&mut self) {
        if self.is_personal() {
            for recipient in &mut self.recipients {
                recipient.variables.get_or_insert_default();
            }
        }
    }

    /// Whether texts are read for placeholders.
    pub(super) fn is_personal(&self) -> bool {
        self.recipients
            .iter()
            .any(|recipient| recipient.variables.is_some())
    }

    /// Checks what the message says to each recipient: those whom it can't be made for are bad, too.
    ///
    /// # Errors
    /// [`JobError`] within `message`, where it can't be made for anybody.
    pub(super) fn check(&mut self, message: &Personal) -> Result<(), JobError> {
        let (all, at) = (std::mem::take(&mut self.recipients), std::mem::take(&mut self.at));
        for (recipient, place) in all.into_iter().zip(at) {
            let fits = recipient
                .variables
                .as_ref()
                .map(|variables| message.check(variables));
            match fits.unwrap_or(Ok(())) {
                Ok(()) => {
                    self.recipients.push(recipient);
                    self.at.push(place);
                }
                Err(Unfit::Nobody(error)) => return Err(error),
                Err(unfit) => self.add_bad(Bad {
                    place,
                    value: Some(recipient.number.as_text().into_owned()),
                    error: unfit_error(unfit),
                }),
            }
        }
        // In the order of the list, whatever was found first.
        self.bad.sort_by_key(|bad| bad.place);
        Ok(())
    }

    /// The first of those who can't be sent to, and how many there are.
    pub(super) fn bad(&self) -> (&[Bad], u32) {
        (&self.bad, self.bad_count)
    }

    /// How it was read so far.
    pub(super) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The recipients, and how they were read.
    ///
    /// # Errors
    /// [`JobError`] that names those who can't be sent to, where the job is to be refused for them, or nobody else is left.
    pub(super) fn finish(mut self) -> Result<(Vec<Recipient>, Reading), JobError> {
        let is_refused = self.rules.invalid == Invalid::Refuse || self.recipients.is_empty();
        if self.bad_count > 0 && is_refused {
            return Err(self.refusal());
        }
        for bad in &self.bad {
            let (place, problem) = (bad.place, bad.problem());
            Listed::add(&mut self.reading.invalid, || InvalidEntry { place, problem });
        }
        if let Some(invalid) = &mut self.reading.invalid {
            invalid.count = self.bad_count;
        }
        Ok((self.recipients, self.reading))
    }

    /// All that is wrong, by its places.
    fn refusal(self) -> JobError {
        let named = |bad: Bad| JobError::new(self.name.of(bad.place, &bad.error.field), bad.error.problem);
        let mut all = self.bad.into_iter().map(named);
        let first = all
            .next()
            .unwrap_or_else(|| JobError::new(&self.name.field, "can't be read"));
        JobError {
            others: all.collect(),
            unnamed: self
                .bad_count
                .saturating_sub(u32::try_from(LISTED_MAX).unwrap_or(u32::MAX)),
            ..first
        }
    }
}

fn unfit_error(unfit: Unfit) -> JobError {
    match unfit {
        Unfit::Missing { name, field } => JobError::new(
            format!("variables.{name}"),
            format!("is required: message.{field} says {{{{{name}}}}} and has no default for it"),
        ),
        Unfit::Text(error) | Unfit::Nobody(error) => JobError::new(
            "variables",
            format!("make of message.{} what {}", error.field, error.problem),
        ),
    }
}

/// A recipient, and its number as it was given; else that, as far as there is one, and what is wrong. An error names a
/// field of the entry, or none.
fn recipient(entry: Entry) -> Result<(Recipient, String), (Option<String>, JobError)> {
    let (whole, field) = match entry {
        Entry::Text(number) => (
            WholeEntry {
                number,
                reference: None,
                variables: None,
            },
            "",
        ),
        Entry::Whole(fields) => {
            let number = fields.get("number").and_then(Value::as_str).map(str::to_owned);
            let whole: WholeEntry = body::from_fields(fields).map_err(|error| (number, error))?;
            (whole, "number")
        }
    };
    let number = match Number::new(&whole.number) {
        Ok(number) => number,
        Err(error) => return Err((Some(whole.number), JobError::new(field, error.to_string()))),
    };
    let recipient = Recipient {
        number,
        reference: whole.reference,
        variables: whole.variables,
    };
    Ok((recipient, whole.number))
}
