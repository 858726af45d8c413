//! What a session's actor is told from outside.

use shared::event::{Event, JobRejected};
use shared::id::{JobId, StanzaId};
use shared::job::{Answer, FailureCode, JobError};
use shared::recipient::Number;
use shared::store::queues::QueueRecord;

use super::errand::Errand;

/// One letter to a session's actor.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A job was accepted: its queue and recipients are stored.
    Accepted(Box<Accepted>),
    /// A job was accepted before, and perhaps nobody was told: a session or a worker was lost in between.
    Again(Box<QueueRecord>, Box<Errand>),
    /// A command, or a question.
    Errand(Box<Errand>),
    /// A job for this session is refused; tell the world, then settle it.
    Refuse(Box<Errand>, Box<Refusal>),
    /// A job for this session was refused and is settled; tell the world.
    Rejected(Box<Refusal>),
    /// Finish what is in hand, disconnect, write everything down and end.
    HandOver,
}

/// A queue that was just stored.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// The queue.
    pub(crate) queue: QueueRecord,
    /// The recipient, when it is a single one: it needs no reading back.
    pub(crate) single: Option<(Number, Option<StanzaId>)>,
    /// The job, to be acknowledged.
    pub(crate) errand: Errand,
}

/// Why a job is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) job_id: Option<JobId>,
    pub(crate) kind: Option<String>,
    pub(crate) code: FailureCode,
    pub(crate) field: Option<String>,
    pub(crate) message: String,
}

impl Refusal {
    /// A refusal of this job.
    pub(crate) fn new(errand: &Errand, code: FailureCode, message: &str) -> Self {
        Self {
            job_id: errand.job_id.clone(),
            kind: errand.kind(),
            code,
            field: None,
            message: message.to_owned(),
        }
    }

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
