//! The facts of two sides beside each other: which field of which kind is another on one of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::fact::{Fact, unnumbered};

/// In which way the two sides are not of one mind.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum How {
    /// Fanfare alone says it.
    OursAlone,
    /// Baileys alone says it.
    TheirsAlone,
    /// Both say it, otherwise.
    Otherwise,
}

impl How {
    /// As the page says it.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::OursAlone => "Fanfare alone",
            Self::TheirsAlone => "Baileys alone",
            Self::Otherwise => "told otherwise",
        }
    }
}

/// A field of a kind in which they differ; without a field the whole thing.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) kind: String,
    pub(super) field: String,
    pub(super) how: How,
}

/// What the comparison has found.
#[derive(Default)]
pub(super) struct Findings {
    /// Of each difference, during which actions, and one of it.
    pub(super) differences: BTreeMap<Place, (BTreeSet<&'static str>, String)>,
    /// How often a field of a kind was the same on both sides.
    pub(super) agreed: BTreeMap<(String, String), usize>,
}

impl Findings {
    /// Takes what both report of one action.
    pub(super) fn take(&mut self, during: &'static str, ours: Vec<Fact>, theirs: Vec<Fact>) {
        let (ours, mut theirs) = (by_key(ours), by_key(theirs));
        for (key, ours) in ours {
            let theirs = theirs.remove(&key).unwrap_or_default();
            self.pairs(during, &ours, &theirs);
        }
        for theirs in theirs.into_values() {
            self.pairs(during, &[], &theirs);
        }
    }

    fn pairs(&mut self, during: &'static str, ours: &[Fact], theirs: &[Fact]) {
        for place in 0..ours.len().max(theirs.len()) {
            match (ours.get(place), theirs.get(place)) {
                (Some(ours), Some(theirs)) => self.fields(during, ours, theirs),
                (Some(ours), None) => self.note(during, (ours, ""), How::OursAlone, format!("{ours:?}")),
                (None, Some(theirs)) => {
                    self.note(during, (theirs, ""), How::TheirsAlone, format!("{theirs:?}"));
                }
                (None, None) => {}
            }
        }
    }

    fn fields(&mut self, during: &'static str, ours: &Fact, theirs: &Fact) {
        self.agree(ours, "");
        let names: BTreeSet<_> = ours.fields.keys().chain(theirs.fields.keys()).collect();
        for name in names {
            match (ours.fields.get(name), theirs.fields.get(name)) {
                (Some(mine), Some(other)) if is_same(mine, other) => self.agree(ours, name),
                (Some(mine), Some(other)) => {
                    let example = format!("{mine} and not {other}");
                    self.note(during, (ours, name), How::Otherwise, example);
                }
                (Some(mine), None) => {
                    self.note(during, (ours, name), How::OursAlone, mine.to_string());
                }
                (None, Some(other)) => {
                    self.note(during, (ours, name), How::TheirsAlone, other.to_string());
                }
                (None, None) => {}
            }
        }
    }

    fn agree(&mut self, fact: &Fact, field: &str) {
        let place = (fact.kind.to_owned(), unnumbered(field));
        *self.agreed.entry(place).or_default() += 1;
    }

    fn note(&mut self, during: &'static str, (fact, field): (&Fact, &str), how: How, example: String) {
        let place = Place {
            kind: fact.kind.to_owned(),
            field: unnumbered(field),
            how,
        };
        let (actions, _) = self
            .differences
            .entry(place)
            .or_insert_with(|| (BTreeSet::new(), example));
        actions.insert(during);
    }
}

/// Facts by what they are of, in order. Of the past the same thing is told piece by piece: what came last stands.
fn by_key(facts: Vec<Fact>) -> BTreeMap<(&'static str, String), Vec<Fact>> {
    let mut found: BTreeMap<_, Vec<Fact>> = BTreeMap::new();
    for fact in facts {
        let there = found.entry((fact.kind, fact.key.clone())).or_default();
        match there.last_mut() {
            Some(before) if fact.kind.starts_with("past ") => before.fields.extend(fact.fields),
            _ => there.push(fact),
        }
    }
    found
}

/// Whether two values say the same: the JSON of a protobuf has numbers of 64 bits as texts.
fn is_same(mine: &Value, other: &Value) -> bool {
    let as_text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    mine == other || as_text(mine) == as_text(other)
}
