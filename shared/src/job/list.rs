//! A job's list of recipients while it is read: entry by entry, then against the message.

use std::collections::HashMap;

use serde_json::Value;

use super::recipients::{
    DuplicateEntry, Duplicates, Entry, Invalid, InvalidEntry, LISTED_MAX, Listed, OneOrMany, RECIPIENTS_MAX,
    ReadEntry, Reading, Recipient, WholeEntry,
};
use crate::body::{self, JobError, JobErrorKind};
use crate::content::{Personal, Unfit};
use crate::recipient::Number;

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
        self.refuse()?;
        for bad in &self.bad {
            let (place, problem) = (bad.place, bad.problem());
            Listed::add(&mut self.reading.invalid, || InvalidEntry { place, problem });
        }
        if let Some(invalid) = &mut self.reading.invalid {
            invalid.count = self.bad_count;
        }
        Ok((self.recipients, self.reading))
    }

    /// Refuses the job if those who can't be sent to are a reason to.
    ///
    /// # Errors
    /// [`JobError`] that names them.
    pub(super) fn refuse(&self) -> Result<(), JobError> {
        let is_refused = self.rules.invalid == Invalid::Refuse || self.recipients.is_empty();
        match self.bad_count > 0 && is_refused {
            true => Err(self.refusal()),
            false => Ok(()),
        }
    }

    /// All that is wrong, by its places.
    fn refusal(&self) -> JobError {
        let named = |bad: &Bad| {
            let Bad { place, error, .. } = bad;
            JobError::new(self.name.of(*place, &error.field), error.problem.clone())
        };
        let mut all = self.bad.iter().map(named);
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
