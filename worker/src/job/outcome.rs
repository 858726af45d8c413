//! What became of jobs, counted. One series per kind and outcome.

use std::time::Duration;

use shared::job::JobKind;
use shared::metrics::labels::AnyJob;
pub(crate) use shared::metrics::labels::JobOutcome;
use shared::metrics::list;

/// Counts what became of a job.
pub(crate) fn count(outcome: JobOutcome, kind: JobKind) {
    list::JOBS.of((AnyJob(Some(kind)), outcome)).increment(1);
}

/// Counts what became of a job whose kind is as its publisher wrote it.
pub(crate) fn count_named(outcome: JobOutcome, kind: Option<&str>) {
    let kind = AnyJob(kind.and_then(JobKind::find));
    list::JOBS.of((kind, outcome)).increment(1);
}

/// Counts how long a job waited for its worker.
pub(crate) fn count_wait(kind: Option<&str>, waited: Duration) {
    let kind = AnyJob(kind.and_then(JobKind::find));
    list::JOB_WAIT.of(kind).record(waited.as_secs_f64());
}
