//! Every metric of the product, each declared once: its name, kind, unit and words, who shows it, and its labels.
//!
//! Code counts by these declarations and never by a name: a metric that is not in [`list`], and a label that is not the
//! metric's, do not compile. Labels are closed sets, or bounded by something that the deployment sets: the number of
//! series does not grow with sessions, numbers or messages. What a process shows is registered when it starts, so a counter
//! is 0 before it first counts, and counting one more is an addition, without a look-up by name.
//! `docs/METRICS.md` is made from the list. Knows nothing of who reads the metrics.

use ::metrics::{describe_counter, describe_gauge, describe_histogram};

mod declare;
mod document;
mod label;
pub mod labels;
pub mod list;
mod metric;
mod once;

pub use document::document;
pub use label::{Described, Label, Labels, Values};
pub use labels::Role;
pub use metric::{Buckets, Counter, Declared, Declares, Gauge, Histogram, Kind, Metric, Series, Shown};
pub use once::{Look, Once};

/// A metric of whatever kind and labels.
pub type Any = &'static dyn Declares;

/// All metrics, in the order of the document.
pub fn all() -> impl Iterator<Item = Any> {
    list::FAMILIES
        .iter()
        .flat_map(|family| family.metrics.iter().copied())
}

/// Describes what a process of this role shows at its recorder, and registers all series whose labels are closed.
pub(crate) fn install(role: Role) {
    for metric in all() {
        let declared = metric.declared();
        let name = declared.name;
        match (declared.shown, declared.kind) {
            (Shown::Once, _) => continue,
            (Shown::By(roles), _) if !roles.contains(&role) => continue,
            (_, Kind::Counter) => describe_counter!(name, declared.words()),
            (_, Kind::Gauge) => describe_gauge!(name, declared.words()),
            (_, Kind::Histogram) => describe_histogram!(name, declared.words()),
        }
        metric.keep();
    }
    list::BUILD_INFO
        .of((role, labels::Version(env!("CARGO_PKG_VERSION"))))
        .set(1.0);
}

#[cfg(test)]
mod tests;
