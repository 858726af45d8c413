//! The recipients of a job, as callers list them: who is sent to, who is left out, and how each was read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::names::Reference;
use crate::content::Variables;
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
    pub(super) fn add(list: &mut Option<Self>, entry: impl FnOnce() -> T) {
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
    pub(super) number: String,
    /// What the caller calls them by.
    pub(super) reference: Option<Reference>,
    /// What stands in the place of `{{name}}` in the texts of the message. Where one recipient of a job has variables, if
    /// only `{}`, the texts are read for placeholders.
    pub(super) variables: Option<Variables>,
}
