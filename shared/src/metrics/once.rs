//! What one process shows of the deployment as a whole, for as long as it looks for all.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::label::Labels;
use super::metric::{Declares as _, Gauge};

/// The gauges of the deployment. Each look replaces all of the one before; when this process no longer looks for all, it
/// shows none, so that nobody takes old numbers for new ones. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Once(Arc<Mutex<Vec<Sample>>>);

#[derive(Debug)]
struct Sample {
    name: &'static str,
    help: &'static str,
    labels: Vec<metrics::Label>,
    value: f64,
}

/// What one look has found.
#[derive(Debug, Default)]
pub struct Look(Vec<Sample>);

impl Look {
    /// A gauge stands at this value.
    pub fn set<L: Labels>(&mut self, gauge: &'static Gauge<L>, labels: L, value: f64) {
        let declared = gauge.declared();
        self.0.push(Sample {
            name: declared.name,
            help: declared.words(),
            labels: labels.pairs(),
            value,
        });
    }
}

impl Once {
    /// Shows what a look has found, and nothing of the one before.
    pub fn show(&self, look: Look) {
        *self.lock() = look.0;
    }

    /// Shows nothing any more.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// In Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let samples = self.lock();
        let mut last = "";
        for sample in samples.iter() {
            if sample.name != last {
                last = sample.name;
                let _ = writeln!(text, "# HELP {last} {}\n# TYPE {last} gauge", sample.help);
            }
            let labels: Vec<String> = sample
                .labels
                .iter()
                .map(|label| format!("{}=\"{}\"", label.key(), label.value()))
                .collect();
            let labels = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", labels.join(","))
            };
            let _ = writeln!(text, "{}{labels} {}", sample.name, sample.value);
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
