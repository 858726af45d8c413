//! A declared metric, and how it is counted.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::OnceLock;

use metrics::{Key, Level, Metadata, with_recorder};

use super::label::{Described, Labels, every};
use super::labels::Role;

/// The kind of a metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Spread of values.
    Histogram,
}

/// Who shows a metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shown {
    /// Each process of these roles, of itself.
    By(&'static [Role]),
    /// One process of the deployment, of the deployment as a whole: whoever looks for all.
    Once,
}

/// The bounds of a histogram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Buckets {
    /// From half a millisecond to ten seconds: what something takes.
    Took,
    /// From ten milliseconds to a day: how long something waited.
    Waited,
    /// From one to five hundred: how many there were.
    Counted,
}

impl Buckets {
    /// The upper bounds, infinity left out.
    pub const fn bounds(self) -> &'static [f64] {
        match self {
            Self::Took => &[
                0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
            ],
            Self::Waited => &[
                0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0,
                86_400.0,
            ],
            Self::Counted => &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 350.0, 500.0],
        }
    }
}

/// What is said of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    /// Its name: `fanfare_<noun>_<unit or total>`.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What is measured or counted: `seconds`, `events`.
    pub unit: &'static str,
    /// Who shows it.
    pub shown: Shown,
    /// The bounds of a histogram.
    pub buckets: Option<Buckets>,
    /// What it tells, a space before each line.
    pub help: &'static str,
}

impl Declared {
    /// What it tells.
    pub fn words(&self) -> &'static str {
        self.help.trim()
    }
}

/// What a kind of metric is counted with.
pub trait Counts: 'static {
    /// A series that is kept at hand.
    type Handle: Send + Sync + 'static;

    /// The series of a key.
    fn register(key: &Key) -> Self::Handle;
}

/// Counts up.
#[derive(Clone, Copy, Debug)]
pub struct Up;
/// Goes up and down.
#[derive(Clone, Copy, Debug)]
pub struct Moves;
/// Spreads over buckets.
#[derive(Clone, Copy, Debug)]
pub struct Spread;

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

impl Counts for Up {
    type Handle = metrics::Counter;

    fn register(key: &Key) -> Self::Handle {
        with_recorder(|recorder| recorder.register_counter(key, &METADATA))
    }
}

impl Counts for Moves {
    type Handle = metrics::Gauge;

    fn register(key: &Key) -> Self::Handle {
        with_recorder(|recorder| recorder.register_gauge(key, &METADATA))
    }
}

impl Counts for Spread {
    type Handle = metrics::Histogram;

    fn register(key: &Key) -> Self::Handle {
        with_recorder(|recorder| recorder.register_histogram(key, &METADATA))
    }
}

/// A metric with its labels.
pub struct Metric<C: Counts, L> {
    declared: Declared,
    /// The series of a process that shows the metric, by the place of their labels, each once it is registered; none
    /// before the recorder is installed, and where the labels are not closed.
    kept: OnceLock<Box<[OnceLock<C::Handle>]>>,
    labels: PhantomData<fn(L)>,
}

/// Only rises.
pub type Counter<L = ()> = Metric<Up, L>;
/// Rises and falls.
pub type Gauge<L = ()> = Metric<Moves, L>;
/// Spread of values.
pub type Histogram<L = ()> = Metric<Spread, L>;

impl<C: Counts, L> fmt::Debug for Metric<C, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.declared.name)
    }
}

impl<C: Counts, L: Labels> Metric<C, L> {
    /// The metric of a declaration.
    pub(super) const fn new(declared: Declared) -> Self {
        Self {
            declared,
            kept: OnceLock::new(),
            labels: PhantomData,
        }
    }

    /// The series of these labels.
    pub fn of(&'static self, labels: L) -> Series<C::Handle> {
        let register = || C::register(&Key::from_parts(self.declared.name, labels.pairs()));
        let kept = self.kept.get().zip(labels.place());
        match kept.and_then(|(kept, place)| kept.get(place)) {
            Some(series) => Series::Kept(series.get_or_init(register)),
            None => Series::Made(register()),
        }
    }
}

/// One series of a metric.
#[derive(Debug)]
pub enum Series<H: 'static> {
    /// Kept at hand since the process began.
    Kept(&'static H),
    /// Looked up just now.
    Made(H),
}

impl<H> Deref for Series<H> {
    type Target = H;

    fn deref(&self) -> &H {
        match self {
            Self::Kept(handle) => handle,
            Self::Made(handle) => handle,
        }
    }
}

impl Counter {
    /// One more.
    pub fn increment(&'static self) {
        self.of(()).increment(1);
    }

    /// So many more.
    pub fn add(&'static self, more: u64) {
        self.of(()).increment(more);
    }
}

impl Gauge {
    /// It is this now.
    pub fn set(&'static self, value: f64) {
        self.of(()).set(value);
    }
}

impl Histogram {
    /// One more of this value.
    pub fn record(&'static self, value: f64) {
        self.of(()).record(value);
    }
}

/// A metric of whatever kind and labels.
pub trait Declares: Sync {
    /// What is said of it.
    fn declared(&self) -> &Declared;

    /// Its labels.
    fn labels(&self) -> Vec<Described>;

    /// Keeps its series at hand, if its labels are closed. Those of counters and gauges are registered, so that they are
    /// there before they first count; a histogram has many lines, and one with labels waits until it has something to say.
    fn keep(&'static self);
}

impl<C: Counts, L: Labels> Declares for Metric<C, L> {
    fn declared(&self) -> &Declared {
        &self.declared
    }

    fn labels(&self) -> Vec<Described> {
        L::described()
    }

    fn keep(&'static self) {
        let Some(rows) = every(&L::described()) else {
            return;
        };
        let kept = self
            .kept
            .get_or_init(|| rows.iter().map(|_| OnceLock::new()).collect());
        if self.declared.kind == Kind::Histogram && rows.len() > 1 {
            return;
        }
        for (series, labels) in kept.iter().zip(rows) {
            series.get_or_init(|| C::register(&Key::from_parts(self.declared.name, labels)));
        }
    }
}
