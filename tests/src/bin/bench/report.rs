//! Rows: what was measured, what it should be, and whether it is.

use serde::Serialize;

use crate::work::measure::Figure;

/// What a figure has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

/// One line of the report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: &'static str,
    /// Of all its figures.
    pub(crate) unit: &'static str,
    /// Ours.
    pub(crate) ours: Figure,
    /// Another client's, for the same work.
    pub(crate) baileys: Option<Figure>,
    /// What it costs at least.
    pub(crate) floor: Option<Figure>,
    /// What ours has to be, from the figures of this run.
    pub(crate) target: Option<Target>,
}

#[derive(Serialize)]
struct Line {
    name: &'static str,
    unit: &'static str,
    ours: f64,
    baileys: Option<f64>,
    floor: Option<f64>,
    target: Option<f64>,
    target_met: Option<bool>,
    ours_spread: [f64; 2],
    baileys_spread: Option<[f64; 2]>,
    floor_spread: Option<[f64; 2]>,
}

impl Row {
    /// Prints the row as one line of JSON.
    #[allow(clippy::print_stdout)]
    pub(crate) fn print(self) {
        // Unwrap safety: numbers and names, which JSON can hold.
        #[allow(clippy::unwrap_used)]
        let line = serde_json::to_string(&self.line()).unwrap();
        println!("{line}");
    }

    fn line(self) -> Line {
        let spread = |figure: Figure| [rounded(figure.min), rounded(figure.max)];
        let target = self.target.map(|target| match target {
            Target::AtMost(limit) | Target::AtLeast(limit) => limit,
        });
        Line {
            name: self.name,
            unit: self.unit,
            ours: rounded(self.ours.median),
            baileys: self.baileys.map(|figure| rounded(figure.median)),
            floor: self.floor.map(|figure| rounded(figure.median)),
            target: target.map(rounded),
            target_met: self.target.map(|target| target.is_met(self.ours.median)),
            ours_spread: spread(self.ours),
            baileys_spread: self.baileys.map(spread),
            floor_spread: self.floor.map(spread),
        }
    }
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

/// Four digits that mean something.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(median: f64) -> Figure {
        Figure {
            median,
            min: median - 1.0,
            max: median + 1.0,
        }
    }

    #[test]
    fn a_row_says_whether_its_target_is_met() {
        let row = |target| Row {
            name: "x",
            unit: "us",
            ours: figure(10.0),
            baileys: None,
            floor: Some(figure(4.0)),
            target: Some(target),
        };
        assert_eq!(row(Target::AtMost(10.0)).line().target_met, Some(true));
        assert_eq!(row(Target::AtMost(9.9)).line().target_met, Some(false));
        assert_eq!(row(Target::AtLeast(10.1)).line().target_met, Some(false));
    }

    #[test]
    fn lines_have_the_agreed_names_and_nulls() {
        let row = Row {
            name: "x",
            unit: "us",
            ours: figure(1234.56),
            baileys: None,
            floor: None,
            target: None,
        };
        assert_eq!(
            serde_json::to_value(row.line()).unwrap(),
            serde_json::json!({
                "name": "x", "unit": "us", "ours": 1235.0, "baileys": null, "floor": null, "target": null,
                "target_met": null, "ours_spread": [1234.0, 1236.0], "baileys_spread": null, "floor_spread": null,
            })
        );
    }
}
