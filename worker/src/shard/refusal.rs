//! Why a job is refused, and how that is told.

use shared::event::{Event, JobRejected};
use shared::id::JobId;
use shared::job::{Answer, FailureCode, JobError};

/// Why a job is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Its identity, if it has one.
    pub(crate) job_id: Option<JobId>,
    /// Its kind, as its publisher wrote it.
    pub(crate) kind: Option<String>,
    pub(crate) code: FailureCode,
    /// The field that is wrong.
    pub(crate) field: Option<String>,
    pub(crate) message: String,
}

impl Refusal {
    /// A refusal of something that is no job.
    pub(crate) fn invalid(job_id: Option<JobId>, kind: Option<String>, error: JobError) -> Self {
        let JobError { field, problem, .. } = error;
        let message = format!("{field} {problem}");
        Self {
            job_id,
            kind,
            code: FailureCode::InvalidJob,
            field: Some(field),
            message,
        }
    }

    /// The answer to the job's publisher.
    pub(crate) fn answer(&self) -> Answer {
        Answer::Failed {
            code: self.code,
            message: self.message.clone(),
        }
    }

    /// `job.rejected`.
    pub(crate) fn into_event(self) -> Event {
        let Self {
            job_id,
            kind,
            code,
            field,
            message,
        } = self;
        Event::JobRejected(JobRejected {
            job_id,
            kind,
            code,
            field,
            message,
        })
    }
}
