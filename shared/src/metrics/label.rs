//! Labels: their names, and which values they take.

use metrics::SharedString;

/// Which values a label takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Values {
    /// These.
    Closed(&'static [&'static str]),
    /// As many as something else allows: what that is.
    Bounded(&'static str),
}

/// A label of a metric, as the document shows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: Values,
}

/// A value of one label.
pub trait Label: Clone + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Its values.
    const VALUES: Values;

    /// The value as text.
    fn text(&self) -> SharedString;

    /// Its place in a closed set.
    fn place(&self) -> Option<usize>;
}

/// Values of all labels of a metric: none, one, or a tuple of them.
pub trait Labels: Clone + 'static {
    /// The labels, in order.
    fn described() -> Vec<Described>;

    /// The place of these values among all of `every`, where all sets are closed.
    fn place(&self) -> Option<usize>;

    /// Names and values.
    fn pairs(&self) -> Vec<metrics::Label>;
}

impl Labels for () {
    fn described() -> Vec<Described> {
        Vec::new()
    }

    fn place(&self) -> Option<usize> {
        Some(0)
    }

    fn pairs(&self) -> Vec<metrics::Label> {
        Vec::new()
    }
}

impl<A: Label> Labels for A {
    fn described() -> Vec<Described> {
        vec![description::<A>()]
    }

    fn place(&self) -> Option<usize> {
        Label::place(self)
    }

    fn pairs(&self) -> Vec<metrics::Label> {
        vec![pair(self)]
    }
}

impl<A: Label, B: Label> Labels for (A, B) {
    fn described() -> Vec<Described> {
        vec![description::<A>(), description::<B>()]
    }

    fn place(&self) -> Option<usize> {
        Some(Label::place(&self.0)? * count::<B>()? + Label::place(&self.1)?)
    }

    fn pairs(&self) -> Vec<metrics::Label> {
        vec![pair(&self.0), pair(&self.1)]
    }
}

impl<A: Label, B: Label, C: Label> Labels for (A, B, C) {
    fn described() -> Vec<Described> {
        vec![description::<A>(), description::<B>(), description::<C>()]
    }

    fn place(&self) -> Option<usize> {
        let first = Label::place(&self.0)? * count::<B>()? + Label::place(&self.1)?;
        Some(first * count::<C>()? + Label::place(&self.2)?)
    }

    fn pairs(&self) -> Vec<metrics::Label> {
        vec![pair(&self.0), pair(&self.1), pair(&self.2)]
    }
}

/// All values that these labels can take together, in the order of their places; none where a set is not closed.
pub(super) fn every(labels: &[Described]) -> Option<Vec<Vec<metrics::Label>>> {
    let mut rows = vec![Vec::new()];
    for label in labels {
        let Values::Closed(values) = label.values else {
            return None;
        };
        let longer = |row: Vec<metrics::Label>| {
            values.iter().map(move |value| {
                let mut row = row.clone();
                row.push(metrics::Label::from_static_parts(label.name, value));
                row
            })
        };
        rows = rows.into_iter().flat_map(longer).collect();
    }
    Some(rows)
}

fn description<A: Label>() -> Described {
    Described {
        name: A::NAME,
        values: A::VALUES,
    }
}

fn count<A: Label>() -> Option<usize> {
    match A::VALUES {
        Values::Closed(values) => Some(values.len()),
        Values::Bounded(_) => None,
    }
}

fn pair<A: Label>(value: &A) -> metrics::Label {
    metrics::Label::new(A::NAME, value.text())
}
