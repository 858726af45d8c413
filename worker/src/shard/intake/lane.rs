//! What one session's jobs wait for, and what becomes of its sends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shared::broker::Delivery;
use shared::id::{JobId, QueueId, SessionId, Token};
use shared::job::{Answer, FailureCode, Job, JobKind, SendJob};
use shared::store::queues::{Acceptance, Offer};

use crate::session::errand::Errand;
use crate::session::mail::{Accepted, Mail, Refusal};
use crate::session::meter::{self, JobOutcome};

/// What one session's jobs wait for.
#[derive(Default)]
pub(super) struct Lane {
    /// Its session is being looked up.
    pub(super) looking: bool,
    /// Its sends that are being stored, or are about to be.
    pub(super) storing: usize,
    /// One of them is large.
    pub(super) large: bool,
    /// What comes before all that waits.
    pub(super) letters: VecDeque<Mail>,
    pub(super) waiting: VecDeque<Item>,
}

pub(super) struct Item {
    pub(super) what: What,
    pub(super) weight: Weight,
}

pub(super) enum What {
    Job(Errand),
    /// No job: why, and what is to be buried.
    Poison(Delivery, Refusal),
}

impl Item {
    pub(super) fn place(&self) -> Option<u64> {
        match &self.what {
            What::Job(errand) => errand.place(),
            What::Poison(delivery, _) => Some(delivery.place),
        }
    }
}

/// A delivery that goes elsewhere.
pub(super) enum Aside {
    /// Put back for a moment, under a turn.
    Later(Delivery, String),
    /// Kept as a dead letter, for a reason.
    Dead(Delivery, String),
}

impl Aside {
    /// Puts it there. What can't be put there now comes again.
    pub(super) async fn put(self) {
        match self {
            Self::Later(delivery, turn) => drop(delivery.later(&turn).await),
            Self::Dead(delivery, reason) => {
                meter::job_named(delivery.kind.as_deref(), JobOutcome::Dead);
                if let Err(error) = delivery.dead_letter(&reason).await {
                    tracing::warn!(%error, "could not keep a dead letter; the job comes again");
                }
            }
        }
    }
}

/// A send that is to be stored.
pub(super) struct Offered {
    pub(super) token: Token,
    pub(super) session: SessionId,
    pub(super) queue: QueueId,
    pub(super) id: JobId,
    pub(super) job: Box<SendJob>,
    pub(super) errand: Errand,
    pub(super) _weight: Weight,
}

/// The bytes of a body, as long as it is held here.
pub(super) struct Weight {
    pub(super) held: Arc<AtomicUsize>,
    pub(super) bytes: usize,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Lane {
    /// Whether the first that waits may be passed on. What is behind a send waits until that is stored; but sends
    /// may follow small ones, into the same transaction or the next.
    pub(super) fn may_go_on(&self) -> bool {
        let Some(item) = self.waiting.front() else {
            return false;
        };
        let small = match &item.what {
            What::Job(errand) => matches!(&errand.job, Job::Send(job) if !is_large(job)),
            What::Poison(..) => false,
        };
        self.storing == 0 || (small && !self.large)
    }

    pub(super) fn is_done(&self) -> bool {
        self.storing == 0 && self.letters.is_empty() && self.waiting.is_empty()
    }
}

impl Offered {
    pub(super) fn offer(&self) -> Offer<'_> {
        Offer {
            session: self.session,
            queue: self.queue,
            id: &self.id,
            job: &self.job,
        }
    }
}

/// What a session is told of a send that was dealt with; nothing if it was there already.
pub(super) fn letter(accepted: Result<Acceptance, String>, job: &SendJob, errand: Errand) -> Option<Mail> {
    let refuse = |errand: Errand, code, words: &str| {
        let refusal = Refusal::new(&errand, code, words);
        Mail::Refuse(Box::new(errand), Box::new(refusal))
    };
    match accepted {
        Ok(Acceptance::Accepted(queue)) => {
            meter::job(JobKind::Send, JobOutcome::Accepted);
            let single = match job.numbers.as_slice() {
                [number] => Some((number.clone(), job.message_id.clone())),
                _ => None,
            };
            Some(Mail::Accepted(Box::new(Accepted {
                queue: *queue,
                single,
                errand,
            })))
        }
        Ok(Acceptance::Duplicate(queue)) => {
            meter::job(JobKind::Send, JobOutcome::Duplicate);
            if errand.is_repeated() {
                return Some(Mail::Again(queue, Box::new(errand)));
            }
            errand.finish(Answer::Done {
                queue_id: Some(queue.id),
            });
            None
        }
        Ok(Acceptance::Conflict | Acceptance::NoSession) => {
            let words = "another job has this id, queueId or messageId already";
            Some(refuse(errand, FailureCode::Conflict, words))
        }
        Err(why) => {
            tracing::error!(why, "the database refused a job");
            Some(refuse(errand, FailureCode::Internal, "the job can't be stored"))
        }
    }
}

pub(super) fn is_large(job: &SendJob) -> bool {
    job.numbers.len() > SMALL_MAX
}

/// Most recipients of a send that shares a transaction with others.
const SMALL_MAX: usize = 256;
