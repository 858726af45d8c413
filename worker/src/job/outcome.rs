//! What became of jobs, counted. One series per kind and outcome.

use metrics::counter;
use shared::job::JobKind;

#[derive(Clone, Copy, Debug)]
pub(crate) enum JobOutcome {
    /// Stored.
    Accepted,
    /// Stored before.
    Duplicate,
    /// Carried out.
    Done,
    Rejected,
    /// No job at all: kept as a dead letter.
    Dead,
    /// Put back for a moment: its session has enough to do.
    PutBack,
}

impl JobOutcome {
    pub(crate) fn count(self, kind: JobKind) {
        self.count_named(Some(kind.as_str()));
    }

    /// Counts a job whose kind is as its publisher wrote it.
    pub(crate) fn count_named(self, kind: Option<&str>) {
        let kind = kind.and_then(JobKind::find).map_or("none", JobKind::as_str);
        let outcome = match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Done => "done",
            Self::Rejected => "rejected",
            Self::Dead => "dead",
            Self::PutBack => "put_back",
        };
        counter!("fanfare_jobs_total", "kind" => kind, "outcome" => outcome).increment(1);
    }
}
