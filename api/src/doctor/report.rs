//! What the checks found, as lines to be read.

use std::fmt;

/// What one check found.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// All is well; what was seen.
    Ok(String),
    /// It works, but.
    Warn(String),
    /// What is wrong, and what to do.
    Bad(String),
}

/// All findings, in order.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<(&'static str, Finding)>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        !self
            .lines
            .iter()
            .any(|(_, finding)| matches!(finding, Finding::Bad(_)))
    }

    pub(super) fn add(&mut self, what: &'static str, finding: Finding) {
        self.lines.push((what, finding));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, finding) in &self.lines {
            let (mark, text) = match finding {
                Finding::Ok(text) => ("ok  ", text),
                Finding::Warn(text) => ("warn", text),
                Finding::Bad(text) => ("BAD ", text),
            };
            writeln!(f, "{mark} {what:<11} {text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_line_per_finding() {
        let mut report = Report::default();
        report.add("database", Finding::Ok("reachable".to_owned()));
        assert!(report.is_well());
        report.add(
            "schema",
            Finding::Bad("version 0; run fanfare-api migrate".to_owned()),
        );
        assert!(!report.is_well());
        assert_eq!(
            report.to_string(),
            "ok   database    reachable\nBAD  schema      version 0; run fanfare-api migrate\n"
        );
    }
}
